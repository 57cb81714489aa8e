"""Report: what one reading of one study says, and what made it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from radiology.finding import Finding, Presence
from radiology.judgement import Judged, Rejection
from radiology.terms import TERMS


class Outcome(StrEnum):
    """How a reading ended. Silence is none of these."""

    FOUND = "found"
    """Everything was read, and something abnormal is stated."""
    NOTHING_FOUND = "nothing found"
    """Everything was read, nothing abnormal is stated, and nothing was withheld."""
    WITHHELD = "withheld"
    """Everything was read; nothing abnormal is stated, but the checks kept back statements."""
    PARTLY_READ = "partly read"
    """Some of the images could not be read; what is stated is about the others."""
    NOT_READ = "not read"
    """The reading failed; nothing is stated."""


@dataclass(frozen=True)
class ModelIdentity:
    """What made a result. ``weights_hash`` is the SHA-256 of the weights file, ``configuration`` the settings that change answers."""

    name: str
    version: str
    weights_hash: str
    configuration: str = ""


@dataclass(frozen=True)
class Report:
    """One reading.

    Attributes:
        study_uid: the study that was read.
        findings: in reading order, positive and negative statements alike.
        impression: the summary sentence(s).
        model: what made it.
        started: when the reading began, with a time zone; the content date and time of every object made from it.
        instance_uids: SOP Instance UIDs of the images that the model was given, sorted; of priors too, where it was given any.
        withheld: one sentence per finding that the consistency check removed; the report must say so.
        failures: one sentence for each part of the study that could not be read.
        is_read: whether anything was read; without, ``failures`` says why, and there is nothing else.
        rejected: what radiologists have taken out of it.
    """

    study_uid: str
    findings: tuple[Finding, ...]
    impression: str
    model: ModelIdentity
    started: datetime
    instance_uids: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    is_read: bool = True
    rejected: tuple[Rejection, ...] = ()

    @property
    def abnormal(self) -> tuple[Finding, ...]:
        """The sentences that state, or do not exclude, anything but a normal structure."""
        return tuple(
            finding
            for finding in self.findings
            if finding.presence is not Presence.ABSENT and (finding.name not in TERMS or TERMS[finding.name].kind != "structure")
        )

    @property
    def states_abnormal(self) -> bool:
        """Whether there is such a sentence."""
        return bool(self.abnormal)

    @property
    def decisions(self) -> tuple[Judged | Rejection, ...]:
        """Everything that radiologists have decided about it, in no order."""
        return (*self.rejected, *(finding.judged for finding in self.findings if finding.judged))

    @property
    def outcome(self) -> Outcome:
        """How the reading ended."""
        if not self.is_read:
            return Outcome.NOT_READ
        if self.failures:
            return Outcome.PARTLY_READ
        if self.states_abnormal:
            return Outcome.FOUND
        return Outcome.WITHHELD if self.withheld else Outcome.NOTHING_FOUND


@dataclass(frozen=True)
class Standing:
    """Where the report of a study stands, in so few words that a list of studies can show it.

    Attributes:
        outcome: how the reading ended.
        findings: how many sentences state, or do not exclude, anything but a normal structure.
        is_signed: whether a radiologist has signed it.
        document_uid: SOP Instance UID of the findings, or of the failure; with ``version``, what the archive has to show.
        version: 1 is the model's own, each later one a radiologist's.
    """

    outcome: Outcome
    findings: int
    is_signed: bool
    document_uid: str
    version: int
