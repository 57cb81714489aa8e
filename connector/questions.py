"""The ledger's book of questions: what was asked, who answers it, and what was answered.

Rows stay, unless SIGHTLINE_RETENTION__QUESTIONS_DAYS says for how long: they are the record of prompts, answers and the models
that gave them. What a person has typed stands here and
nowhere else; it is not logged.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter

from connector.database import Database
from connector.masks import pack, unpack
from connector.tables import questions
from radiology.errors import IllegalTransition
from radiology.finding import Box, Region, Side
from radiology.judgement import Observer
from radiology.question import Answer, Prompt, Question, QuestionState
from radiology.report import ModelIdentity
from radiology.settings import LedgerSettings

_PROMPT = TypeAdapter(Prompt)


class Questions:
    """The questions of one installation. Every method raises :class:`~radiology.errors.LedgerError` where the ledger fails."""

    def __init__(self, database: Database, settings: LedgerSettings) -> None:
        self._database = database
        self._settings = settings

    def ask(self, study_uid: str, prompt: Prompt, observer: Observer) -> Question:
        """Queue a question. The caller then sends the message; should that fail, the sweep sends it."""
        now = datetime.now(UTC)
        with self._database.transaction() as connection:
            row = sa.insert(questions).values(
                study_uid=study_uid,
                person=asdict(observer),
                prompt=_PROMPT.dump_python(prompt, mode="json"),
                state=QuestionState.QUEUED,
                reason="Waiting for a worker.",
                created=now,
                updated=now,
                due=now + self._lease,
            )
            return _question(connection.execute(row.returning(questions)).one())

    def take(self, question_id: int, worker: str) -> Question | None:
        """QUEUED -> RUNNING with a lease for ``worker``; None where it is not queued (any more): somebody else has it."""
        now = datetime.now(UTC)
        queued = sa.update(questions).where(questions.c.question_id == question_id, questions.c.state == QuestionState.QUEUED)
        with self._database.transaction() as connection:
            row = connection.execute(
                queued.values(
                    state=QuestionState.RUNNING,
                    reason="A worker is at it.",
                    worker=worker,
                    attempts=questions.c.attempts + 1,
                    updated=now,
                    due=now + self._lease,
                ).returning(questions)
            ).first()
        return _question(row) if row else None

    def renew(self, question_id: int, worker: str) -> None:
        """Prolong the lease. Raises :class:`IllegalTransition` where the question was given to another worker."""
        self._change(question_id, worker, due=datetime.now(UTC) + self._lease)

    def answer(self, question_id: int, worker: str, answer: Answer) -> Question:
        """RUNNING -> ANSWERED. Raises :class:`IllegalTransition` where the question was given to another worker."""
        return self._change(
            question_id, worker, state=QuestionState.ANSWERED, reason="Answered.", answer=_to_json(answer), updated=datetime.now(UTC)
        )

    def fail(self, question_id: int, worker: str, reason: str) -> Question:
        """RUNNING -> FAILED, for a reason that the radiologist reads; raises as :meth:`answer` does."""
        return self._change(question_id, worker, state=QuestionState.FAILED, reason=reason, updated=datetime.now(UTC))

    def question(self, question_id: int) -> Question | None:
        """Return one question."""
        rows = self._database.rows(sa.select(questions).where(questions.c.question_id == question_id))
        return _question(rows[0]) if rows else None

    def of_study(self, study_uid: str) -> list[Question]:
        """Return every question on a study, the newest first."""
        mine = sa.select(questions).where(questions.c.study_uid == study_uid).order_by(questions.c.question_id.desc())
        return [_question(row) for row in self._database.rows(mine)]

    def last_changes(self, study_uid: str) -> dict[int, datetime]:
        """Return when each question on a study has changed last."""
        mine = sa.select(questions.c.question_id, questions.c.updated).where(questions.c.study_uid == study_uid)
        return {row.question_id: row.updated for row in self._database.rows(mine.order_by(questions.c.question_id))}

    def sweep(self, now: datetime) -> list[int]:
        """Return the questions whose message must be sent (again): lost messages, dead workers.

        A worker that did not renew its lease is taken for dead; its question is queued again, or failed after
        ``maximum_attempts``. A message is repeated at growing intervals. Where the clock was set back, moments that lie too far
        ahead are corrected first, as :meth:`connector.ledger.Ledger.sweep` does.
        """
        waits_too_long = (questions.c.state == QuestionState.QUEUED, questions.c.updated > now + self._lease)
        held_too_long = (questions.c.state == QuestionState.RUNNING, questions.c.due > now + 2 * self._lease)
        overdue = sa.select(questions).where(questions.c.state.in_([QuestionState.QUEUED, QuestionState.RUNNING]), questions.c.due <= now)
        send: list[int] = []
        with self._database.transaction() as connection:
            connection.execute(sa.update(questions).where(*waits_too_long).values(updated=now, due=now))
            connection.execute(sa.update(questions).where(*held_too_long).values(due=now + self._lease))
            for row in connection.execute(overdue.order_by(questions.c.question_id).with_for_update()).all():
                values: dict[str, Any] = {"due": now + max(self._lease, now - row.updated)}
                if row.state == QuestionState.RUNNING:
                    is_given_up = row.attempts >= self._settings.maximum_attempts
                    values = {
                        "state": QuestionState.FAILED if is_given_up else QuestionState.QUEUED,
                        "reason": f"Its worker gave no sign; {'ask again' if is_given_up else 'it is tried again'}.",
                        "worker": "",
                        "updated": now,
                        "due": now + self._lease,
                    }
                connection.execute(sa.update(questions).where(questions.c.question_id == row.question_id).values(**values))
                if values.get("state") != QuestionState.FAILED:
                    send.append(row.question_id)
        return send

    def forget(self, before: datetime, *, dry_run: bool) -> int:
        """Delete questions that were answered, or failed, before then, or only count them; returns how many."""
        over = (questions.c.state.in_([QuestionState.ANSWERED, QuestionState.FAILED]), questions.c.updated < before)
        with self._database.transaction() as connection:
            count = int(connection.scalar(sa.select(sa.func.count()).select_from(questions).where(*over)) or 0)
            if not dry_run:
                connection.execute(sa.delete(questions).where(*over))
        return count

    @property
    def _lease(self) -> timedelta:
        return timedelta(seconds=self._settings.lease_seconds)

    def _change(self, question_id: int, worker: str, **values: Any) -> Question:
        held = (questions.c.question_id == question_id, questions.c.state == QuestionState.RUNNING, questions.c.worker == worker)
        with self._database.transaction() as connection:
            row = connection.execute(sa.update(questions).where(*held).values(**values).returning(questions)).first()
            if row is None:
                raise IllegalTransition(f"Worker {worker} no longer holds question {question_id}.")
            return _question(row)


def _question(row: sa.Row[Any]) -> Question:
    return Question(
        question_id=row.question_id,
        study_uid=row.study_uid,
        prompt=_PROMPT.validate_python(row.prompt),
        observer=Observer(**row.person),
        state=QuestionState(row.state),
        reason=row.reason,
        answer=_from_json(row.answer) if row.answer else None,
        created=row.created,
        updated=row.updated,
    )


def _to_json(answer: Answer) -> dict[str, Any]:
    return {
        "sentence": answer.sentence,
        "model": asdict(answer.model),
        "name": answer.name,
        "side": answer.side,
        "confidence": answer.confidence,
        "regions": [
            {
                "series_uid": region.series_uid,
                "box": asdict(region.box),
                "mask": None if region.mask is None else pack(region.mask),
                "score": region.score,
                "read_slices": region.read_slices,
            }
            for region in answer.regions
        ],
        "cited": asdict(answer.cited) if answer.cited else None,
    }


def _from_json(told: dict[str, Any]) -> Answer:
    return Answer(
        sentence=told["sentence"],
        model=ModelIdentity(**told["model"]),
        name=told["name"],
        side=Side(told["side"]) if told["side"] else None,
        confidence=told["confidence"],
        regions=tuple(_region(region) for region in told["regions"]),
        cited=_box(told["cited"]) if told["cited"] else None,
    )


def _region(told: dict[str, Any]) -> Region:
    box = _box(told["box"])
    mask = unpack(told["mask"], box.shape) if told["mask"] is not None else None
    return Region(told["series_uid"], box, mask, told["score"], read_slices=tuple(told["read_slices"]))


def _box(told: dict[str, Any]) -> Box:
    return Box(tuple(told["start"]), tuple(told["stop"]))
