"""After a backup was brought back to another place, everything is there: reports in force, history, jobs, what waited in the spool."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient
from pydicom.uid import generate_uid
from typer.testing import CliRunner

import dicom_sr
from connector import backup
from connector.__main__ import app
from connector.api import create_app
from connector.ledger import Ledger, Outcome
from connector.pacs import Pacs
from connector.spool import Spool
from connector.watcher import Watcher
from radiology.errors import BackupError
from radiology.jobs import JobState
from radiology.settings import LedgerSettings, Settings
from radiology.study import Study
from tests.connector.samples import radiograph
from tests.e2e import chest
from tests.orthanc import Orthanc


def told(settings: Settings, study_uid: str) -> list[Any]:
    """What the API says of a study: the report in force, and its history."""
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        return [client.get(f"/api/v1/studies/{study_uid}/report{more}").raise_for_status().json() for more in ("", "/history")]


@dataclass
class Place:
    """Where an installation lives: its archive's process and folder, and its settings."""

    orthanc: Orthanc
    settings: Settings

    @property
    def archive(self) -> Path:
        return self.settings.data_folder / "orthanc"


@pytest.fixture
def places(postgres_url: str, tmp_path: Path) -> Iterator[tuple[Place, Place]]:
    """Two places with an empty PostgreSQL database each, nothing running."""
    found = []
    for name in ("first", "second"):
        with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}_place")
        orthanc = Orthanc(tmp_path / name)
        ledger = LedgerSettings(url=postgres_url.replace("/postgres?", f"/{name}_place?"))
        found.append(Place(orthanc, orthanc.settings.model_copy(update={"ledger": ledger})))
    yield found[0], found[1]
    for place in found:
        place.orthanc.stop()


def work(place: Place) -> str:
    """A study is read and decided on, and another one's image waits for the archive; returns the study's UID."""
    images = chest.radiographs()
    study = Study.from_instances(images)
    uid = study.study_uid
    Pacs.connect(place.settings.pacs).store([*images, *dicom_sr.write(study, chest.radiograph_report(study))])
    ledger = Ledger.open(place.settings)
    job = ledger.queue(ledger.arriving(uid, "CR CHEST", "Coming.").job_id, "d" * 64, "Quiet.")
    ledger.take(job.job_id, "worker")
    ledger.finish(job.job_id, "worker", JobState.DONE, "Read.", Outcome())
    ledger.close()
    with TestClient(create_app(place.settings), base_url="http://127.0.0.1") as client:
        document = client.get(f"/api/v1/studies/{uid}/report").json()["report"]["document_uid"]
        person = {"name": "Curie^Marie", "organization": "Institut du Radium"}
        decision = {"person": person, "document_uid": document, "verdicts": [{"verdict": "accept", "number": 1}]}
        client.post(f"/api/v1/studies/{uid}/decisions", json=decision).raise_for_status()
    Spool(place.settings.data_folder / "spool").keep("1.2.3", "1.2.3.4", b"an image")
    return uid


def test_everything_is_there_again_in_another_place(places: tuple[Place, Place], tmp_path: Path) -> None:
    first, second = places
    folder = tmp_path / "backup"
    first.orthanc.start()
    study_uid = work(first)
    before = told(first.settings, study_uid)
    with pytest.raises(BackupError, match="stop Orthanc first"):
        backup.save(first.settings, folder, first.archive, print)
    first.orthanc.stop()
    variables = {"SIGHTLINE_DATA_FOLDER": str(first.settings.data_folder), "SIGHTLINE_LEDGER__URL": first.settings.ledger.url}
    made = CliRunner().invoke(app, ["backup", str(folder), "--archive", str(first.archive)], env=variables)
    assert made.exit_code == 0, made.output
    assert "1 files of the spool" in made.output
    with pytest.raises(BackupError, match="overwrites nothing"):
        backup.save(first.settings, folder, None, print)

    shutil.rmtree(first.settings.data_folder)  # the machine is gone
    backup.restore(second.settings, folder, second.archive)
    second.orthanc.start()
    assert told(second.settings, study_uid) == before
    assert before[0]["report"]["version"] == 2
    ledger = Ledger.open(second.settings)
    job = ledger.latest(study_uid)
    assert job is not None
    assert [str(step.target) for step in ledger.history(job.job_id)] == ["arriving", "queued", "running", "done"]
    assert ledger.audit.verify()[0] > 0
    ledger.close()
    (waiting,) = Spool(second.settings.data_folder / "spool").waiting()
    assert (waiting.parent.name, waiting.name, waiting.read_bytes()) == ("1.2.3", "1.2.3.4.dcm", b"an image")
    with pytest.raises(BackupError, match=r"empty (place|one), before the services"):
        backup.restore(second.settings, folder, second.archive)


@contextmanager
def watched(settings: Settings) -> Iterator[tuple[Ledger, Watcher]]:
    ledger = Ledger.open(settings)
    yield ledger, Watcher(settings, ledger)
    ledger.close()


def test_what_came_after_the_backup_is_found_again_in_the_archive(orthanc: Orthanc, tmp_path: Path) -> None:
    settings = orthanc.settings.model_copy(update={"data_folder": tmp_path / "lost"})
    early, late = radiograph(generate_uid()), radiograph(generate_uid())
    now = datetime.now(UTC)
    pacs = Pacs.connect(settings.pacs)
    pacs.store([early])
    with watched(settings) as (ledger, watcher):
        watcher.look(now)
        watcher.look(now + timedelta(seconds=60))
        job = ledger.latest(early.StudyInstanceUID)
        assert job is not None
        ledger.take(job.job_id, "worker")
        ledger.finish(job.job_id, "worker", JobState.DONE, "Read.", Outcome())
    backup.save(settings, tmp_path / "backup", None, print)
    pacs.store([late])

    found = settings.model_copy(update={"data_folder": tmp_path / "new"})
    backup.restore(found, tmp_path / "backup", None)
    with watched(found) as (ledger, watcher):
        watcher.look(now)
        watcher.look(now + timedelta(seconds=60))
        states = {
            uid: [job.state for job in ledger.jobs() if job.study_uid == uid] for uid in (early.StudyInstanceUID, late.StudyInstanceUID)
        }
        assert states == {early.StudyInstanceUID: [JobState.DONE], late.StudyInstanceUID: [JobState.QUEUED]}


def test_a_backup_that_is_damaged_or_not_whole_is_not_brought_back(tmp_path: Path) -> None:
    settings, place = Settings(data_folder=tmp_path / "data"), Settings(data_folder=tmp_path / "new")
    Ledger.open(settings).close()
    waiting = Spool(settings.data_folder / "spool").keep("1.2.3", "1.2.3.4", b"an image")
    folder = tmp_path / "backup"
    backup.save(settings, folder, None, print)
    with pytest.raises(BackupError, match="leave --archive out"):
        backup.restore(place, folder, tmp_path / "orthanc")
    saved = folder / "spool" / waiting.relative_to(settings.data_folder / "spool")
    saved.write_bytes(b"an imagE")
    with pytest.raises(BackupError, match=r"1\.2\.3\.4\.dcm is not as it was written"):
        backup.restore(place, folder, None)
    (folder / "manifest.json").unlink()
    with pytest.raises(BackupError, match="no whole backup"):
        backup.restore(place, folder, None)
    assert not place.data_folder.exists()


def test_a_file_of_the_archive_that_is_not_what_orthanc_wrote_is_noticed(tmp_path: Path) -> None:
    with Orthanc(tmp_path) as orthanc:
        Pacs.connect(orthanc.settings.pacs).store([radiograph(generate_uid())])
        settings = orthanc.settings
    Ledger.open(settings).close()
    archive = settings.data_folder / "orthanc"
    largest = max((path for path in archive.glob("*/*/*")), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[-1] ^= 1
    largest.write_bytes(content)
    with pytest.raises(BackupError, match=f"{largest.name} is not what Orthanc wrote"):
        backup.save(settings, tmp_path / "backup", archive, print)
    largest.unlink()
    with pytest.raises(BackupError, match=f"{largest.name} is missing"):
        backup.save(settings, tmp_path / "again", archive, print)
