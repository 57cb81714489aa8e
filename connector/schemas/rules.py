"""The rules, as the HTTP API says them."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import AwareDatetime, BaseModel, Field

from connector.rules import Facts, Rule, Rules, Ruling
from connector.schemas.text import Words
from radiology.jobs import Priority


class RuleOut(BaseModel):
    """One rule: what it asks, and what it decides."""

    name: str
    asks: dict[str, list[str]] = Field(description="What it asks, of each one must fit; `days` and `hours` are of the rules' time zone.")
    read: bool
    priority: Priority
    why: str

    @classmethod
    def of(cls, rule: Rule) -> RuleOut:
        """Return the rule as the API says it."""
        named = ("source", "modality", "station", "body_part", "description", "days")
        asks = {name: getattr(rule, name) for name in named if getattr(rule, name)} | ({"hours": [str(rule.hours)]} if rule.hours else {})
        return cls(name=rule.name, asks=asks, read=rule.read, priority=rule.priority, why=rule.why)


class RulesOut(BaseModel):
    """The rules, in their order; the first that fits decides."""

    timezone: str = Field(description="Of their days and hours; empty is the machine's own.")
    rules: list[RuleOut]

    @classmethod
    def of(cls, rules: Rules) -> RulesOut:
        """Return the rules as the API says them."""
        return cls(timezone=str(rules.timezone or ""), rules=[RuleOut.of(rule) for rule in rules.rules])


class FactsIn(BaseModel):
    """A series that might come."""

    source: Words = Field("", description="AE title of who sends it; empty for one that is not known.")
    modality: Words = ""
    station: Words = ""
    body_part: Words = ""
    description: Words = Field("", description="Of the study or the series.")
    arrived: AwareDatetime | None = Field(None, description="When its first instance comes; left out it is now.")

    @property
    def facts(self) -> Facts:
        """The series as rules ask for it."""
        sources = frozenset(filter(None, [self.source]))
        return Facts(sources, self.modality, self.station, self.body_part, (self.description,), self.arrived or datetime.now(UTC))


class PassedOver(BaseModel):
    """A rule before the one that decides, and why it does not fit."""

    rule: str
    why: str


class RulingOut(BaseModel):
    """What becomes of a study or series."""

    rule: str = Field(description="The rule that decides; empty where none does.")
    read: bool
    priority: Priority
    why: str
    passed_over: list[PassedOver]

    @classmethod
    def of(cls, ruling: Ruling) -> RulingOut:
        """Return the ruling as the API says it."""
        passed_over = [PassedOver(rule=rule, why=why) for rule, why in ruling.passed_over]
        return cls(rule=ruling.rule, read=ruling.read, priority=ruling.priority, why=ruling.why, passed_over=passed_over)
