"""Where studies stand: in a list, as it changes, and which others there are of the same patient."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

import httpx
import uvicorn
from fastapi.testclient import TestClient

from connector.api import create_app
from connector.ledger import Ledger, Outcome
from connector.pacs import Pacs
from radiology.finding import Box, Region
from radiology.jobs import JobState
from radiology.judgement import Observer
from radiology.question import Answer, Point, Prompt, QuestionKind
from radiology.report import ModelIdentity, Standing
from radiology.report import Outcome as Finished
from radiology.settings import AccessSettings, Settings
from tests.connector.samples import ct_series, radiograph
from tests.issuer import account, issuing

PROMPT = Prompt(QuestionKind.WHAT, "1.2.1", 4, points=(Point(3, 4),))
READER = Observer("Curie^Marie", "Institut du Radium")


def running(ledger: Ledger, study_uid: str) -> int:
    job = ledger.queue(ledger.arriving(study_uid, "CT CHEST, 3 images", "Coming.").job_id, "d1", "Complete.")
    ledger.take(job.job_id, "worker")
    return job.job_id


def test_a_list_of_studies_shows_where_each_stands(client: TestClient, ledger: Ledger) -> None:
    ledger.progress(running(ledger, "1.2.3"), "worker", 0.25, "Slice 1 of 4")
    job_id = running(ledger, "1.2.4")
    standing = Standing(Finished.FOUND, 2, False, "2.25.9", 1)
    ledger.finish(job_id, "worker", JobState.DONE, "Stored.", Outcome(standing=standing))
    told = client.get("/api/v1/studies/states", params={"study_uid": ["1.2.4", "1.2.5", "1.2.3"]}).json()
    assert [(each["study_uid"], each["state"]) for each in told] == [("1.2.4", "done"), ("1.2.5", None), ("1.2.3", "running")]
    assert (told[0]["outcome"], told[0]["findings"], told[0]["document_uid"], told[0]["signed"]) == ("found", 2, "2.25.9", False)
    assert told[2]["progress"] == {"share": 0.25, "doing": "Slice 1 of 4"}
    assert client.get("/api/v1/studies/states", params={"study_uid": [f"1.2.{number}" for number in range(201)]}).status_code == 422


def test_a_report_that_another_installation_made_is_in_the_list_once_it_was_opened(client: TestClient, ct_in_archive: str) -> None:
    asked = {"study_uid": [ct_in_archive]}
    assert client.get("/api/v1/studies/states", params=asked).json()[0]["outcome"] is None
    report = client.get(f"/api/v1/studies/{ct_in_archive}/report").json()["report"]
    told = client.get("/api/v1/studies/states", params=asked).json()[0]
    assert (told["outcome"], told["findings"], told["document_uid"], told["version"]) == ("found", 2, report["document_uid"], 1)


def test_other_studies_of_the_patient_are_told_newest_first(client: TestClient, settings: Settings, ledger: Ledger) -> None:
    now, old, older, of_another, of_the_same_number_elsewhere = (ct_series(f"1.2.{number}", 1)[0] for number in range(5))
    film = radiograph("1.2.1")
    for image, date in ((now, "20260102"), (old, "20250102"), (older, "")):
        image.PatientID, image.IssuerOfPatientID, image.StudyDate = "A*", "Here", date
    film.PatientID, film.IssuerOfPatientID, film.StudyDate = "A*", "Here", "20250102"
    film.StudyDescription = old.StudyDescription = "Chest"
    of_another.PatientID = "AB"
    of_the_same_number_elsewhere.PatientID, of_the_same_number_elsewhere.IssuerOfPatientID = "A*", "Elsewhere"
    Pacs.connect(settings.pacs).store([now, old, film, older, of_another, of_the_same_number_elsewhere])
    running(ledger, "1.2.1")
    answer = client.get("/api/v1/studies/1.2.0/priors")
    told = answer.json()
    assert [(each["study_uid"], each["date"], sorted(each["modalities"])) for each in told] == [
        ("1.2.1", "2025-01-02", ["CR", "CT"]),
        ("1.2.2", None, ["CT"]),
    ]
    assert (told[0]["description"], told[0]["state"]["state"], told[1]["state"]) == ("Chest", "running", None)
    assert "A*" not in answer.text
    assert client.get("/api/v1/studies/1.2.3.4/priors").json() == []


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """The API on a port of its own; gives its address."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # who comes before the server waits for it
        server = uvicorn.Server(uvicorn.Config(create_app(settings), log_config=None, timeout_graceful_shutdown=1))
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/api/v1"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def events(address: str, study_uid: str, **headers: str) -> Iterator[Iterator[tuple[str, dict[str, Any], str]]]:
    """Follow a study; gives its events as they come: name, data and id."""

    def parsed(lines: Iterator[str]) -> Iterator[tuple[str, dict[str, Any], str]]:
        fields: dict[str, str] = {}
        for line in lines:
            if not line and "data" in fields:
                yield fields["event"], json.loads(fields["data"]), fields.get("id", "")
                fields = {}
            elif not line.startswith(":") and ": " in line:
                name, value = line.split(": ", 1)
                fields[name] = value

    with httpx.stream("GET", f"{address}/studies/{study_uid}/events", headers=headers, timeout=60) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield parsed(answer.iter_lines())


def test_who_follows_a_study_sees_the_work_go_on(settings: Settings, ledger: Ledger) -> None:
    with served(settings) as address, events(address, "1.2.3") as follow:
        assert next(follow)[1]["state"] is None
        job_id = running(ledger, "1.2.3")
        while (told := next(follow)[1])["state"] != "running":
            pass
        ledger.progress(job_id, "worker", 0.5, "Slice 2 of 4")
        assert next(follow)[1]["progress"] == {"share": 0.5, "doing": "Slice 2 of 4"}
        ledger.finish(job_id, "worker", JobState.DONE, "Stored.", Outcome(standing=Standing(Finished.NOTHING_FOUND, 0, False, "2.25.9", 1)))
        while (told := next(follow)[1])["document_uid"] is None:
            pass
        assert (told["state"], told["outcome"]) == ("done", "nothing found")


def test_the_line_ends_with_the_session(settings: Settings) -> None:
    with issuing() as issuer:
        issuer.claims = account("machine", "service")
        access = AccessSettings(issuer=issuer.url)
        bearer = {"Authorization": f"Bearer {issuer.token(lives_seconds=3)}"}
        with (
            served(settings.model_copy(update={"access": access})) as address,
            events(address, "1.2.3", **bearer) as follow,
        ):
            assert [told["study_uid"] for _, told, _ in follow] == ["1.2.3"]  # it comes to an end
            assert httpx.get(f"{address}/studies/1.2.3/events", headers=bearer).status_code == 401


def test_who_asks_is_told_the_answer_and_after_a_break_what_was_missed(settings: Settings, ledger: Ledger, ct_in_archive: str) -> None:
    series_uid = Pacs.connect(settings.pacs).fetch(ct_in_archive).series[0].series_uid
    region = Region(series_uid, Box((14, 40, 26), (16, 41, 27)))
    with served(settings) as address:
        with events(address, ct_in_archive) as follow:
            assert next(follow)[0] == "study"
            asked = ledger.questions.ask(ct_in_archive, PROMPT, READER)
            name, told, mark = next(follow)
            assert (name, told["question_id"], told["state"]) == ("question", asked.question_id, "queued")
        ledger.questions.take(asked.question_id, "worker")
        ledger.questions.answer(
            asked.question_id, "worker", Answer("A nodule.", ModelIdentity("small", "1", "ab"), "nodule", regions=(region,))
        )
        with events(address, ct_in_archive, **{"Last-Event-ID": mark}) as follow:
            name, told, _ = next(each for each in follow if each[0] == "question")
            assert (told["state"], told["answer"]["sentence"]) == ("answered", "A nodule.")
            assert told["answer"]["places"][0]["instance_uid"] == "2.25.2000.1.16"
