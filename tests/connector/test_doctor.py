"""What the doctor finds in an installation with a real archive and a real listener."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.doctor import Doctor
from connector.ledger import MODEL_IN_USE, Ledger, Outcome
from connector.listener import Listener
from connector.queue import Queue
from connector.spool import Spool
from radiology.jobs import JobState
from radiology.settings import Settings
from tests.orthanc import Orthanc, free_port


@pytest.fixture
def settings(orthanc: Orthanc, tmp_path: Path) -> Settings:
    listener = orthanc.settings.listener.model_copy(update={"port": free_port()})
    return orthanc.settings.model_copy(update={"data_folder": tmp_path, "listener": listener})


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    ledger = Ledger.open(settings)
    ledger.remember(MODEL_IN_USE, "ab" * 32)
    yield ledger
    ledger.close()


def ill(settings: Settings, ledger: Ledger) -> dict[str, str]:
    found = Doctor(settings, ledger, Queue(settings)).examine()
    return {part: finding.why for part, finding in found.items() if not finding.ok}


def test_nothing_is_wrong_where_nothing_is(settings: Settings, ledger: Ledger) -> None:
    with Listener(settings.listener, Spool(settings.data_folder / "spool"), lambda: None):
        assert ill(settings, ledger) == {}


def test_an_archive_that_is_away_and_a_listener_that_is_down_are_named(settings: Settings, ledger: Ledger) -> None:
    away = {"port": free_port(), "dicomweb_url": "http://127.0.0.1:9/dicom-web", "orthanc_url": "http://127.0.0.1:9"}
    said = ill(settings.model_copy(update={"pacs": settings.pacs.model_copy(update=away)}), ledger)
    assert set(said) == {"archive", "archive's log of changes", "archive by DICOM", "listener", "clock"}
    assert "see that it runs" in said["archive by DICOM"]
    assert str(settings.listener.port) in said["listener"]


def test_what_failed_and_what_was_refused_is_counted(settings: Settings, ledger: Ledger) -> None:
    job = ledger.arriving("1.2.3", "CT", "Instances are arriving.")
    ledger.queue(job.job_id, "ab", "Complete.")
    ledger.take(job.job_id, "worker-1")
    ledger.finish(job.job_id, "worker-1", JobState.FAILED, "The answer cannot be read.", Outcome())
    ledger.remember(MODEL_IN_USE, "")
    spool = Spool(settings.data_folder / "spool")
    spool.refuse(spool.keep("1.2.3", "1.2.3.4", b"no DICOM"))
    said = ill(settings, ledger)
    assert "sightline retry" in said["studies"]
    assert "1 instances" in said["spool"]
    assert "No worker" in said["model"]


def test_rules_that_went_bad_and_a_pause_are_told(settings: Settings, ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("rules:\n- nome: night\n")
    watcher = settings.watcher.model_copy(update={"rules": tmp_path / "rules.yaml"})
    ledger.pause("admin", "The model is exchanged")
    found = Doctor(settings.model_copy(update={"watcher": watcher}), ledger, Queue(settings)).examine()
    assert not found["rules"].ok
    assert "rules.yaml, line 2: rule 1, " in found["rules"].why
    assert "read last" in found["rules"].why
    assert (found["pause"].ok, "by admin: The model is exchanged." in found["pause"].why) == (True, True)
