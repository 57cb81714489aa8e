"""The queue's tasks: shells around reading a study and answering a question that let no failure go unrecorded.

Which study is read is not the message's to say: it only calls, and the ledger knows which is the most urgent by now. Where the ledger
limits how many are read at a time, a call may find nobody free to follow it; so whoever is through calls for what waits.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import partial

import structlog
from celery import Celery

from ai_engine.worker.asking import Consultant
from ai_engine.worker.reading import Worker, read_study
from connector.ledger import Outcome
from connector.queue import Queue
from radiology.errors import LedgerError, QueueError
from radiology.jobs import ANSWER_QUESTION, READ_STUDY, JobState

_log = structlog.get_logger()


def register(app: Celery, worker: Worker, consultant: Consultant, queue: Queue) -> None:
    """Give the application its two tasks; ``queue`` takes the calls for what waits."""

    def read(_: int) -> None:
        try:
            _read_next(worker)
            waiting = _next(worker) if worker.ledger.is_limited else None
            if waiting is not None:
                queue.send(waiting)
        except (LedgerError, QueueError) as error:
            _log.error("not looked for what waits; it is called again", reason=str(error))

    def answer(question_id: int) -> None:
        _recorded(
            lambda: consultant.answer_question(question_id),
            lambda reason: consultant.ledger.questions.fail(question_id, consultant.name, reason),
            question_id=question_id,
        )

    app.task(read, name=READ_STUDY, shared=False)
    app.task(answer, name=ANSWER_QUESTION, shared=False)


def _next(worker: Worker) -> int | None:
    return worker.ledger.next_job(worker.engine.identity.weights_hash)


def _read_next(worker: Worker) -> None:
    """Read the study that is next in line, if there is one; where another worker is faster, the next one."""
    is_mine = False
    while not is_mine and (job_id := _next(worker)) is not None:
        is_mine = _recorded(partial(read_study, job_id, worker), partial(_fail_job, job_id, worker), job_id=job_id)


def _fail_job(job_id: int, worker: Worker, reason: str) -> None:
    worker.ledger.finish(job_id, worker.name, JobState.FAILED, reason, Outcome())


def _recorded(work: Callable[[], object | None], fail: Callable[[str], object], **which: int) -> bool:
    """Do a piece of work, and return whether there was any; where it stops for a reason that nobody foresaw, record that with ``fail``.

    The message of an error may quote the patient's data, so only its kind is kept.
    """
    try:
        return work() is not None
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
    return True


def _not_recorded(error: LedgerError, which: dict[str, int]) -> None:
    _log.error("not recorded; its lease will end and it is tried again", **which, reason=str(error))
