"""Report: what one reading of one study says, and what made it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from radiology.finding import Finding


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
        instance_uids: SOP Instance UIDs of the images that the model was given, sorted.
        withheld: one sentence per finding that the consistency check removed; the report must say so.
    """

    study_uid: str
    findings: tuple[Finding, ...]
    impression: str
    model: ModelIdentity
    started: datetime
    instance_uids: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()
