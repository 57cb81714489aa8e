"""The queue's tasks: shells around reading a study and answering a question that let no failure go unrecorded."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import structlog
from celery import Celery

from ai_engine.worker.asking import Consultant
from ai_engine.worker.reading import Worker, read_study
from connector.ledger import Outcome
from radiology.errors import LedgerError
from radiology.jobs import ANSWER_QUESTION, READ_STUDY, JobState

_log = structlog.get_logger()


def register(app: Celery, worker: Worker, consultant: Consultant) -> None:
    """Give the application its two tasks."""

    def read(job_id: int) -> None:
        _recorded(lambda: read_study(job_id, worker), lambda reason: _fail_job(job_id, worker, reason), job_id=job_id)

    def answer(question_id: int) -> None:
        _recorded(
            lambda: consultant.answer_question(question_id),
            lambda reason: consultant.ledger.questions.fail(question_id, consultant.name, reason),
            question_id=question_id,
        )

    app.task(read, name=READ_STUDY, shared=False)
    app.task(answer, name=ANSWER_QUESTION, shared=False)


def _fail_job(job_id: int, worker: Worker, reason: str) -> None:
    worker.ledger.finish(job_id, worker.name, JobState.FAILED, reason, Outcome())


def _recorded(work: Callable[[], object], fail: Callable[[str], object], **which: int) -> None:
    """Do a piece of work; where it stops for a reason that nobody foresaw, record that with ``fail``.

    The message of an error may quote the patient's data, so only its kind is kept.
    """
    try:
        work()
    except LedgerError as error:
        _not_recorded(error, which)
    except Exception as error:  # noqa: BLE001 - whatever it was, the work must end in a state with a reason
        kind = type(error).__name__
        _log.error("unexpected failure", **which, kind=kind, stack="".join(traceback.format_tb(error.__traceback__)))
        reason = f"An unexpected {kind} stopped it; the worker's log says where. This is a defect of Sightline; please report it."
        try:
            fail(reason)
        except LedgerError as unrecorded:
            _not_recorded(unrecorded, which)


def _not_recorded(error: LedgerError, which: dict[str, int]) -> None:
    _log.error("not recorded; its lease will end and it is tried again", **which, reason=str(error))
