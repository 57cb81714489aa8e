"""The HTTP API over a real archive: jobs, a study's report read back from our SR and SEG, health, and errors as problems."""

import json
import subprocess
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

import dicom_sr
from connector.api import create_app
from connector.ledger import Ledger, Outcome
from connector.pacs import Pacs
from radiology.jobs import JobState
from radiology.judgement import Observer, Reason, Rejection
from radiology.settings import QueueSettings, Settings
from radiology.verdict import Accept, Decision, Reject
from tests.e2e import chest
from tests.orthanc import free_port

EXTENSION = Path(__file__).parents[3] / "ohif-extension"


def test_jobs_are_listed_newest_first_with_their_reasons(client: TestClient, ledger: Ledger) -> None:
    ledger.arriving("1.2.3", "CT CHEST, 24 images", "3 images so far.")
    ledger.refuse(ledger.arriving("1.2.4", "US, 1 image", "1 image.").job_id, "Modality US is not read.")
    jobs = client.get("/api/v1/jobs").json()
    assert [(job["study_uid"], job["state"], job["reason"]) for job in jobs] == [
        ("1.2.4", "refused", "Modality US is not read."),
        ("1.2.3", "arriving", "3 images so far."),
    ]
    assert [job["study_uid"] for job in client.get("/api/v1/jobs", params={"state": "arriving"}).json()] == ["1.2.3"]


def test_a_job_tells_every_step_that_it_took(client: TestClient, ledger: Ledger) -> None:
    job = ledger.arriving("1.2.3", "CT CHEST, 24 images", "First image.")
    ledger.queue(job.job_id, "d" * 64, "Quiet for 5 s.")
    ledger.take(job.job_id, "worker")
    ledger.finish(job.job_id, "worker", JobState.DONE, "2 results stored.", Outcome("ab" * 32, ("1.9.1", "1.9.2"), {"model": 1.5}))
    told = client.get(f"/api/v1/jobs/{job.job_id}").json()
    assert [step["target"] for step in told["history"]] == ["arriving", "queued", "running", "done"]
    assert told["result_uids"] == ["1.9.1", "1.9.2"]
    assert told["parts"] == {"model": 1.5}


def test_a_report_is_read_back_from_the_archive(client: TestClient, ct_in_archive: str) -> None:
    told = client.get(f"/api/v1/studies/{ct_in_archive}/report").json()
    assert "not verified" in told["notice"]
    assert told["state"] is None, "this installation never had a job for it"
    nodule, effusion, pneumothorax = told["report"]["findings"]
    (place,) = nodule["places"]
    assert (nodule["sentence"], nodule["side"], nodule["presence"]) == ("A nodule in the right lung.", "right", "present")
    assert place["start"] == [13, 39, 25]
    assert place["stop"] == [18, 50, 36]
    assert place["instance_uid"] == "2.25.2000.1.16", "the slice that shows most of the nodule"
    assert effusion["flags"] == ["The mask fills only a small part of its box."]
    assert (pneumothorax["presence"], pneumothorax["places"]) == ("absent", [])
    assert told["report"]["withheld"] == ["One sentence was withheld: its side and the side of its mask disagree."]
    assert told["report"]["model"]["weights_hash"] == chest.MODEL.weights_hash


def test_the_report_is_told_as_fhir_too(client: TestClient, ct_in_archive: str) -> None:
    answer = client.get(f"/api/v1/studies/{ct_in_archive}/fhir")
    assert answer.headers["content-type"] == "application/fhir+json"
    told = [entry["resource"] for entry in answer.json()["entry"]]
    (report,) = (each for each in told if each["resourceType"] == "DiagnosticReport")
    assert (report["status"], report["conclusion"]) == ("preliminary", "A nodule in the right lung.")
    assert client.get("/api/v1/studies/1.2.3/fhir").status_code == 404


def test_of_two_readings_the_newest_is_told_and_the_other_is_history(client: TestClient, ct_in_archive: str, settings: Settings) -> None:
    pacs = Pacs.connect(settings.pacs)
    study = pacs.fetch(ct_in_archive)
    other = replace(chest.MODEL, weights_hash="9" * 64)
    later = replace(chest.ct_report(study, later=timedelta(hours=1), impression="Read again."), model=other)
    pacs.store(dicom_sr.write(study, later, previous=pacs.results(ct_in_archive)))
    assert client.get(f"/api/v1/studies/{ct_in_archive}/report").json()["report"]["impression"] == "Read again."
    told = client.get(f"/api/v1/studies/{ct_in_archive}/report/history").json()
    assert [(each["impression"], each["state"]) for each in told] == [
        ("Read again.", "preliminary"),
        ("A nodule in the right lung.", "replaced"),
    ]


def test_what_a_radiologist_decided_is_told_and_what_was_rejected_is_not_but_for_the_history(
    client: TestClient, ct_in_archive: str, settings: Settings
) -> None:
    pacs = Pacs.connect(settings.pacs)
    study = pacs.fetch(ct_in_archive)
    shown = client.get(f"/api/v1/studies/{ct_in_archive}/report").json()["report"]
    reader = Observer("Curie^Marie", "Institut du Radium")
    moment = datetime.fromisoformat(shown["moment"]) + timedelta(hours=1)
    verdicts = (Reject(1, Reason.FALSE_POSITIVE), Accept(2), Accept(3))
    decision = Decision(shown["document_uid"], reader, moment, verdicts, is_signed=True)
    pacs.store(dicom_sr.revise(study, pacs.results(ct_in_archive), decision))
    answer = client.get(f"/api/v1/studies/{ct_in_archive}/report").json()
    assert "signed by a radiologist" in answer["notice"]
    told = answer["report"]
    assert (told["version"], told["state"], told["verified_by"]["name"]) == (2, "final", "Curie^Marie")
    assert [each["number"] for each in told["findings"]] == [2, 3]
    assert {each["decided"]["judgement"] for each in told["findings"]} == {"accepted"}
    assert [(each["number"], each["reason"]) for each in told["rejected"]] == [(1, "false positive")]
    history = client.get(f"/api/v1/studies/{ct_in_archive}/report/history").json()
    assert [[each["number"] for each in version["findings"]] for version in history] == [[2, 3], [1, 2, 3]]
    note = dicom_sr.reject(study, pacs.results(ct_in_archive), Rejection(0, Reason.WRONG_PLACE, reader, moment + timedelta(hours=1)))
    pacs.store([note])
    told = client.get(f"/api/v1/studies/{ct_in_archive}/report").json()
    assert (told["report"], told["taken_back"]["person"]["name"], told["taken_back"]["reason"]) == (None, "Curie^Marie", "wrong place")
    history = client.get(f"/api/v1/studies/{ct_in_archive}/report/history").json()
    assert [(version["state"], version["rejected"][-1]["reason"]) for version in history] == [("rejected", "wrong place")] * 2


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        ({"withheld": ()}, "found"),
        ({"findings": (), "withheld": ()}, "nothing found"),
        ({"findings": ()}, "withheld"),
        ({"withheld": (), "failures": ("The lateral view is not read.",)}, "partly read"),
        ({"findings": (), "withheld": (), "impression": "", "failures": ("No slice has a position.",), "is_read": False}, "not read"),
    ],
)
def test_found_nothing_withheld_partly_and_not_read_are_told_apart(
    change: dict[str, Any], outcome: str, client: TestClient, settings: Settings
) -> None:
    pacs = Pacs.connect(settings.pacs)
    images = chest.ct_study()
    pacs.store(images)
    study = pacs.fetch(images[0].StudyInstanceUID)
    pacs.store(dicom_sr.write(study, replace(chest.ct_report(study), **change)))
    told = client.get(f"/api/v1/studies/{study.study_uid}/report").json()["report"]
    assert (told["outcome"], told["failures"]) == (outcome, list(change.get("failures", ())))


def test_a_study_that_was_never_read_has_no_history(client: TestClient) -> None:
    assert client.get("/api/v1/studies/1.2.3/report/history").json() == []


def test_a_study_without_a_report_has_a_state_and_a_reason(client: TestClient, ledger: Ledger) -> None:
    job = ledger.arriving("1.2.3", "CT CHEST, 24 images", "First image.")
    ledger.refuse(job.job_id, "Series 1.2.3.4 has unevenly spaced slices.")
    told = client.get("/api/v1/studies/1.2.3/report").json()
    assert told["report"] is None
    assert (told["state"], told["reason"]) == ("refused", "Series 1.2.3.4 has unevenly spaced slices.")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/studies/1.2.3/report", 404),
        ("/api/v1/studies/1.2.x/report", 422),
        ("/api/v1/studies/" + "1." * 40 + "1/report", 422),
        ("/api/v1/jobs/7", 404),
        ("/api/v1/jobs/seven", 422),
        ("/api/v1/jobs/99999999999999999999", 422),
        ("/api/v1/studies/1.2.3/questions/99999999999999999999", 422),
        ("/api/v1/jobs?limit=0", 422),
        ("/api/v1/nothing", 404),
        ("/api/v2/jobs", 404),
    ],
)
def test_errors_are_problem_documents(client: TestClient, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == status
    assert answer.json()["detail"]


def test_a_decision_on_a_study_that_the_archive_does_not_have_is_told_so(client: TestClient) -> None:
    asked = {"document_uid": "2.25.1", "person": {"name": "Curie^Marie", "organization": "Institut du Radium"}, "verdicts": []}
    answer = client.post("/api/v1/studies/1.2.3/decisions", json=asked)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


def test_every_error_is_described_as_a_problem_document(client: TestClient) -> None:
    paths = client.get("/api/v1/openapi.json").json()["paths"]
    described = {
        (path, status): list(answer["content"])
        for path, methods in paths.items()
        for operation in methods.values()
        for status, answer in operation["responses"].items()
        if status == "default" or (status.startswith("4") and status != "422")
    }
    assert {"default", "409"} <= {status for _, status in described}
    assert not [place for place, kinds in described.items() if "application/problem+json" not in kinds]


def test_an_archive_that_is_away_is_said(settings: Settings) -> None:
    away = settings.pacs.model_copy(update={"dicomweb_url": f"http://127.0.0.1:{free_port()}/dicom-web"})
    with TestClient(create_app(settings.model_copy(update={"pacs": away})), base_url="http://127.0.0.1") as client:
        answer = client.get("/api/v1/studies/1.2.3/report")
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
        health = client.get("/api/v1/health")
        assert health.status_code == 503
        assert not health.json()["archive"]["ok"]
        assert "does not answer" in health.json()["archive"]["why"]
        assert health.json()["ledger"]["ok"]


def test_health_looks_at_archive_ledger_queue_and_disk(client: TestClient, settings: Settings) -> None:
    health = client.get("/api/v1/health")
    assert health.status_code == 200
    assert health.json() == {"ok": True} | {part: {"ok": True, "why": ""} for part in ("archive", "ledger", "queue", "disk")}
    narrow = settings.model_copy(
        update={
            "listener": settings.listener.model_copy(update={"minimum_free_bytes": 1 << 60}),
            "queue": QueueSettings(broker_url=f"redis://127.0.0.1:{free_port()}/0"),
        }
    )
    with TestClient(create_app(narrow), base_url="http://127.0.0.1") as narrow_client:
        told = narrow_client.get("/api/v1/health").json()
    assert "free" in told["disk"]["why"]
    assert "cannot be reached" in told["queue"]["why"]


def test_other_host_names_are_refused(client: TestClient) -> None:
    assert client.get("/api/v1/jobs", headers={"Host": "evil.example"}).status_code == 400


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
def test_a_page_of_another_origin_cannot_decide(client: TestClient, kind: str) -> None:
    # What a browser sends without asking first, it sends as one of these.
    body = json.dumps({"document_uid": "2.25.1", "person": {"name": "A", "organization": "B"}, "verdicts": []})
    assert client.post("/api/v1/studies/1.2.3/decisions", content=body, headers={"content-type": kind}).status_code == 422
    assert "access-control-allow-origin" not in client.options("/api/v1/studies/1.2.3/decisions", headers={"Origin": "http://evil"}).headers


def test_nothing_of_a_study_is_changed_but_by_decisions_and_questions(client: TestClient) -> None:
    paths = client.get("/api/v1/openapi.json").json()["paths"]
    assert {method for path in paths.values() for method in path} == {"get", "post"}
    changing = {path for path, methods in paths.items() if "post" in methods and path.startswith("/api/v1/studies/")}
    assert {path.rsplit("/", 1)[-1] for path in changing} == {"decisions", "rejection", "questions"}


def test_the_extensions_types_are_those_of_the_api(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(client.get("/api/v1/openapi.json").json()))
    generator = EXTENSION / "node_modules" / ".bin" / "openapi-typescript"
    assert generator.exists(), "run: npm ci --prefix ohif-extension"
    subprocess.run(
        [generator, tmp_path / "openapi.json", "--output", tmp_path / "types.ts", "--default-non-nullable", "false"],
        check=True,
        capture_output=True,
    )
    assert (tmp_path / "types.ts").read_text() == (EXTENSION / "src" / "types.ts").read_text(), (
        "run in ohif-extension, with the virtual environment active: npm run types"
    )
