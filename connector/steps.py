"""The ledger's book of performed procedure steps: which studies a modality acquires, and what it has made of them.

Whether a study is complete is judged with it (:mod:`connector.completeness`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

import sqlalchemy as sa

from connector.database import Database
from connector.tables import steps


class StepState(StrEnum):
    """Performed Procedure Step Status (PS3.3 C.4.14)."""

    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"


@dataclass(frozen=True)
class Step:
    """One step, as far as it is about one study. ``instance_uids`` are those that it is known to have made."""

    step_uid: str
    study_uid: str
    state: StepState
    instance_uids: frozenset[str]


class Steps:
    """The steps of one installation. Every method raises :class:`~radiology.errors.LedgerError` where the ledger fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, step_uid: str, study_uids: Collection[str], calling_ae: str) -> bool:
        """Write in that a step on these studies is in progress; False where there is one of that UID."""
        now = datetime.now(UTC)
        begun = {"step_uid": step_uid, "state": StepState.IN_PROGRESS, "instance_uids": [], "calling_ae": calling_ae, "updated": now}
        with self._database.transaction() as connection:
            if connection.execute(sa.select(steps.c.step_uid).where(steps.c.step_uid == step_uid)).first():
                return False
            connection.execute(sa.insert(steps), [{**begun, "study_uid": study_uid} for study_uid in study_uids])
        return True

    def change(self, step_uid: str, state: StepState, instance_uids: Collection[str] | None) -> StepState | None:
        """Bring a step that is in progress up to date; None leaves its instances as they are.

        Returns:
            The state that it was in before; nothing is changed where that is an end. None where there is no such step.
        """
        values: dict[str, object] = {"state": state, "updated": datetime.now(UTC)}
        if instance_uids is not None:
            values["instance_uids"] = sorted(instance_uids)
        known = steps.c.step_uid == step_uid
        with self._database.transaction() as connection:
            if connection.execute(sa.update(steps).where(known, steps.c.state == StepState.IN_PROGRESS).values(**values)).rowcount:
                return StepState.IN_PROGRESS
            before = connection.execute(sa.select(steps.c.state).where(known)).first()
        return StepState(before.state) if before else None

    def of_study(self, study_uid: str) -> list[Step]:
        """Return the steps on a study."""
        rows = self._database.rows(sa.select(steps).where(steps.c.study_uid == study_uid))
        return [Step(row.step_uid, row.study_uid, StepState(row.state), frozenset(row.instance_uids)) for row in rows]
