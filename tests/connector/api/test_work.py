"""What an administrator sees of the work, and does about it."""

from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient

from connector.audit import Event
from connector.ledger import MODEL_IN_USE, Ledger, Outcome
from radiology.jobs import JobState


def failed(ledger: Ledger, study_uid: str) -> int:
    job = ledger.queue(ledger.arriving(study_uid, "CT CHEST, 24 images", "24 images.").job_id, "d" * 64, "Complete.")
    ledger.take(job.job_id, "worker-1")
    return ledger.finish(job.job_id, "worker-1", JobState.FAILED, "The answer cannot be read.", Outcome()).job_id


def test_each_study_is_told_once_with_how_far_it_is_and_what_can_be_asked_for_it(client: TestClient, ledger: Ledger) -> None:
    failed(ledger, "1.2.3")
    ledger.arriving("1.2.3", "CT CHEST, 25 images", "One image more.")
    failed(ledger, "1.2.4")
    running = ledger.queue(ledger.arriving("1.2.5", "CR CHEST, 1 image", "1 image.").job_id, "e" * 64, "Complete.")
    ledger.take(running.job_id, "worker-1")
    ledger.progress(running.job_id, "worker-1", 0.25, "Slice 3 of 12")
    told = client.get("/api/v1/work/studies").json()
    assert [(each["study_uid"], each["state"], each["revision"], each["steps"]) for each in told] == [
        ("1.2.5", "running", 0, []),
        ("1.2.4", "failed", 0, ["retry"]),
        ("1.2.3", "arriving", 1, ["prioritise"]),
    ]
    assert told[0]["progress"] == {"share": 0.25, "doing": "Slice 3 of 12"}
    assert [each["study_uid"] for each in client.get("/api/v1/work/studies", params={"state": "failed"}).json()] == ["1.2.4"]
    assert [each["study_uid"] for each in client.get("/api/v1/work/studies", params={"study_uid": "1.2.3"}).json()] == ["1.2.3"]
    assert {each["study_uid"] for each in client.get("/api/v1/work/stuck").json()} == {"1.2.4"}
    assert {each["study_uid"] for each in client.get("/api/v1/work/stuck", params={"minutes": 0}).json()} == {"1.2.3", "1.2.4", "1.2.5"}


def test_the_work_is_counted_and_who_sends_now_is_named(client: TestClient, ledger: Ledger) -> None:
    failed(ledger, "1.2.3")
    ledger.sources.association_open("one", "1.2.9", "CT1")
    work = client.get("/api/v1/work").json()
    assert (work["jobs"]["failed"], work["jobs"]["queued"]) == (1, 0)
    assert [(each["calling_ae"], each["study_uid"]) for each in work["senders"]] == [("CT1", "1.2.9")]


def test_a_failed_study_is_tried_again_and_who_asked_is_in_the_trail(client: TestClient, ledger: Ledger) -> None:
    failed(ledger, "1.2.3")
    assert client.post("/api/v1/work/studies/1.2.3/retry").json()["state"] == "queued"
    again = client.post("/api/v1/work/studies/1.2.3/retry")
    assert (again.status_code, again.headers["content-type"]) == (409, "application/problem+json")
    assert client.post("/api/v1/work/studies/1.2.9/retry").status_code == 404
    noted = [(each.event, each.study_uid, each.detail) for each in ledger.audit.entries()]
    assert noted[0] == (Event.STEERED, "1.2.3", "retry")


def test_many_failed_studies_are_tried_again_in_portions(client: TestClient, ledger: Ledger) -> None:
    for number in range(5):
        failed(ledger, f"1.2.{number}")
    answers = [client.post("/api/v1/work/retry", params={"limit": 2}).json() for _ in range(3)]
    assert [(len(answer["study_uids"]), answer["left"]) for answer in answers] == [(2, 3), (2, 1), (1, 0)]
    assert ledger.load(datetime.now(UTC)).jobs == {JobState.QUEUED: 5}


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "null"},
    ],
)
def test_a_page_of_another_site_changes_nothing(client: TestClient, ledger: Ledger, headers: dict[str, str]) -> None:
    failed(ledger, "1.2.3")
    answer = client.post("/api/v1/work/studies/1.2.3/retry", headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert ledger.studies()[0].state is JobState.FAILED


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "same-origin", "Origin": "https://proxy"}, {"Origin": "http://127.0.0.1"}, {}])
def test_our_own_page_and_programs_do(client: TestClient, ledger: Ledger, headers: dict[str, str]) -> None:
    failed(ledger, "1.2.3")
    assert client.post("/api/v1/work/studies/1.2.3/retry", headers=headers).status_code == 200


def test_a_study_that_waits_is_read_sooner_when_asked(client: TestClient, ledger: Ledger) -> None:
    ledger.sources.sent_by("1.2.3", "CT1")
    ledger.queue(ledger.arriving("1.2.3", "CT CHEST, 24 images", "24 images.").job_id, "d" * 64, "Complete.")
    (study,) = client.get("/api/v1/work/studies").json()
    assert (study["priority"], study["sources"], study["steps"]) == ("routine", ["CT1"], ["prioritise"])
    assert client.post("/api/v1/work/studies/1.2.3/priority", json={"priority": "urgent"}).status_code == 200
    assert client.get("/api/v1/work/studies").json()[0]["priority"] == "urgent"
    assert client.post("/api/v1/work/studies/1.2.3/priority", json={"priority": "at once"}).status_code == 422
    failed(ledger, "1.2.4")
    assert client.post("/api/v1/work/studies/1.2.4/priority", json={"priority": "low"}).status_code == 409


def test_a_pause_says_since_when_and_why_until_it_ends(client: TestClient, ledger: Ledger) -> None:
    assert client.get("/api/v1/work").json()["paused"] is None
    assert client.post("/api/v1/work/pause", json={"reason": "New weights."}).json()["reason"] == "New weights."
    assert client.get("/api/v1/work").json()["paused"]["reason"] == "New weights."
    assert client.post("/api/v1/work/resume").status_code == 204
    assert ledger.paused() is None
    assert [each.detail for each in ledger.audit.entries()] == ["pause", "resume"]


def test_a_study_that_was_read_is_read_again_by_another_model_when_asked(client: TestClient, ledger: Ledger) -> None:
    job = ledger.queue(ledger.arriving("1.2.3", "CT CHEST, 24 images", "24 images.").job_id, "d" * 64, "Complete.")
    ledger.take(job.job_id, "worker-1")
    ledger.finish(job.job_id, "worker-1", JobState.DONE, "Stored.", Outcome(weights_hash="a" * 64))
    ledger.remember(MODEL_IN_USE, "a" * 64)
    assert client.get("/api/v1/work/studies").json()[0]["steps"] == ["replay"]
    assert client.post("/api/v1/work/studies/1.2.3/replay").status_code == 409
    ledger.remember(MODEL_IN_USE, "b" * 64)
    assert client.post("/api/v1/work/studies/1.2.3/replay").json()["revision"] == 1
