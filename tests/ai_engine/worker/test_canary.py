"""Nothing of a patient but UIDs leaves the images: a study made of canary words goes through everything, and nowhere do they turn up."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import generate_uid
from pynetdicom import _config
from redis import Redis

from ai_engine.model.assistant import Assistant
from ai_engine.model.weights import save_weights
from connector.ledger import Ledger
from connector.queue import Queue
from deploy import services
from radiology.jobs import ANSWER_QUESTION, READ_STUDY, Job, JobState
from radiology.settings import (
    ApiSettings,
    EngineSettings,
    LedgerSettings,
    ListenerSettings,
    LogSettings,
    PacsSettings,
    QueueSettings,
    Settings,
    WatcherSettings,
)
from tests.ai_engine.chest_studies import radiographs
from tests.connector.modality import associate, named, scheduled, send, step
from tests.connector.samples import our_result
from tests.connector.waiting import until
from tests.orthanc import free_port
from tests.servers import redis_server

CANARY = "CANARY"
BIRTH = "19010203"
_QUOTED_BY_ORTHANC = re.compile(r"Ignoring DICOM tag \(....,....\) with invalid content for VR")
"""What Orthanc's own log says of a value that is none, and it cannot be told not to; docs/operate.md says so."""
CURIE = {"name": "Curie^Marie", "organization": "Institut du Radium"}


def as_canary(instance: Dataset) -> Dataset:
    """The image of somebody whose every attribute is a word that must not turn up, some of them in values that are none."""
    said = {
        "PatientName": "CANARYNAME^Ca",
        "PatientID": "CANARYID",
        "PatientBirthDate": BIRTH,
        "OtherPatientIDs": "CANARYOTHERID",
        "PatientAddress": "CANARYSTREET 7",
        "PatientTelephoneNumbers": "CANARYPHONE",
        "PatientComments": "CANARYCOMMENT",
        "AccessionNumber": "CANARYACCESSION",
        "ReferringPhysicianName": "CANARYDOCTOR",
        "ReferringPhysicianAddress": "CANARYPRACTICE",
        "InstitutionName": "CANARYHOSPITAL",
        "InstitutionAddress": "CANARYROAD",
        "OperatorsName": "CANARYOPERATOR",
        "StudyDescription": "CANARYSTUDY",
        "SeriesDescription": "CANARYSERIES",
        "RequestedProcedureDescription": "CANARYPROCEDURE",
        "AdditionalPatientHistory": "CANARYHISTORY",
        "StudyID": "CANARYSTUDYID",
    }
    for keyword, value in said.items():
        setattr(instance, keyword, value)
    private = instance.private_block(0x0099, "CANARYCREATOR", create=True)
    private.add_new(0x01, "LO", "CANARYPRIVATE")
    return instance


def damaged(instance: Dataset) -> Dataset:
    """Values that are none of their kind, as real devices write them: whoever reads them may say so, but not what they are."""
    for keyword, kind, value in (
        ("PatientBirthDate", "DA", b"CANARYDATE"),
        ("PatientAge", "AS", b"CANARYAGE "),
        ("AccessionNumber", "SH", b"CANARYACCESSION " * 8),
        ("PatientWeight", "DS", b"CANARYWEIGHT"),
        ("SeriesNumber", "IS", b"CANARYNUMBER"),
        ("ExposureTime", "IS", b"CANARYSECOND"),
        ("InstitutionName", "LO", b"CANARY\xff\xfe"),
    ):
        tag = Tag(keyword)
        instance[tag] = RawDataElement(tag, kind, len(value), value, 0, False, True)
    return instance


@pytest.fixture
def settings(taught_assistant: Assistant, tmp_path: Path) -> Iterator[Settings]:
    weights = tmp_path / "weights"
    weights.mkdir()
    save_weights(weights, taught_assistant.model, taught_assistant.language)
    url = f"http://127.0.0.1:{free_port()}"
    with redis_server(tmp_path) as broker_url:
        with Redis.from_url(broker_url) as broker:
            broker.config_set("appendonly", "yes")  # every message that it is given is in a file then
        yield Settings(
            data_folder=tmp_path / "data",
            log=LogSettings(level="DEBUG"),
            pacs=PacsSettings(dicomweb_url=f"{url}/dicom-web", orthanc_url=url, port=free_port(), storage_commitment="ask"),
            listener=ListenerSettings(port=free_port(), minimum_free_bytes=1 << 20, procedure_steps=True),
            watcher=WatcherSettings(quiet_seconds=1),
            ledger=LedgerSettings(lease_seconds=10, retry_seconds=1),
            queue=QueueSettings(broker_url=broker_url),
            api=ApiSettings(port=free_port()),
            engine=EngineSettings(weights=weights, threads=1, maximum_key_slices=2),
        )


def send_everything(settings: Settings, folder: Path) -> list[str]:
    """Send as modalities do, well and badly; returns the UIDs of the studies that are to be read."""
    good, odd = ([as_canary(film) for film in radiographs("PA")] for _ in range(2))
    study_uids = [str(study[0].StudyInstanceUID) for study in (good, odd)]
    with step(settings.listener) as say:
        step_uid = generate_uid()
        assert say("N-CREATE", step_uid, as_canary(scheduled(study_uids[0]))).Status == 0x0000
        assert say("N-CREATE", step_uid, as_canary(scheduled(study_uids[0]))).Status == 0x0111
        assert send(settings.listener, good[0]) == 0x0000
        images = [str(each.SOPInstanceUID) for each in good]
        assert say("N-SET", step_uid, named("COMPLETED", str(good[0].SOPClassUID), images)).Status == 0x0000
    assert send(settings.listener, as_canary(our_result(study_uids[1]))) == 0x0000
    odd_file, cut_file = folder / "odd.dcm", folder / "cut.dcm"
    damaged(odd[0]).save_as(odd_file, enforce_file_format=True)
    assert send(settings.listener, odd_file) == 0x0000
    cut_file.write_bytes(odd_file.read_bytes()[:-40])
    assert send(settings.listener, cut_file) == 0xC000
    again = as_canary(good[0])
    again.InstanceNumber = 77
    assert send(settings.listener, again) == 0x0000, "kept, in quarantine"
    assert associate(settings.listener, called="SOMEBODY").is_rejected
    return study_uids


def use_the_api(settings: Settings, study_uid: str) -> list[str]:
    """Read, judge, ask and fail as people do; returns what must hold no word of the patient."""
    told: list[str] = []
    with httpx.Client(base_url=f"http://127.0.0.1:{settings.api.port}", timeout=60) as client:
        report = client.get(f"/api/v1/studies/{study_uid}/report").json()["report"]
        verdicts = [{"verdict": "accept", "number": finding["number"]} for finding in report["findings"]]
        decision = {"person": CURIE, "verdicts": verdicts, "document_uid": report["document_uid"], "sign": True}
        assert client.post(f"/api/v1/studies/{study_uid}/decisions", json=decision).status_code == 200
        told.append(client.post(f"/api/v1/studies/{study_uid}/decisions", json=decision | {"document_uid": "1.2.3"}).text)
        series_uid = report["findings"][0]["places"][0]["series_uid"]
        question = {"person": CURIE, "kind": "segment", "words": "right lung", "series_uid": series_uid, "slice": 0}
        asked = client.post(f"/api/v1/studies/{study_uid}/questions", json=question).json()
        where = f"/api/v1/studies/{study_uid}/questions/{asked['question_id']}"
        until(lambda: client.get(where).json()["state"] in ("answered", "failed"), 120)
        for path in ("jobs", "metrics", "doctor", "health", "audit", "quarantine", "work", f"studies/{study_uid}/report/history"):
            answer = client.get(f"/api/v1/{path}")
            told.append(answer.text)
            assert answer.status_code == 200, path
        for bad in ({"person": CANARY}, {**decision, "verdicts": [{"verdict": CANARY}]}, {**decision, CANARY: 1}):
            answer = client.post(f"/api/v1/studies/{study_uid}/decisions", json=bad)
            assert answer.status_code == 422
            told.append(answer.text)
        for path in ("studies/CANARYID/report", "jobs/CANARYID", "CANARYID"):
            answer = client.get(f"/api/v1/{path}")
            assert answer.is_error, path
            told.append(answer.text)
        assert CANARY in client.get("/dicom-web/studies", params={"PatientName": "CANARYNAME*"}).text, "the viewer shows who it is"
        told.append(client.get("/dicom-web/CANARY", params={"PatientName": "CANARYNAME"}).text)
    return told


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_word_of_a_patient_is_in_logs_messages_metrics_answers_or_names_of_files(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_config, "STORE_SEND_CHUNKED_DATASET", True)  # files are sent as they are
    with services.running(settings) as check, closing(Ledger.open(settings)) as ledger:
        study_uids = send_everything(settings, tmp_path)
        jobs = [_ended(ledger, uid, check) for uid in study_uids]
        assert jobs[0].state is JobState.DONE, jobs[0].reason
        assert "committed" in jobs[0].reason
        steps = [repr(each) for job in jobs for each in ledger.history(job.job_id)]
        told = use_the_api(settings, study_uids[0])
        by_file = settings.model_copy(update={"queue": QueueSettings()})
        Queue(by_file).send(jobs[0].job_id)
    messages = "".join(path.read_text(errors="replace") for path in (tmp_path / "appendonlydir").iterdir())
    assert all(name in messages for name in (READ_STUDY, ANSWER_QUESTION)), "the broker kept what it was given"
    files = [path for path in settings.data_folder.rglob("*") if path.is_file()]
    assert any(path.name == "worker.log" for path in files)
    written = {path.name: path.read_bytes().decode(errors="replace") for path in files if not _is_the_archive_or_an_image(path, settings)}
    said = {"messages": [messages], "answers": told, "steps": steps, "names of files": map(str, files)}
    leaks = [leak for where, texts in said.items() for leak in _leaks(where, texts)]
    assert leaks + [leak for name, text in written.items() for leak in _leaks(name, [text])] == []


def _ended(ledger: Ledger, study_uid: str, check: Callable[[], None]) -> Job:
    """Wait until a study is read, or is not."""

    def ended() -> list[Job]:
        check()
        job = ledger.latest(study_uid)
        return [job] if job and job.state not in (JobState.ARRIVING, JobState.QUEUED, JobState.RUNNING) else []

    return until(ended, 300)[0]


def _is_the_archive_or_an_image(path: Path, settings: Settings) -> bool:
    return path.suffix == ".dcm" or path.is_relative_to(settings.data_folder / "orthanc")


def _leaks(where: str, said: Iterable[str]) -> list[str]:
    lines = (line for text in said for line in text.splitlines() if not _QUOTED_BY_ORTHANC.search(line))
    return [f"{where}: {line[:500]}" for line in lines if CANARY in line.upper() or BIRTH in line]
