"""What is older than the settings keep it is forgotten, and nothing that stands nowhere else."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset

from connector.ledger import Ledger, Outcome
from connector.pacs import Pacs
from connector.retention import Retention
from connector.spool import Spool
from connector.watcher import Watcher
from radiology.jobs import JobState
from radiology.judgement import Observer
from radiology.question import Answer, Prompt, QuestionKind
from radiology.report import ModelIdentity
from radiology.settings import RetentionSettings, Settings
from radiology.thinking import Look
from tests.connector.samples import radiograph
from tests.orthanc import Orthanc

ALL = RetentionSettings(steps_days=30, questions_days=30, fingerprints_days=30, refused_days=30, quarantine_days=30)
SOON, LATE = datetime.now(UTC) + timedelta(days=29), datetime.now(UTC) + timedelta(days=31)


@pytest.fixture
def settings(orthanc: Orthanc, tmp_path: Path) -> Settings:
    return orthanc.settings.model_copy(update={"data_folder": tmp_path, "retention": ALL})


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    ledger = Ledger.open(settings)
    yield ledger
    ledger.close()


@pytest.fixture
def sweep(settings: Settings, ledger: Ledger) -> Callable[..., dict[str, int]]:
    return Retention(settings, ledger).sweep


def keep(spool: Spool, image: Dataset) -> Path:
    stream = BytesIO()
    image.save_as(stream, enforce_file_format=True)
    return spool.keep(image.StudyInstanceUID, image.SOPInstanceUID, stream.getvalue())


def test_how_a_finished_job_came_there_goes_and_the_job_stays(ledger: Ledger, sweep: Callable[..., dict[str, int]]) -> None:
    done, failed = (ledger.queue(ledger.arriving(uid, "CT", "Coming.").job_id, "d", "Quiet.").job_id for uid in ("1.2.3", "1.2.4"))
    for job_id, state in ((done, JobState.DONE), (failed, JobState.FAILED)):
        ledger.take(job_id, "worker-1")
        ledger.finish(job_id, "worker-1", state, "Ended.", Outcome("model", raw_answer="?", thinking=(Look("Lungs.", "1.2", None),)))
    before = ledger.job(done)
    assert sweep(SOON)["steps of jobs"] == 0
    assert sweep(LATE, dry_run=True)["steps of jobs"] == 1
    assert ledger.thinking("1.2.3", "model")
    assert sweep(LATE)["steps of jobs"] == 1
    assert (ledger.history(done), ledger.thinking("1.2.3", "model"), ledger.raw_answer(done)) == ([], (), "")
    assert ledger.job(done) == before
    assert ledger.read_before("1.2.3", "d") == before
    assert (len(ledger.history(failed)), ledger.raw_answer(failed)) == (4, "?")
    assert sweep(LATE)["steps of jobs"] == 0


def test_questions_go_once_they_are_answered(ledger: Ledger, sweep: Callable[..., dict[str, int]]) -> None:
    prompt = Prompt(QuestionKind.SEGMENT, "1.2", 0, "lung")
    answered, open_one = (ledger.questions.ask("1.2.3", prompt, Observer("Curie^Marie", "")) for _ in range(2))
    ledger.questions.take(answered.question_id, "worker-1")
    ledger.questions.answer(answered.question_id, "worker-1", Answer("The lung.", ModelIdentity("small", "1", "ab")))
    assert sweep(LATE, dry_run=True)["questions"] == sweep(LATE)["questions"] == 1
    assert [each.question_id for each in ledger.questions.of_study("1.2.3")] == [open_one.question_id]


def test_fingerprints_are_forgotten_and_their_listener_goes_on(settings: Settings, sweep: Callable[..., dict[str, int]]) -> None:
    spool = Spool(settings.data_folder / "spool")
    image = radiograph("1.2.5")
    spool.forwarded(keep(spool, image))
    assert sweep(LATE, dry_run=True)["fingerprints"] == 1
    other = deepcopy(image)
    other.PixelData = bytes(128)
    assert spool.quarantine.holds(keep(spool, other))
    assert sweep(LATE)["fingerprints"] == 1
    assert not spool.quarantine.holds(keep(spool, other))


def test_a_refused_file_goes_only_once_the_archive_has_its_bytes(settings: Settings, sweep: Callable[..., dict[str, int]]) -> None:
    spool = Spool(settings.data_folder / "spool")
    held, other, missing = (radiograph(f"1.2.{number}") for number in (6, 7, 8))
    for image in (held, other, missing):
        spool.refuse(keep(spool, image))
    changed = deepcopy(other)
    changed.PixelData = bytes(128)
    Pacs.connect(settings.pacs).store([held, changed])
    assert sweep(SOON)["refused files"] == 0
    assert sweep(LATE, dry_run=True)["refused files"] == 1
    assert sweep(LATE)["refused files"] == 1
    assert {path.stem for path in spool.refused()} == {other.SOPInstanceUID, missing.SOPInstanceUID}


def test_the_watcher_sweeps_by_itself(settings: Settings, ledger: Ledger) -> None:
    job = ledger.refuse(ledger.arriving("1.2.9", "US", "Coming.").job_id, "Modality US is not read.")
    Watcher(settings, ledger).look(LATE)
    assert ledger.history(job.job_id) == []


def test_without_settings_all_is_kept_for_good(settings: Settings, ledger: Ledger) -> None:
    forever = settings.model_copy(update={"retention": RetentionSettings()})
    assert Retention(forever, ledger).sweep(LATE) == {}
