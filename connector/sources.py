"""The ledger's book of senders: who has sent a study, and who sends one to the listener now.

The listener writes it, and the watcher for what went straight to Orthanc; completeness, the rules and the page of the administrator
read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import sqlalchemy as sa

from connector.database import Database, add, put
from connector.tables import associations, sources


@dataclass(frozen=True)
class Sending:
    """Who sends a study now: the calling AE title, and when it last gave a sign of life."""

    study_uid: str
    calling_ae: str
    last_seen: datetime


class Sources:
    """The senders of one installation. Every method raises :class:`~radiology.errors.LedgerError` where the ledger fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def association_open(self, association: str, study_uid: str, calling_ae: str) -> None:
        """Note that an association is sending a study now; called again as a sign of life."""
        key = {"association": association, "study_uid": study_uid}
        with self._database.transaction() as connection:
            put(connection, associations, key, {"calling_ae": calling_ae, "last_seen": datetime.now(UTC)})

    def sent_by(self, study_uid: str, ae_title: str) -> None:
        """Note for good who sends a study."""
        with self._database.transaction() as connection:
            add(connection, sources, {"study_uid": study_uid, "ae_title": ae_title})

    def association_closed(self, association: str) -> None:
        """Forget an association: it was released or aborted."""
        with self._database.transaction() as connection:
            connection.execute(sa.delete(associations).where(associations.c.association == association))

    def forget_associations(self) -> None:
        """Forget them all: the listener has just started, so none is open."""
        with self._database.transaction() as connection:
            connection.execute(sa.delete(associations))

    def open_associations(self, study_uid: str, since: datetime) -> list[str]:
        """Return the calling AE titles of the associations that sent this study and gave a sign of life since then."""
        where = (associations.c.study_uid == study_uid, associations.c.last_seen >= since)
        return [row.calling_ae for row in self._database.rows(sa.select(associations.c.calling_ae).where(*where))]

    def sending(self, since: datetime) -> list[Sending]:
        """Return who sends which study, of those that gave a sign of life since then; the newest sign first."""
        open_ones = associations.c
        chosen = sa.select(associations).where(open_ones.last_seen >= since).order_by(open_ones.last_seen.desc())
        return [Sending(row.study_uid, row.calling_ae, row.last_seen) for row in self._database.rows(chosen)]

    def of_study(self, study_uid: str) -> frozenset[str]:
        """Return the AE titles that are known to have sent instances of a study."""
        return self.of_studies([study_uid])[study_uid]

    def of_studies(self, study_uids: Sequence[str]) -> dict[str, frozenset[str]]:
        """Return the AE titles that are known to have sent instances of each of these studies."""
        known: dict[str, frozenset[str]] = dict.fromkeys(study_uids, frozenset())
        for row in self._database.rows(sa.select(sources).where(sources.c.study_uid.in_(study_uids))):
            known[row.study_uid] |= {row.ae_title}
        return known
