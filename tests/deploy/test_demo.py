"""The demo as a person runs it: one command, real services, real associations, a tiny real model."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from pydicom import dcmread

from deploy.instances import Origin, radiograph
from tests.ai_engine.conftest import chest
from tests.deploy.test_services import processes_of
from tests.orthanc import free_port
from tests.servers import postgres, redis_server

ROOT = Path(__file__).parents[2]


def write_radiograph(folder: Path, key: str) -> str:
    """Write one radiograph that the taught model knows; return its Study Instance UID."""
    origin = Origin(key, f"TEST-{key}", f"DX CHEST {key}", "PA", "made by a test", synthetic=True)
    image = radiograph(origin, chest(168, 168).clip(0, 4095).astype(np.uint16), 1.5)
    folder.mkdir(exist_ok=True)
    image.save_as(folder / f"{key}.dcm", enforce_file_format=True)
    return str(image.StudyInstanceUID)


@pytest.fixture
def environment(tmp_path: Path, taught_weights: Path) -> dict[str, str]:
    """Free ports, empty folders, the tiny model, and no viewer."""
    http_port = free_port()
    return {
        **os.environ,
        "SIGHTLINE_DATA_FOLDER": str(tmp_path / "data"),
        "SIGHTLINE_PACS__ORTHANC_URL": f"http://127.0.0.1:{http_port}",
        "SIGHTLINE_PACS__DICOMWEB_URL": f"http://127.0.0.1:{http_port}/dicom-web",
        "SIGHTLINE_PACS__PORT": str(free_port()),
        "SIGHTLINE_LISTENER__PORT": str(free_port()),
        "SIGHTLINE_LISTENER__MINIMUM_FREE_BYTES": str(1 << 20),
        "SIGHTLINE_API__PORT": str(free_port()),
        "SIGHTLINE_API__VIEWER_FOLDER": str(tmp_path),
        "SIGHTLINE_API__EXTENSION_FOLDER": str(tmp_path),
        "SIGHTLINE_WATCHER__QUIET_SECONDS": "0.5",
        "SIGHTLINE_ENGINE__WEIGHTS": str(taught_weights),
        "SIGHTLINE_ENGINE__THREADS": "1",
    }


def demo(environment: dict[str, str], *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "deploy.demo", *words], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


def studies_in(file: Path) -> dict[str, dict[str, Any]]:
    return {study["study_uid"]: study for study in json.loads(file.read_text())["studies"]}


def leftover(environment: dict[str, str]) -> list[str]:
    return processes_of(Path(environment["SIGHTLINE_DATA_FOLDER"]))


@pytest.mark.timeout(900)
def test_a_study_is_sent_read_stored_and_shown_and_a_second_run_shows_it_again(environment: dict[str, str], tmp_path: Path) -> None:
    study_uid = write_radiograph(tmp_path / "sent", "first")
    first = demo(environment, "--once", "--json", tmp_path / "first.json", "--send", tmp_path / "sent")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "There is a nodule in the left lung." in first.stdout
    assert f"viewer?StudyInstanceUIDs={study_uid}" in first.stdout
    seen = studies_in(tmp_path / "first.json")[study_uid]
    assert seen["state"] == "done"
    assert len(seen["sr"]) == 3  # findings, draft report, measurements
    assert len(seen["seg"]) == 1
    assert seen["seconds"] > 0
    assert {"name", "sentence", "presence", "side", "confidence", "flags", "places"} == set(seen["findings"][0])
    assert not leftover(environment)

    other_uid = write_radiograph(tmp_path / "sent", "second")
    (tmp_path / "sent" / "notes.txt").write_text("not DICOM")
    with subprocess.Popen(
        [sys.executable, "-m", "deploy.demo", "--json", tmp_path / "second.json", "--send", tmp_path / "sent"],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        assert running.stdout is not None
        shown = []
        for line in running.stdout:
            shown.append(line)
            if "Ctrl-C" in line:
                break
        jobs = httpx.get(f"http://127.0.0.1:{environment['SIGHTLINE_API__PORT']}/api/v1/jobs").json()
        running.send_signal(signal.SIGINT)
        assert running.wait(120) == 0
    assert any("notes.txt: not a DICOM file" in line for line in shown)
    again = studies_in(tmp_path / "second.json")
    assert again[study_uid] == seen
    assert again[other_uid]["state"] == "done"
    assert len(jobs["jobs"] if isinstance(jobs, dict) else jobs) == 2
    assert not leftover(environment)


@pytest.mark.timeout(900)
def test_the_same_services_run_on_redis_and_postgresql_and_a_study_that_nobody_wants_is_refused(
    environment: dict[str, str], tmp_path: Path
) -> None:
    study_uid = write_radiograph(tmp_path / "sent", "wanted")
    refused_uid = write_radiograph(tmp_path / "sent", "unwanted")
    ultrasound = dcmread(tmp_path / "sent" / "unwanted.dcm")
    ultrasound.Modality = "US"
    ultrasound.save_as(tmp_path / "sent" / "unwanted.dcm")
    with postgres() as ledger, redis_server(tmp_path) as broker:
        environment |= {
            "SIGHTLINE_LEDGER__URL": ledger,
            "SIGHTLINE_QUEUE__BROKER_URL": broker,
            "SIGHTLINE_PACS__USER": "sightline",
            "SIGHTLINE_PACS__PASSWORD": "a secret",
        }
        done = demo(environment, "--once", "--json", tmp_path / "seen.json", "--send", tmp_path / "sent")
    seen = studies_in(tmp_path / "seen.json")
    assert seen[study_uid]["state"] == "done", done.stdout + done.stderr
    assert seen[study_uid]["sr"]
    assert seen[study_uid]["seg"]
    assert seen[refused_uid]["state"] == "refused"
    assert "US" in seen[refused_uid]["reason"]
    assert done.returncode == 1
    data = Path(environment["SIGHTLINE_DATA_FOLDER"])
    assert not list(data.glob("*.sqlite*"))
    assert not (data / "queue").exists()
    assert not leftover(environment)


def test_a_folder_without_dicom_is_named(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused = demo(environment, "--once", "--send", tmp_path / "empty")
    assert refused.returncode == 1
    assert "There is no DICOM file in" in refused.stderr


def test_a_wrong_setting_is_one_sentence(environment: dict[str, str]) -> None:
    refused = demo(environment | {"SIGHTLINE_LISTNER__PORT": "1"}, "--once")
    assert refused.returncode == 1
    assert refused.stderr == "demo: SIGHTLINE_LISTNER__PORT is not a setting; docs/settings.md lists them all.\n"
