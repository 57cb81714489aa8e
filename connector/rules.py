"""Rules: which studies are read, and which come first, by who sent them, what they are and when they came.

A YAML file (``SIGHTLINE_WATCHER__RULES``) with a list of rules; the first that fits decides, and where none does a study is read as
routine. What the model can read at all is not theirs to say: :mod:`connector.routing` looks first. A study is judged series by
series: it is read where any of them is to be, with the priority of the most urgent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, time
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import structlog
import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from radiology.errors import RulesError
from radiology.jobs import Priority
from radiology.settings import Settings
from radiology.study import Study

_SPAN = re.compile(r"(\d\d:\d\d)-(\d\d:\d\d)")

_log = structlog.get_logger()


@dataclass(frozen=True)
class Facts:
    """What a rule may ask of a series. ``descriptions`` are of study and series; they are free text, and never shown or logged.

    ``sources`` are the AE titles that sent the study, ``arrived`` is when its first instance was noticed, with a time zone.
    """

    sources: frozenset[str]
    modality: str
    station: str
    body_part: str
    descriptions: tuple[str, ...]
    arrived: datetime


@dataclass(frozen=True)
class Ruling:
    """What becomes of a study or series: the name of the rule that says so (empty where none fits), and a sentence.

    ``passed_over`` are the names of the rules before it, and why each does not fit.
    """

    rule: str
    read: bool
    priority: Priority
    why: str
    passed_over: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Hours:
    """A span of the day, from ``start`` to before ``end``; it may run over midnight."""

    start: time
    end: time

    @classmethod
    def of(cls, text: object) -> Hours:
        """Read ``18:00-07:00``; ``ValueError`` where it is something else."""
        match = _SPAN.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise ValueError("give a span of the day as HH:MM-HH:MM, for example 18:00-07:00")
        span = cls(*map(time.fromisoformat, match.groups()))
        if span.start == span.end:
            raise ValueError("the span is empty; leave hours out for the whole day")
        return span

    def __contains__(self, moment: time) -> bool:
        """Return whether a time of the day lies in it."""
        if self.start < self.end:
            return self.start <= moment < self.end
        return moment >= self.start or moment < self.end

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M}"


class Day(StrEnum):
    """A day of the week, Monday first."""

    MONDAY = "mon"
    TUESDAY = "tue"
    WEDNESDAY = "wed"
    THURSDAY = "thu"
    FRIDAY = "fri"
    SATURDAY = "sat"
    SUNDAY = "sun"


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


_Patterns = Annotated[list[Annotated[str, Field(min_length=1)]], BeforeValidator(_listed), Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


class Rule(_Part):
    """One rule: what it asks, and what it decides. All that it asks must fit; of a list, one.

    Texts are compared without regard to case; ``*`` stands for any characters and ``?`` for one.
    """

    name: str = Field(min_length=1, max_length=80)
    source: _Patterns | None = None
    modality: _Patterns | None = None
    station: _Patterns | None = None
    body_part: _Patterns | None = None
    description: _Patterns | None = None
    days: Annotated[list[Day], BeforeValidator(_listed), Field(min_length=1)] | None = None
    hours: Annotated[Hours, BeforeValidator(Hours.of)] | None = None
    read: bool = True
    priority: Priority = Priority.ROUTINE
    why: str = ""

    @model_validator(mode="after")
    def _has_one_meaning(self) -> Rule:
        if not self.read and "priority" in self.model_fields_set:
            raise ValueError("what is not read has no priority; leave it out, or read")
        return self

    def obstacle(self, facts: Facts, zone: ZoneInfo | None) -> str:
        """Say why the rule does not fit a series; empty where it does. ``zone``: of its days and hours; None is this machine's."""
        arrived = facts.arrived.astimezone(zone)
        day = list(Day)[arrived.weekday()]
        if self.days and day not in self.days:
            return f"it came on a {day.name.title()}, not on {', '.join(self.days)}"
        if self.hours and arrived.time() not in self.hours:
            return f"it came at {arrived:%H:%M}, not within {self.hours}"
        if self.source and not _fits(facts.sources, self.source):
            sent = ", ".join(sorted(facts.sources)) or "unknown"
            return f"source {sent} is none of {', '.join(self.source)}"
        for name in ("modality", "station", "body_part"):
            patterns, value = getattr(self, name), getattr(facts, name)
            if patterns and not _fits([value], patterns):
                return f"{name.replace('_', ' ')} {value or 'missing'} is none of {', '.join(patterns)}"
        if self.description and not _fits(facts.descriptions, self.description):
            return f"no description of study or series is one of {', '.join(self.description)}"
        return ""


class Rules(_Part):
    """The rules of a file, in their order. ``timezone``: of their days and hours; left out it is this machine's."""

    timezone: ZoneInfo | None = None
    rules: list[Rule]

    @field_validator("rules")
    @classmethod
    def _named_apart(cls, rules: list[Rule]) -> list[Rule]:
        names = [rule.name for rule in rules]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f'two rules are named "{twice}"; a name stands for one rule')
        return rules

    def judge(self, facts: Facts) -> Ruling:
        """Return what the first rule that fits a series says."""
        passed_over: list[tuple[str, str]] = []
        for rule in self.rules:
            obstacle = rule.obstacle(facts, self.timezone)
            if not obstacle:
                decided = rule.why.rstrip(".") or (str(rule.priority) if rule.read else "not read")
                return Ruling(rule.name, rule.read, rule.priority, f'Rule "{rule.name}": {decided}.', tuple(passed_over))
            passed_over.append((rule.name, obstacle))
        return Ruling("", True, Priority.ROUTINE, "No rule fits." if self.rules else "", tuple(passed_over))

    def judge_study(self, study: Study, sources: Iterable[str], arrived: datetime) -> Ruling:
        """Return what becomes of a study: the ruling on its most urgent series that is read, else on its first."""
        rulings = [self.judge(facts) for facts in facts_of(study, sources, arrived)]
        return min(rulings, key=lambda ruling: (not ruling.read, ruling.priority.rank))


def facts_of(study: Study, sources: Iterable[str], arrived: datetime) -> Iterator[Facts]:
    """Yield what rules may ask of each series of a study."""
    for series in study.series:
        header = series.instances[0]
        text = partial(_text, header)
        descriptions = (text("StudyDescription"), text("SeriesDescription"))
        yield Facts(frozenset(sources), series.modality, text("StationName"), series.body_part, descriptions, arrived)


def load(settings: Settings) -> Rules:
    """Read the file of rules that the settings name; without one there are no rules.

    Raises:
        RulesError: the file cannot be read, or a rule cannot; the message names each line and what is wrong there.
    """
    path = settings.watcher.rules
    return read(path) if path else Rules(rules=[])


def read(path: Path) -> Rules:
    """Read a file of rules; raises as :func:`load` does."""
    try:
        text = path.read_text(encoding="utf-8")
        loader = _Loader(text)
        node = loader.get_single_node()
        for key in _repeated_keys(node):
            raise RulesError(f"{path.name}, line {key.start_mark.line + 1}: {key.value} is given twice.")
        return Rules.model_validate(loader.construct_document(node) if node else None)
    except (OSError, UnicodeDecodeError) as error:
        raise RulesError(f"The rules {path} cannot be read: {error}.") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise RulesError(f"{path.name}, line {line}: a character that no text has.") from error
    except RecursionError as error:
        raise RulesError(f"{path.name}, lists in lists, deeper than any rule.") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RulesError(f"{path.name}, line {line}: not YAML: {error.problem}.") from error
    except ValidationError as error:
        faults = [(_line(node, fault["loc"]), fault) for fault in error.errors()]
        said = (f"line {line}: {_place(fault['loc'])}{fault['msg'].removeprefix('Value error, ')}" for line, fault in faults)
        raise RulesError(f"{path.name}, {'; '.join(said)}.") from error


class RulesInForce:
    """The rules while their file may be edited: a change counts at once; after a change that cannot be read the last good ones stay."""

    def __init__(self, settings: Settings) -> None:
        """Raises :class:`~radiology.errors.RulesError` where the rules cannot be read."""
        self._settings = settings
        self._mark = self._look()
        self._rules = load(settings)

    def now(self) -> Rules:
        """Return the rules in force."""
        mark = self._look()
        if mark != self._mark:
            self._mark = mark
            try:
                self._rules = load(self._settings)
                _log.info("rules changed", rules=[rule.name for rule in self._rules.rules])
            except RulesError as error:
                _log.error("rules not changed", reason=str(error))
        return self._rules

    def _look(self) -> tuple[int, int] | None:
        try:
            state = self._settings.watcher.rules.stat() if self._settings.watcher.rules else None
        except OSError:
            return None
        return (state.st_mtime_ns, state.st_size) if state else None


def _fits(values: Iterable[str], patterns: list[str]) -> bool:
    return any(fnmatchcase(value.strip().upper(), pattern.upper()) for value in values for pattern in patterns)


def _text(header: Any, keyword: str) -> str:
    return str(header.get(keyword) or "")


class _Loader(yaml.SafeLoader):
    """Names the line of what YAML takes for a date or a number that there is not."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return what a node stands for."""
        try:
            return super().construct_object(node, deep)  # type: ignore[no-untyped-call]
        except (ValueError, OverflowError) as error:
            raise yaml.constructor.ConstructorError(None, None, str(error), node.start_mark) from error


def _repeated_keys(root: yaml.Node | None) -> Iterator[yaml.Node]:
    """Yield the keys that a mapping has already: YAML would let the last one win in silence."""
    waiting, looked_at = [root], set()
    while waiting:
        node = waiting.pop()
        if id(node) in looked_at:  # an alias: a node may stand in many places, and in itself
            continue
        looked_at.add(id(node))
        if isinstance(node, yaml.MappingNode):
            seen = set()
            for key, value in node.value:
                if isinstance(key, yaml.ScalarNode):
                    if key.value in seen:
                        yield key
                    seen.add(key.value)
                waiting.append(value)
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value


def _line(node: yaml.Node | None, place: tuple[int | str, ...]) -> int:
    """Return the line of what pydantic complains about, as near as the file has it."""
    line = node.start_mark.line if node else 0
    for step in place:
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in node.value if key.value == step), None)
            if found is None:
                break
            line, node = found[0].start_mark.line, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line
        else:
            break
    return line + 1


def _place(place: tuple[int | str, ...]) -> str:
    """Say where pydantic complains: rules count from 1."""
    if not place:
        return ""
    if place[0] == "rules" and len(place) > 1 and isinstance(place[1], int):
        return f"rule {place[1] + 1}{''.join(f', {step}' for step in place[2:3])}: "
    return f"{place[0]}: "
