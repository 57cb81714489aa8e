"""The ledger's book of decisions: who was first to decide about a version of a report, and whether its results are stored.

There is one decision on a version, whoever asks and however many processes serve them. Between its entry and its storing the book
holds what was asked, so that a decision whose process died is not lost in the middle; afterwards only its digest.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Any

import sqlalchemy as sa

from connector.database import Database, add
from connector.tables import decisions
from radiology.judgement import Observer
from radiology.settings import LedgerSettings


class Storing(Enum):
    """What has become of the results of a decision."""

    AT_WORK = auto()
    """Somebody is storing them."""
    SILENT = auto()
    """Somebody was, and gave no sign for too long."""
    GIVEN_UP = auto()
    """The archive did not take them, or not all."""
    DONE = auto()
    """They are in the archive."""


@dataclass(frozen=True)
class Entry:
    """One decision.

    Attributes:
        document_uid: SOP Instance UID of the findings that it is about.
        study_uid: the study.
        observer: who decided.
        moment: when, with a time zone.
        digest: SHA-256 of what was asked.
        request: what was asked; None once the results are stored.
        result_uids: SOP Instance UIDs of the results.
        storing: what has become of them.
    """

    document_uid: str
    study_uid: str
    observer: Observer
    moment: datetime
    digest: str
    request: dict[str, Any] | None
    result_uids: tuple[str, ...] = ()
    storing: Storing = Storing.AT_WORK


class Decisions:
    """The decisions of one installation. Every method raises :class:`~radiology.errors.LedgerError` where the ledger fails."""

    def __init__(self, database: Database, settings: LedgerSettings) -> None:
        self._database = database
        self._lease = timedelta(seconds=settings.lease_seconds)

    def enter(self, entry: Entry) -> bool:
        """Write a decision in before its results are stored; False where the version is decided about already."""
        row = {
            "document_uid": entry.document_uid,
            "study_uid": entry.study_uid,
            "person": asdict(entry.observer),
            "moment": entry.moment,
            "digest": entry.digest,
            "request": entry.request,
            "result_uids": list(entry.result_uids),
            "is_stored": False,
            "due": datetime.now(UTC) + self._lease,
        }
        with self._database.transaction() as connection:
            return add(connection, decisions, row)

    def find(self, document_uid: str) -> Entry | None:
        """Return the decision about a version; None where there is none."""
        rows = self._database.rows(sa.select(decisions).where(decisions.c.document_uid == document_uid))
        return _entry(rows[0]) if rows else None

    def unfinished(self, study_uid: str) -> Entry | None:
        """Return the decision on a study whose results are not known to be stored; None where there is none."""
        rows = self._database.rows(sa.select(decisions).where(decisions.c.study_uid == study_uid, sa.not_(decisions.c.is_stored)))
        return _entry(rows[0]) if rows else None

    def finish(self, document_uid: str) -> None:
        """Note that the results of a decision are in the archive, and forget what was asked."""
        self._change(document_uid, is_stored=True, request=None, due=None)

    def give_up(self, document_uid: str) -> None:
        """Note that the archive did not take the results of a decision, or not all."""
        self._change(document_uid, due=None)

    def forget(self, document_uid: str) -> None:
        """Take a decision out of the book of which nothing was stored."""
        with self._database.transaction() as connection:
            connection.execute(sa.delete(decisions).where(decisions.c.document_uid == document_uid, sa.not_(decisions.c.is_stored)))

    def _change(self, document_uid: str, **values: Any) -> None:
        with self._database.transaction() as connection:
            connection.execute(sa.update(decisions).where(decisions.c.document_uid == document_uid).values(**values))


def _entry(row: sa.Row[Any]) -> Entry:
    return Entry(
        document_uid=row.document_uid,
        study_uid=row.study_uid,
        observer=Observer(**row.person),
        moment=row.moment,
        digest=row.digest,
        request=row.request,
        result_uids=tuple(row.result_uids),
        storing=_storing(row),
    )


def _storing(row: sa.Row[Any]) -> Storing:
    if row.is_stored:
        return Storing.DONE
    if row.due is None:
        return Storing.GIVEN_UP
    return Storing.AT_WORK if row.due > datetime.now(UTC) else Storing.SILENT
