"""A message is a call: what is read is what the ledger says is next, and whoever is through calls for what waits."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery

from ai_engine.answering import Answerer
from ai_engine.engine import Engine
from ai_engine.model.assistant import Assistant
from ai_engine.worker.asking import Consultant
from ai_engine.worker.reading import Worker
from ai_engine.worker.tasks import register
from connector.delivery import Delivery
from connector.ledger import Ledger
from connector.pacs import Pacs
from connector.queue import Queue
from radiology.jobs import READ_STUDY, Job, JobState, Priority
from radiology.report import ModelIdentity
from radiology.settings import LedgerSettings, ResultSettings, Settings, WatcherSettings
from tests.orthanc import Orthanc

IDENTITY = ModelIdentity("sightline-tiny", "0", "0" * 64)


@pytest.fixture
def settings(orthanc: Orthanc, tmp_path: Path) -> Settings:
    return orthanc.settings.model_copy(update={"data_folder": tmp_path, "ledger": LedgerSettings(readings_per_model=1)})


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    ledger = Ledger.open(settings)
    yield ledger
    ledger.close()


@pytest.fixture
def call(taught_assistant: Assistant, settings: Settings, ledger: Ledger) -> Callable[[int], None]:
    """Do what a worker does when a message comes. The archive holds nothing, so whatever is read fails."""
    pacs = Pacs.connect(settings.pacs)
    engine = Engine(taught_assistant, IDENTITY, 2)
    worker = Worker("worker-1", ledger, pacs, engine, WatcherSettings(), ResultSettings(), Delivery(settings, pacs, ledger.commitments))
    app = Celery()
    register(app, worker, Consultant("worker-1", ledger, pacs, Answerer(taught_assistant, IDENTITY)), Queue(settings))
    return app.tasks[READ_STUDY]  # type: ignore[no-any-return]


@pytest.fixture
def messages(settings: Settings) -> Callable[[], int]:
    folder = settings.data_folder / "queue" / "messages"
    return lambda: len(list(folder.iterdir()))


def queued(ledger: Ledger, study: str, priority: Priority = Priority.ROUTINE) -> Job:
    return ledger.queue(ledger.arriving(study, "DX CHEST", "Coming.").job_id, "digest", "Quiet.", priority)


def states(ledger: Ledger, *jobs: Job) -> list[JobState]:
    return [found.state for job in jobs if (found := ledger.job(job.job_id))]


def test_the_most_urgent_is_read_whoever_was_called_for(ledger: Ledger, call: Callable[[int], None]) -> None:
    low, first, second = (
        queued(ledger, f"1.2.{number}", priority) for number, priority in enumerate([Priority.LOW, Priority.ROUTINE, Priority.ROUTINE])
    )
    urgent = queued(ledger, "1.2.9", Priority.URGENT)
    order = []
    for _ in range(4):
        call(low.job_id)
        order += [job for job in (low, first, second, urgent) if job not in order and states(ledger, job) == [JobState.FAILED]]
    assert order == [urgent, first, second, low]
    call(low.job_id)  # one call too many does nothing


def test_in_a_pause_nothing_is_read(ledger: Ledger, call: Callable[[int], None]) -> None:
    job = queued(ledger, "1.2.3")
    ledger.pause("admin")
    call(job.job_id)
    assert states(ledger, job) == [JobState.QUEUED]
    ledger.resume("admin")
    call(job.job_id)
    assert states(ledger, job) == [JobState.FAILED]


def test_a_call_that_found_the_model_busy_is_made_again_by_who_is_through(
    ledger: Ledger, call: Callable[[int], None], messages: Callable[[], int]
) -> None:
    running, waiting = queued(ledger, "1.2.3"), queued(ledger, "1.2.4")
    ledger.take(running.job_id, "worker-2", IDENTITY.weights_hash)
    call(waiting.job_id)
    assert states(ledger, running, waiting) == [JobState.RUNNING, JobState.QUEUED]
    assert messages() == 0
    ledger.requeue(running.job_id, "worker-2", "The archive has no room.")
    later = queued(ledger, "1.2.5")
    call(waiting.job_id)
    assert states(ledger, waiting, later) == [JobState.FAILED, JobState.QUEUED]
    assert messages() == 1
