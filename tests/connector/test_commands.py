"""The command line, run as a person runs it."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from pydicom import Dataset
from pydicom.data import get_testdata_file
from typer.testing import CliRunner, Result

from connector.__main__ import app
from connector.ledger import Ledger, Outcome
from connector.spool import Spool
from radiology.jobs import JobState
from radiology.judgement import Observer
from radiology.question import Answer, Point, Prompt, QuestionKind
from radiology.report import ModelIdentity
from radiology.settings import Settings
from tests.connector.samples import ct_series, radiograph, ultrasound
from tests.connector.waiting import until
from tests.orthanc import Orthanc, free_port


def environment(settings: Settings) -> dict[str, str]:
    """The settings as a person would set them."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("SIGHTLINE_")},
        "SIGHTLINE_DATA_FOLDER": str(settings.data_folder),
        "SIGHTLINE_PACS__DICOMWEB_URL": settings.pacs.dicomweb_url,
        "SIGHTLINE_PACS__ORTHANC_URL": settings.pacs.orthanc_url,
        "SIGHTLINE_PACS__PORT": str(settings.pacs.port),
        "SIGHTLINE_LISTENER__PORT": str(settings.listener.port),
        "SIGHTLINE_LISTENER__MINIMUM_FREE_BYTES": "1000000",
        "COLUMNS": "200",
    }


def sightline(*arguments: object, settings: Settings, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    command = [sys.executable, "-m", "connector", *map(str, arguments)]
    return subprocess.run(command, env=environment(settings) | variables, capture_output=True, text=True, timeout=120, check=False)


def said(*arguments: object, settings: Settings, **variables: str) -> Result:
    """Run one command in this process, which takes no second."""
    return CliRunner().invoke(app, [str(each) for each in arguments], env=environment(settings) | variables)


@contextmanager
def service(name: str, settings: Settings, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run a service for the time of a test."""
    command = [sys.executable, "-m", "connector", name]
    process = subprocess.Popen(command, env=environment(settings) | variables, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.fixture
def settings(orthanc: Orthanc, tmp_path: Path) -> Settings:
    listener = orthanc.settings.listener.model_copy(update={"port": free_port()})
    return orthanc.settings.model_copy(update={"data_folder": tmp_path / "data", "listener": listener})


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    ledger = Ledger.open(settings)
    yield ledger
    ledger.close()


def save(instance: Dataset, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    instance.save_as(path, enforce_file_format=True)


def test_status_shows_each_study_with_state_and_reason(settings: Settings, ledger: Ledger) -> None:
    ledger.refuse(ledger.arriving("1.2.3", "US, 1 image", "1 image.").job_id, "Modality US is not read.")
    shown = sightline("status", settings=settings)
    assert shown.returncode == 0
    row = next(line for line in shown.stdout.splitlines() if "1.2.3" in line)
    assert "US, 1 image" in row
    assert "refused" in row
    assert "Modality US is not read." in row


def test_status_of_a_study_shows_every_step(settings: Settings, ledger: Ledger) -> None:
    job = ledger.arriving("1.2.3", "CT CHEST, 24 images", "First image.")
    ledger.queue(job.job_id, "d" * 64, "Quiet for 5 s.")
    shown = sightline("status", "1.2.3", settings=settings)
    assert shown.stdout.index("First image.") < shown.stdout.index("Quiet for 5 s.")


def test_status_of_a_study_shows_what_the_archive_committed_to(settings: Settings, ledger: Ledger) -> None:
    ledger.arriving("1.2.3", "CT CHEST, 24 images", "First image.")
    answered, _ = (ledger.commitments.ask("1.2.3", [uid]) for uid in ("1.2.3.4", "1.2.3.5"))
    ledger.commitments.answer(answered, [], {"1.2.3.4": 0x0112})
    shown = sightline("status", "1.2.3", settings=settings).stdout
    assert "commitment to 1 results: refused for 1.2.3.4 (0x0112)" in shown
    assert "commitment to 1 results: no answer" in shown


@pytest.mark.parametrize("arguments", [("status", "1.2.9"), ("retry", "1.2.9")])
def test_an_unknown_study_is_a_sentence(settings: Settings, arguments: tuple[str, str]) -> None:
    answer = sightline(*arguments, settings=settings)
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1
    assert "1.2.9" in answer.stderr
    assert "send the study first" in answer.stderr or "send it first" in answer.stderr


def test_retry_queues_a_refused_study_again(settings: Settings, ledger: Ledger) -> None:
    ledger.refuse(ledger.arriving("1.2.3", "CT CHEST, 24 images", "24 images.").job_id, "A slice is missing.")
    answer = sightline("retry", "1.2.3", settings=settings)
    assert answer.returncode == 0
    assert "queued" in answer.stdout


def test_what_failed_is_shown_with_its_reason_and_tried_again_in_one_go(settings: Settings, ledger: Ledger) -> None:
    assert "No study failed" in sightline("show-stuck", settings=settings).stdout
    for study in ("1.2.3", "1.2.4"):
        job = ledger.queue(ledger.arriving(study, "CT CHEST, 24 images", "24 images.").job_id, "d" * 64, "Quiet for 5 s.")
        ledger.take(job.job_id, "worker-1")
        ledger.finish(job.job_id, "worker-1", JobState.FAILED, "The model's answer is cut off.", Outcome())
    shown = sightline("show-stuck", settings=settings).stdout
    assert shown.index("1.2.3") < shown.index("1.2.4")
    assert shown.count("The model's answer is cut off.") == 2
    assert "Name one study" in sightline("retry", settings=settings).stderr
    assert sightline("retry", "--failed", settings=settings).stdout.count("is queued") == 2
    assert ledger.jobs(JobState.FAILED) == []


def test_the_work_is_steered_and_it_is_noted_who_did(settings: Settings, ledger: Ledger) -> None:
    job = ledger.queue(ledger.arriving("1.2.3", "CT CHEST, 24 images", "24 images.").job_id, "d" * 64, "Quiet for 5 s.")
    assert "Paused since" in said("pause", "--reason", "The model is exchanged", settings=settings).stdout
    assert ": The model is exchanged." in said("status", settings=settings).stdout
    assert ledger.take(job.job_id, "worker-1") is None
    assert "is queued, urgent." in said("prioritise", "1.2.3", "urgent", settings=settings).stdout
    assert "taken up again" in said("resume", settings=settings).stdout
    assert "Paused" not in said("status", settings=settings).stdout
    assert "only a study that was read" in str(said("replay", "1.2.3", settings=settings).exception)
    noted = [(entry.study_uid, entry.detail) for entry in ledger.audit.entries()]
    assert noted == [("", "pause"), ("1.2.3", "priority urgent"), ("", "resume"), ("1.2.3", "replay")]


def test_rules_are_tried_on_a_folder_before_they_count(settings: Settings, tmp_path: Path) -> None:
    film, other = radiograph("1.2.81"), ultrasound("1.2.82")
    film.StudyDescription = "Thorax Doe"
    for image in (film, other):
        save(image, tmp_path / "folder" / f"{image.StudyInstanceUID}.dcm")
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules:\n- {name: night, hours: 22:00-06:00, read: no}\n- {name: emergency, source: ER*, priority: urgent}\n")
    tried = said("rules", "test", tmp_path / "folder", "--rules", rules, "--source", "ER1", "--at", "12:00", settings=settings)
    assert tried.exit_code == 0, tried.stderr
    assert 'not "night": it came at 12:00, not within 22:00-06:00' in tried.stdout
    assert 'Rule "emergency": urgent.' in tried.stdout
    assert "=> read, urgent" in tried.stdout
    assert "modality US is none of" in tried.stdout
    assert "Doe" not in tried.stdout
    by_night = said("rules", "test", tmp_path / "folder", settings=settings, SIGHTLINE_WATCHER__RULES=str(rules))
    assert by_night.exit_code == 0
    rules.write_text("rules:\n- {name: night, hours: 22-6}\n")
    bad = said("rules", "test", tmp_path / "folder", "--rules", rules, settings=settings)
    assert bad.exit_code == 2
    assert "rules.yaml, line 2: rule 1, hours: " in bad.stderr


def test_sweep_says_what_would_go_before_it_goes(settings: Settings, ledger: Ledger) -> None:
    assert "kept for good" in said("sweep", settings=settings).stdout
    job = ledger.refuse(ledger.arriving("1.2.3", "US, 1 image", "1 image.").job_id, "Modality US is not read.")
    now = {"SIGHTLINE_RETENTION__STEPS_DAYS": "0"}
    assert said("sweep", "--dry-run", settings=settings, **now).stdout == "steps of jobs: 1 would go\n"
    assert ledger.history(job.job_id) != []
    assert said("sweep", settings=settings, **now).stdout == "steps of jobs: 1 gone\n"
    assert ledger.history(job.job_id) == []


def test_a_watcher_with_bad_rules_says_the_line_and_does_not_start(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("rules:\n- nome: night\n")
    answer = sightline("watch", settings=settings, SIGHTLINE_WATCHER__RULES=str(tmp_path / "rules.yaml"))
    assert answer.returncode == 1
    assert "rules.yaml, line 2: rule 1, " in answer.stderr
    assert "Traceback" not in answer.stderr


def test_questions_shows_who_asked_what_and_which_weights_answered(settings: Settings, ledger: Ledger) -> None:
    prompt = Prompt(QuestionKind.SEGMENT, "1.2.1", 4, "the left lower lobe", (Point(3, 5),))
    first, _ = (ledger.questions.ask("1.2.3", prompt, Observer("Curie^Marie", "Institut du Radium")) for _ in range(2))
    ledger.questions.take(first.question_id, "worker")
    ledger.questions.answer(first.question_id, "worker", Answer("The left lower lobe.", ModelIdentity("small", "1", "ab" * 32)))
    shown = sightline("questions", "1.2.3", settings=settings).stdout
    for said in ("Curie^Marie, Institut du Radium", '"the left lower lobe"', "answered: The left lower lobe.", "ab" * 32, "queued:"):
        assert said in shown


def test_bad_settings_are_one_sentence(settings: Settings) -> None:
    answer = sightline("status", settings=settings, SIGHTLINE_API__PORT="many", SIGHTLINE_API__COLOUR="blue")
    assert answer.returncode == 1
    assert answer.stderr.count("\n") == 1
    assert "SIGHTLINE_API__PORT" in answer.stderr
    assert "SIGHTLINE_API__COLOUR" in answer.stderr
    answer = sightline("status", settings=settings, SIGHTLINE_WACHTER__QUIET_SECONDS="1")
    assert answer.returncode == 1
    assert "SIGHTLINE_WACHTER__QUIET_SECONDS is not a setting" in answer.stderr


def test_a_folder_is_sent_whatever_the_transfer_syntax(orthanc: Orthanc, settings: Settings, ledger: Ledger, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for number, image in enumerate([*ct_series("1.2.71"), radiograph("1.2.72")]):
        save(image, folder / "deep" / f"{number}")
    for name in ("JPEG2000.dcm", "MR_small_RLE.dcm", "JPEG-LL.dcm"):
        (folder / name).write_bytes(Path(str(get_testdata_file(name))).read_bytes())
    (folder / "DICOMDIR").write_bytes(Path(str(get_testdata_file("DICOMDIR"))).read_bytes())
    (folder / "notes.txt").write_text("not an image")
    with service("listen", settings) as listener:
        until(lambda: sightline_accepts(settings) or listener.poll() is not None)
        answer = sightline("send", folder, settings=settings)
        assert answer.returncode == 0, answer.stderr
        assert "7 instances sent, 0 failed." in answer.stdout
        assert "notes.txt: not a DICOM file, skipped." in answer.stderr
        assert "DICOMDIR: a DICOMDIR, skipped." in answer.stderr
        until(lambda: httpx.get(f"{orthanc.url}/statistics").json()["CountInstances"] == 7)
        until(lambda: ledger.sources.of_study("1.2.71") == ledger.sources.of_study("1.2.72") == {"SIGHTLINE_SEND"})


def test_a_damaged_file_fails_the_command_and_the_others_are_sent(settings: Settings, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    for number, image in enumerate(ct_series("1.2.73")):
        save(image, folder / f"{number}.dcm")
    (folder / "cut.dcm").write_bytes((folder / "0.dcm").read_bytes()[:200])
    with service("listen", settings) as listener:
        until(lambda: sightline_accepts(settings) or listener.poll() is not None)
        answer = sightline("send", folder, settings=settings)
    assert answer.returncode == 1
    assert "3 instances sent, 1 failed." in answer.stdout
    assert "cut.dcm: " in answer.stderr


def test_without_a_listener_send_says_what_to_start(settings: Settings, tmp_path: Path) -> None:
    save(radiograph("1.2.74"), tmp_path / "folder" / "1.dcm")
    answer = sightline("send", tmp_path / "folder", settings=settings)
    assert answer.returncode == 1
    assert "sightline listen" in answer.stderr
    assert "Traceback" not in answer.stderr
    missing = sightline("send", tmp_path / "nowhere", settings=settings)
    assert missing.returncode == 1
    assert "nowhere" in missing.stderr


def test_serve_answers_and_ends_when_it_is_told_to(settings: Settings) -> None:
    port = free_port()
    with service("serve", settings, SIGHTLINE_API__PORT=str(port)) as api:
        assert until(lambda: answers(f"http://127.0.0.1:{port}/api/v1/health") or api.poll() is not None) is True
        # Somebody who follows a study never hangs up, and must not keep the service from ending.
        with httpx.stream("GET", f"http://127.0.0.1:{port}/api/v1/studies/1.2.3/events", timeout=60) as follower:
            assert next(follower.iter_lines()) == "event: study"
            api.terminate()
            assert api.wait(30) == 0 or api.returncode == -15


def test_serve_on_a_taken_port_is_a_sentence(orthanc: Orthanc, settings: Settings) -> None:
    taken = httpx.URL(orthanc.url).port
    answer = sightline("serve", settings=settings, SIGHTLINE_API__PORT=str(taken))
    assert answer.returncode == 1
    assert f"Port {taken} on 127.0.0.1 cannot be used" in answer.stderr
    assert "SIGHTLINE_API__PORT" in answer.stderr
    assert "Traceback" not in answer.stderr


def answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code in (200, 503)
    except httpx.HTTPError:
        return False


def sightline_accepts(settings: Settings) -> bool:
    """Whether the listener takes connections."""
    with socket.socket() as probe:
        return probe.connect_ex((settings.listener.host, settings.listener.port)) == 0


def test_what_is_in_quarantine_is_listed_and_let_go_by_name(settings: Settings) -> None:
    first = radiograph("1.2.3")
    second = deepcopy(first)
    second.PixelData = bytes(128)
    spool = Spool(settings.data_folder / "spool")
    for each in (first, second):
        stream = BytesIO()
        each.save_as(stream, enforce_file_format=True)
        spool.keep("1.2.3", first.SOPInstanceUID, stream.getvalue())
    listed = sightline("quarantine", settings=settings).stdout.splitlines()
    assert len(listed) == 1
    assert f"study 1.2.3  instance {first.SOPInstanceUID}" in listed[0]
    assert "in quarantine" in sightline("quarantine", "--release", "1.2.9", settings=settings).stderr
    assert sightline("quarantine", "--release", first.SOPInstanceUID, settings=settings).returncode == 0
    assert (len(spool.waiting()), spool.quarantine.files()) == (2, [])
