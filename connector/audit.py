"""The audit trail: who signed in, saw, judged, asked or was turned away (PS3.15 A.5), in the order in which it happened.

Every entry carries the hash of the one before it, so that an entry that is changed, taken out or put in between is noticed by
:meth:`Audit.verify`; what is cut off at the end is noticed by who keeps the newest hash elsewhere. There is no way to change one here.
Of patients it holds Study Instance UIDs and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any
from xml.etree import ElementTree

import sqlalchemy as sa

from connector.database import Database
from connector.tables import audit
from radiology.errors import LedgerError

_FIRST = "0" * 64
_SOURCE = "sightline"


class Event(Enum):
    """What happened: code value and meaning (PS3.16 CID 400), the action that A.5.1 names with a letter, and what kind of event it is.

    The kind is a code of CID 401, or of our own where that has none.
    """

    SIGNED_IN = ("110114", "User Authentication", "E", ("110122", "DCM", "Login"))
    SEEN = ("110103", "DICOM Instances Accessed", "R")
    JUDGED = ("110103", "DICOM Instances Accessed", "U")
    ASKED = ("110100", "Application Activity", "E", ("asked", "99SIGHTLINE", "Question asked"))
    STEERED = ("110100", "Application Activity", "E", ("steered", "99SIGHTLINE", "Work steered"))
    TRAIL_READ = ("110101", "Audit Log Used", "R")
    TURNED_AWAY = ("110113", "Security Alert", "E")

    @property
    def code(self) -> str:
        """The code value, of the scheme DCM."""
        return str(self.value[0])

    @property
    def meaning(self) -> str:
        """The code meaning."""
        return str(self.value[1])

    @property
    def action(self) -> str:
        """C, R, U, D or E."""
        return str(self.value[2])

    @property
    def kind(self) -> tuple[str, str, str] | None:
        """Code value, scheme and meaning of the kind of event; None where code and action say it."""
        return self.value[3] if len(self.value) > 3 else None


@dataclass(frozen=True)
class Entry:
    """One entry.

    Attributes:
        number: counts from 1, without gaps.
        time: when, with a time zone.
        event: what happened.
        is_success: whether it was let happen.
        who: login name, or what somebody said of themselves; empty where nobody was asked.
        address: of the other side on the network.
        study_uid: the study it is about; empty where it is about none.
        detail: for example the path that was refused; nothing of a patient.
    """

    number: int
    time: datetime
    event: Event
    is_success: bool
    who: str
    address: str
    study_uid: str
    detail: str

    def hash(self, before: str) -> str:
        """SHA-256 of this entry and the hash before it, in hexadecimal."""
        content = {**asdict(self), "event": self.event.name, "time": self.time.astimezone(UTC).isoformat()}
        return hashlib.sha256((before + json.dumps(content, sort_keys=True)).encode()).hexdigest()

    def message(self) -> str:
        """The entry as the XML of an audit message (PS3.15 A.5.1)."""
        root = ElementTree.Element("AuditMessage")
        happened = ElementTree.SubElement(
            root,
            "EventIdentification",
            EventActionCode=self.event.action,
            EventDateTime=self.time.astimezone(UTC).isoformat(),
            EventOutcomeIndicator="0" if self.is_success else "8",
        )
        _code(happened, "EventID", self.event.code, "DCM", self.event.meaning)
        if self.event.kind:
            _code(happened, "EventTypeCode", *self.event.kind)
        if self.detail:
            ElementTree.SubElement(happened, "EventOutcomeDescription").text = self.detail
        ElementTree.SubElement(
            root,
            "ActiveParticipant",
            UserID=self.who or "unknown",
            UserIsRequestor="true",
            NetworkAccessPointID=self.address,
            NetworkAccessPointTypeCode="2",
        )
        ElementTree.SubElement(root, "AuditSourceIdentification", AuditSourceID=_SOURCE)
        if self.study_uid:
            study = ElementTree.SubElement(
                root,
                "ParticipantObjectIdentification",
                ParticipantObjectID=self.study_uid,
                ParticipantObjectTypeCode="2",
                ParticipantObjectTypeCodeRole="3",
            )
            _code(study, "ParticipantObjectIDTypeCode", "110180", "DCM", "Study Instance UID")
        return ElementTree.tostring(root, encoding="unicode")


class Audit:
    """The trail of one installation. Every method raises :class:`~radiology.errors.LedgerError` where the ledger fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(
        self, event: Event, *, is_success: bool = True, who: str = "", address: str = "", study_uid: str = "", detail: str = ""
    ) -> None:
        """Add an entry. Two processes that write at once each get a number and the hash of the one before."""
        with self._database.transaction() as connection:
            if connection.dialect.name == "postgresql":  # SQLite lets one transaction write at a time by itself
                connection.execute(sa.text("SELECT pg_advisory_xact_lock(5106)"))
            last = connection.execute(sa.select(audit.c.number, audit.c.hash).order_by(audit.c.number.desc()).limit(1)).first()
            number, before = (last.number + 1, last.hash) if last else (1, _FIRST)
            entry = Entry(number, datetime.now(UTC), event, is_success, who, address, study_uid, detail)
            values = {**asdict(entry), "event": event.name, "hash": entry.hash(before)}
            connection.execute(sa.insert(audit).values(**values))

    def entries(self) -> Iterator[Entry]:
        """Yield every entry, the oldest first.

        Raises:
            LedgerError: at the first entry that is not as it was written, or does not follow the one before it.
        """
        before = _FIRST
        for number, row in enumerate(self._database.rows(sa.select(audit).order_by(audit.c.number)), 1):
            entry = _entry(row)
            if (row.number, row.hash) != (number, entry.hash(before)):
                raise LedgerError(f"The audit trail was changed at entry {number}: it, or one before it, is not as it was written.")
            before = row.hash
            yield entry

    def newest(self, limit: int, study_uid: str = "", before: int | None = None) -> list[Entry]:
        """Return the newest entries, newest first: of one study, or older than entry number ``before``; they are not verified."""
        chosen = sa.select(audit).order_by(audit.c.number.desc()).limit(limit)
        if study_uid:
            chosen = chosen.where(audit.c.study_uid == study_uid)
        if before is not None:
            chosen = chosen.where(audit.c.number < before)
        return [_entry(row) for row in self._database.rows(chosen)]

    def verify(self) -> tuple[int, str]:
        """Return how many entries there are and the hash of the newest, to be kept elsewhere; raises as :meth:`entries` does."""
        count = sum(1 for _ in self.entries())
        newest = self._database.rows(sa.select(audit.c.hash).where(audit.c.number == count))
        return count, str(newest[0].hash) if newest else _FIRST


def _entry(row: sa.Row[Any]) -> Entry:
    return Entry(row.number, row.time, Event[row.event], row.is_success, row.who, row.address, row.study_uid, row.detail)


def _code(parent: ElementTree.Element, name: str, value: str, scheme: str, meaning: str) -> None:
    attributes = {"csd-code": value, "codeSystemName": scheme, "originalText": meaning}
    ElementTree.SubElement(parent, name, attributes)
