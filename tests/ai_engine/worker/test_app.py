"""The worker as a process: over folders on disk, over Redis and PostgreSQL, killed in the middle, and told to stop."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ai_engine.model.assistant import Assistant
from ai_engine.model.weights import save_weights
from ai_engine.worker.app import main
from connector.ledger import MODEL_IN_USE, Ledger
from connector.pacs import Pacs
from connector.queue import Queue
from radiology.jobs import ANSWER_QUESTION, Job, JobState
from radiology.judgement import Observer
from radiology.question import Point, Prompt, Question, QuestionKind, QuestionState
from radiology.settings import EngineSettings, LedgerSettings, PacsSettings, QueueSettings, Settings
from tests.ai_engine.chest_studies import radiographs
from tests.connector.waiting import until
from tests.orthanc import Orthanc
from tests.servers import postgres, redis_server


@pytest.fixture(scope="session")
def weights(taught_assistant: Assistant, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    save_weights(folder, taught_assistant.model, taught_assistant.language)
    return folder


@pytest.fixture
def settings(orthanc: Orthanc, weights: Path, tmp_path: Path) -> Settings:
    return Settings(
        data_folder=tmp_path,
        pacs=orthanc.settings.pacs,
        engine=EngineSettings(weights=weights, threads=1),
        ledger=LedgerSettings(lease_seconds=3),
    )


def environment(settings: Settings) -> dict[str, str]:
    """These settings as the environment of a process."""
    return {
        **os.environ,
        "SIGHTLINE_DATA_FOLDER": str(settings.data_folder),
        "SIGHTLINE_PACS__DICOMWEB_URL": settings.pacs.dicomweb_url,
        "SIGHTLINE_ENGINE__WEIGHTS": str(settings.engine.weights),
        "SIGHTLINE_ENGINE__THREADS": str(settings.engine.threads),
        "SIGHTLINE_LEDGER__URL": settings.ledger.url,
        "SIGHTLINE_LEDGER__LEASE_SECONDS": str(settings.ledger.lease_seconds),
        "SIGHTLINE_QUEUE__BROKER_URL": settings.queue.broker_url,
    }


@contextmanager
def running_worker(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    log = (settings.data_folder / "worker.log").open("ab")
    process = subprocess.Popen([sys.executable, "-m", "ai_engine.worker"], env=environment(settings), stderr=log, stdout=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)
        log.close()


def queue_a_study(settings: Settings, ledger: Ledger) -> Job:
    """Store a radiograph in the archive and queue it, as the watcher does."""
    film = radiographs("PA")
    Pacs.connect(settings.pacs).store(film)
    job = ledger.arriving(film[0].StudyInstanceUID, "DX CHEST, 1 image", "Coming.")
    job = ledger.queue(job.job_id, "digest", "Quiet.")
    Queue(settings).send(job.job_id)
    return job


def wait_for(state: JobState, job: Job, ledger: Ledger) -> Job:
    def reached() -> Job | None:
        now = ledger.job(job.job_id)
        assert now is not None
        assert now.state in (state, JobState.QUEUED, JobState.RUNNING), now.reason
        return now if now.state is state else None

    return until(reached, 180)


def point_at(study_uid: str, settings: Settings, ledger: Ledger) -> Question:
    """Ask about the middle of a study's first series, as the API does, and wait for what becomes of it."""
    series = Pacs.connect(settings.pacs).fetch(study_uid).series[0]
    prompt = Prompt(QuestionKind.SEGMENT, series.series_uid, 0, points=(Point(70, 70),))
    asked = ledger.questions.ask(study_uid, prompt, Observer("Curie^Marie", "Institut du Radium"))
    Queue(settings).send(asked.question_id, ANSWER_QUESTION)

    def ended() -> Question | None:
        now = ledger.questions.question(asked.question_id)
        return now if now and now.state in (QuestionState.ANSWERED, QuestionState.FAILED) else None

    return until(ended, 180)


def test_a_killed_workers_job_is_finished_after_a_restart(settings: Settings) -> None:
    ledger = Ledger.open(settings)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # an archive that accepts the connection and never answers
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/dicom-web"
        hanging = settings.model_copy(update={"pacs": PacsSettings(dicomweb_url=url)})
        job = queue_a_study(settings, ledger)
        with running_worker(hanging) as worker:
            taken = wait_for(JobState.RUNNING, job, ledger)
            worker.send_signal(signal.SIGKILL)
            worker.wait(30)
    assert not list((settings.data_folder / "queue" / "messages").glob("*.msg")), "the message died with the worker"
    with running_worker(settings):
        until(lambda: job.job_id in ledger.sweep(datetime.now(UTC)))  # as the watcher does
        Queue(settings).send(job.job_id)
        done = wait_for(JobState.DONE, job, ledger)
    assert done.attempts == taken.attempts + 1
    reasons = [step.reason for step in ledger.history(job.job_id)]
    assert "Its worker gave no sign for 3 s; it is tried again." in reasons
    assert {str(result.SOPInstanceUID) for result in Pacs.connect(settings.pacs).results(job.study_uid)} == set(done.result_uids)
    ledger.close()


def test_redis_and_postgresql_carry_the_work_and_a_repeated_message_does_it_once(settings: Settings, tmp_path: Path) -> None:
    with postgres() as ledger_url, redis_server(tmp_path) as broker_url:
        served = settings.model_copy(
            update={"ledger": LedgerSettings(url=ledger_url), "queue": QueueSettings(broker_url=broker_url)},
        )
        ledger = Ledger.open(served)
        with running_worker(served) as worker:
            first, second = queue_a_study(served, ledger), queue_a_study(served, ledger)
            Queue(served).send(first.job_id)
            for job in (first, second):
                assert wait_for(JobState.DONE, job, ledger).attempts == 1
            assert ledger.recall(MODEL_IN_USE) == ledger.job(first.job_id).weights_hash
            assert "ask with words" in point_at(first.study_uid, served, ledger).reason
            worker.terminate()
            assert worker.wait(60) == 0
        ledger.close()


def test_settings_that_are_not_valid_are_named_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_ENGINE__THREADS", "many")
    with pytest.raises(SystemExit, match=r"The settings are not valid: engine\.threads"):
        main()
