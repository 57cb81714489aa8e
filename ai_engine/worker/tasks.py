"""The queue's task: a shell around :func:`ai_engine.worker.reading.read_study` that lets no failure go unrecorded."""

from __future__ import annotations

import traceback

import structlog
from celery import Celery

from ai_engine.worker.reading import Worker, read_study
from connector.ledger import Outcome
from radiology.errors import LedgerError
from radiology.jobs import READ_STUDY, JobState

_log = structlog.get_logger()


def register(app: Celery, worker: Worker) -> None:
    """Give the application its one task."""

    def task(job_id: int) -> None:
        try:
            read_study(job_id, worker)
        except LedgerError as error:
            _not_recorded(job_id, error)
        except Exception as error:  # noqa: BLE001 - whatever it was, the job must end in a state with a reason
            record_failure(job_id, worker, error)

    app.task(task, name=READ_STUDY, shared=False)


def record_failure(job_id: int, worker: Worker, error: Exception) -> None:
    """Fail a job for a reason that nobody foresaw. The message of ``error`` may quote the patient's data, so only its kind is kept."""
    kind = type(error).__name__
    _log.error("unexpected failure", job_id=job_id, kind=kind, stack="".join(traceback.format_tb(error.__traceback__)))
    reason = f"An unexpected {kind} stopped it; the worker's log says where. This is a defect of Sightline; please report it."
    try:
        worker.ledger.finish(job_id, worker.name, JobState.FAILED, reason, Outcome())
    except LedgerError as unrecorded:
        _not_recorded(job_id, unrecorded)


def _not_recorded(job_id: int, error: LedgerError) -> None:
    _log.error("job not recorded; its lease will end and it is tried again", job_id=job_id, reason=str(error))
