"""The ledger's book of storage commitment: what the archive was asked to commit to, and what it answered (PS3.4 J.3).

A transaction is written in before the archive is asked, so that its answer finds it, however late it comes and whoever was
restarted meanwhile.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import uuid4

import sqlalchemy as sa

from connector.database import Database
from connector.tables import commitments

PROCESSING_FAILURE = 0x0110
"""Failure Reason (PS3.3 C.14.1.1) of an instance that the archive passed over in its answer."""


@dataclass(frozen=True)
class Transaction:
    """One question to the archive.

    Attributes:
        transaction_uid: Transaction UID.
        study_uid: the study that the instances are of.
        instance_uids: SOP Instance UIDs that it was asked to commit to.
        asked: when, with a time zone.
        answered: when it answered; None where it has not.
        failures: Failure Reason of each that it does not commit to, by SOP Instance UID; empty where it has not answered.
    """

    transaction_uid: str
    study_uid: str
    instance_uids: tuple[str, ...]
    asked: datetime
    answered: datetime | None
    failures: Mapping[str, int]

    @property
    def outcome(self) -> str:
        """What the archive answered, in words."""
        if not self.answered:
            return "no answer"
        return ", ".join(f"refused for {uid} (0x{reason:04X})" for uid, reason in sorted(self.failures.items())) or "given"

    @property
    def committed(self) -> frozenset[str]:
        """The SOP Instance UIDs that the archive has committed to."""
        return frozenset(self.instance_uids) - self.failures.keys() if self.answered else frozenset()


class Commitments:
    """The transactions of one installation. Every method raises :class:`~radiology.errors.LedgerError` where the ledger fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, study_uid: str, instance_uids: Collection[str]) -> str:
        """Write a new transaction in, and return its UID."""
        row = {
            "transaction_uid": f"2.25.{uuid4().int}",
            "study_uid": study_uid,
            "instance_uids": sorted(instance_uids),
            "asked": datetime.now(UTC),
            "failures": {},
        }
        with self._database.transaction() as connection:
            connection.execute(sa.insert(commitments).values(**row))
        return str(row["transaction_uid"])

    def answer(self, transaction_uid: str, committed: Collection[str], failures: Mapping[str, int]) -> Transaction | None:
        """Note what the archive answered; the first answer counts. Returns the transaction, None where there is none of that UID."""
        transaction = self.find(transaction_uid)
        if transaction is None or transaction.answered:
            return transaction
        left_out = dict.fromkeys(set(transaction.instance_uids) - set(committed), PROCESSING_FAILURE)
        found = {uid: failures.get(uid, reason) for uid, reason in left_out.items()}
        unanswered = (commitments.c.transaction_uid == transaction_uid, commitments.c.answered.is_(None))
        with self._database.transaction() as connection:
            connection.execute(sa.update(commitments).where(*unanswered).values(answered=datetime.now(UTC), failures=found))
        return self.find(transaction_uid)

    def find(self, transaction_uid: str) -> Transaction | None:
        """Return a transaction; None where there is none of that UID."""
        rows = self._database.rows(sa.select(commitments).where(commitments.c.transaction_uid == transaction_uid))
        return _transaction(rows[0]) if rows else None

    def of_study(self, study_uid: str) -> list[Transaction]:
        """Return what the archive was asked about a study, the oldest first."""
        chosen = sa.select(commitments).where(commitments.c.study_uid == study_uid)
        return [_transaction(row) for row in self._database.rows(chosen.order_by(commitments.c.asked))]


def _transaction(row: sa.Row[tuple[object, ...]]) -> Transaction:
    return Transaction(**{**row._mapping, "instance_uids": tuple(row.instance_uids)})
