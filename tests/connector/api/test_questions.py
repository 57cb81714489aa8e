"""Questions come in, wait in line for a worker, and stay with their answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient

from connector.ledger import Ledger
from connector.masks import unpack
from connector.pacs import Pacs
from connector.queue import celery_app
from radiology.finding import Box, Region, Side
from radiology.question import Answer
from radiology.report import ModelIdentity
from radiology.settings import Settings

CURIE = {"name": "Curie^Marie", "organization": "Institut du Radium"}


def ask(client: TestClient, study_uid: str, **changes: Any) -> Any:
    asked = {"person": CURIE, "kind": "segment", "words": "the left lower lobe", "series_uid": "1.2.1", "slice": 4, **changes}
    return client.post(f"/api/v1/studies/{study_uid}/questions", json=asked)


def test_a_question_waits_for_a_worker_with_all_that_was_asked(client: TestClient, settings: Settings, ledger: Ledger) -> None:
    box = {"top": 1, "left": 2, "bottom": 30, "right": 40}
    answer = ask(client, "1.2.3", points=[{"row": 3, "column": 5, "positive": False}], box=box, through_slices=False)
    assert answer.status_code == 202
    told = answer.json()
    assert (told["state"], told["answer"], told["asked"]["person"]["name"]) == ("queued", None, "Curie^Marie")
    (kept,) = ledger.questions.of_study("1.2.3")
    assert (kept.prompt.words, kept.prompt.box, kept.prompt.through_slices) == ("the left lower lobe", Box((4, 1, 2), (5, 30, 40)), False)
    assert client.get(f"/api/v1/studies/1.2.3/questions/{kept.question_id}").json() == told
    with celery_app(settings).connection_for_read() as connection:
        message = connection.SimpleQueue("sightline.questions").get(timeout=10)
        assert message.payload[0] == [kept.question_id]


def test_an_answer_is_told_with_what_was_drawn_and_can_be_refined(
    client: TestClient, ct_in_archive: str, settings: Settings, ledger: Ledger
) -> None:
    series = Pacs.connect(settings.pacs).fetch(ct_in_archive).series[0]
    number = ask(client, ct_in_archive, series_uid=series.series_uid).json()["question_id"]
    refined = {"words": "", "points": [{"row": 1, "column": 1, "positive": True}], "follows": number}
    assert "no answer" in ask(client, ct_in_archive, **refined).json()["detail"]
    mask = np.random.default_rng(1).random((2, 5, 7)) > 0.5
    region = Region(series.series_uid, Box((3, 10, 20), (5, 15, 27)), mask, 0.5)
    ledger.questions.take(number, "worker")
    model = ModelIdentity("small", "1", "ab" * 32)
    ledger.questions.answer(number, "worker", Answer("The lobe.", model, "lung", Side.LEFT, 0.75, (region,), Box((4, 10, 20), (5, 15, 27))))
    (told,) = client.get(f"/api/v1/studies/{ct_in_archive}/questions").json()
    (drawn,) = told["answer"]["places"]
    assert (told["state"], told["answer"]["name"], told["answer"]["side"], told["answer"]["confidence"]) == (
        "answered",
        "lung",
        "left",
        0.75,
    )
    assert (drawn["start"], drawn["stop"], drawn["instance_uid"]) == ([3, 10, 20], [5, 15, 27], series.frames[region.key_slice].uid)
    assert np.array_equal(unpack(drawn["mask"], (2, 5, 7)), mask)
    assert told["answer"]["cited"] == {"top": 10, "left": 20, "bottom": 15, "right": 27}
    assert told["answer"]["model"]["weights_hash"] == "ab" * 32
    assert ask(client, ct_in_archive, **refined).json()["asked"]["follows"] == number
    assert ask(client, "1.2.3", **refined).status_code == 422, "an answer belongs to its study"


@pytest.mark.parametrize(
    "changes",
    [
        {"words": ""},
        {"words": "", "kind": "what"},
        {"kind": "what"},
        {"words": "x" * 201},
        {"words": "the\x1b[31m lobe"},
        {"words": "", "box": {"top": 3, "left": 2, "bottom": 3, "right": 40}},
        {"slice": -1},
        {"kind": "how"},
        {"person": {"name": "A\\B", "organization": "C"}},
        {"series_uid": "1.2.x"},
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_refused(changes: dict[str, Any], client: TestClient) -> None:
    answer = ask(client, "1.2.3", **changes)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert client.get("/api/v1/studies/1.2.3/questions").json() == []


def test_a_question_of_another_study_is_not_found(client: TestClient) -> None:
    number = ask(client, "1.2.3").json()["question_id"]
    assert client.get(f"/api/v1/studies/1.2.4/questions/{number}").status_code == 404
