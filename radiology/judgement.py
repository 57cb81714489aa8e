"""What a radiologist decided about the sentences of a report, and who it was: the part that stays with the report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Judgement(StrEnum):
    """How a sentence came to stand in a report that a radiologist has looked at."""

    ACCEPTED = "accepted"
    """The model's, unchanged."""
    EDITED = "edited"
    """The model's, with words, side, box or mask corrected."""
    ADDED = "added"
    """The radiologist's own: the model had missed it."""


class Reason(StrEnum):
    """Why a sentence was taken out."""

    FALSE_POSITIVE = "false positive"
    WRONG_PLACE = "wrong place"
    WRONG_SIDE = "wrong side"
    WORDING = "wording"
    NOT_RELEVANT = "not relevant"


@dataclass(frozen=True)
class Observer:
    """A person who judges.

    Attributes:
        name: as DICOM writes names, ``Family^Given`` (PS3.5 6.2.1).
        organization: the hospital or practice that answers for the person.
        login: what the organization's computers call the person; empty where it is not known.
    """

    name: str
    organization: str
    login: str = ""


@dataclass(frozen=True)
class Judged:
    """Who decided about a sentence, how, and when (with a time zone)."""

    judgement: Judgement
    observer: Observer
    moment: datetime


@dataclass(frozen=True)
class Rejection:
    """A sentence that was taken out: its number in the report, why, and by whom and when."""

    number: int
    reason: Reason
    observer: Observer
    moment: datetime
