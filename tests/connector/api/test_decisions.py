"""What a radiologist decides becomes the next version in the archive: once, whole, and never over somebody else's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import requests
from dicomweb_client import DICOMwebClient
from fastapi.testclient import TestClient
from httpx import Response
from pydicom import Dataset

from connector.api import create_app
from connector.ledger import Ledger
from connector.masks import pack
from connector.pacs import Pacs
from connector.recent import RecentStudies
from connector.schemas.decisions import DecisionIn
from connector.verdicts import Desk
from radiology.errors import PacsError
from radiology.settings import Settings
from tests.orthanc import free_port

CURIE = {"name": "Curie^Marie", "organization": "Institut du Radium"}
ROENTGEN = {"name": "Röntgen^Wilhelm", "organization": "Universität Würzburg"}


def report(client: TestClient, study_uid: str) -> dict[str, Any]:
    told: dict[str, Any] = client.get(f"/api/v1/studies/{study_uid}/report").json()["report"]
    return told


def decide(client: TestClient, study_uid: str, *verdicts: dict[str, Any], **more: Any) -> Response:
    """Send a decision about the version in force, as Marie Curie unless ``more`` says otherwise."""
    body = {"person": CURIE, "verdicts": verdicts, **more}
    if "document_uid" not in body:
        body["document_uid"] = report(client, study_uid)["document_uid"]
    return client.post(f"/api/v1/studies/{study_uid}/decisions", json=body)


def place(series_uid: str, start: tuple[int, int, int], mask: np.ndarray | tuple[int, int, int]) -> dict[str, Any]:
    """A place with a mask, or with a box of a shape alone."""
    shape = mask if isinstance(mask, tuple) else mask.shape
    stop = [low + length for low, length in zip(start, shape, strict=True)]
    return {"series_uid": series_uid, "start": start, "stop": stop, "mask": None if isinstance(mask, tuple) else pack(mask)}


def as_it_is(finding: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The edit that changes nothing of a finding but ``changes``."""
    kept = {name: finding[name] for name in ("number", "sentence", "name", "presence", "side")}
    return {"verdict": "edit", "places": [{"tracking_uid": each["tracking_uid"]} for each in finding["places"]], **kept, **changes}


def test_what_is_accepted_and_rejected_is_in_the_archive_for_whoever_opens_the_study(
    client: TestClient, ct_in_archive: str, settings: Settings
) -> None:
    answer = decide(client, ct_in_archive, {"verdict": "accept", "number": 1}, {"verdict": "reject", "number": 2, "reason": "wrong side"})
    assert answer.status_code == 200
    told = answer.json()["report"]
    assert (told["version"], told["state"], [each["number"] for each in told["findings"]]) == (2, "preliminary", [1, 3])
    assert told["findings"][0]["decided"]["person"]["name"] == "Curie^Marie"
    assert [(each["number"], each["reason"]) for each in told["rejected"]] == [(2, "wrong side")]
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as another:
        assert report(another, ct_in_archive) == told


def test_a_report_is_signed_when_everything_is_decided(client: TestClient, ct_in_archive: str, ledger: Ledger) -> None:
    assert "Sentence 2 is not decided" in decide(client, ct_in_archive, {"verdict": "accept", "number": 1}, sign=True).json()["detail"]
    assert report(client, ct_in_archive)["version"] == 1, "what is refused changes nothing"
    accepted = [{"verdict": "accept", "number": number} for number in (1, 2, 3)]
    signed = decide(client, ct_in_archive, *accepted, sign=True, impression="Nodule; effusion.").json()
    assert "signed by a radiologist" in signed["notice"]
    assert (signed["report"]["state"], signed["report"]["impression"]) == ("final", "Nodule; effusion.")
    standing = ledger.records([ct_in_archive])[ct_in_archive].standing
    assert standing is not None
    assert (standing.is_signed, standing.version, standing.document_uid) == (True, 2, signed["report"]["document_uid"])


def test_a_corrected_mask_is_drawn_and_measured_anew_and_other_places_stay(client: TestClient, ct_in_archive: str) -> None:
    nodule, effusion, _ = report(client, ct_in_archive)["findings"]
    series_uid = nodule["places"][0]["series_uid"]
    mask = np.zeros((2, 6, 6), bool)
    mask[:, 1:5, 1:5] = True  # 32 voxels of 5 x 3 x 3 mm
    moved = as_it_is(nodule, sentence="A smaller nodule in the right lung.", places=[place(series_uid, (14, 40, 26), mask)])
    told = decide(client, ct_in_archive, moved).json()["report"]["findings"]
    (drawn,) = told[0]["places"]
    assert (told[0]["sentence"], told[0]["decided"]["judgement"]) == ("A smaller nodule in the right lung.", "edited")
    assert (drawn["start"], drawn["stop"]) == ([14, 41, 27], [16, 45, 31]), "the box fits the mask"
    assert {each["quantity"]: each["value"] for each in drawn["measurements"]}["volume"] == pytest.approx(32 * 0.045)
    assert drawn["tracking_uid"] != nodule["places"][0]["tracking_uid"]
    assert told[1] == effusion
    worded = decide(client, ct_in_archive, as_it_is(told[0], side="left")).json()["report"]["findings"][0]
    assert (worded["side"], worded["places"]) == ("left", [drawn])


def test_a_missed_finding_is_added_and_taken_out_again(client: TestClient, ct_in_archive: str) -> None:
    series_uid = report(client, ct_in_archive)["findings"][0]["places"][0]["series_uid"]
    mass = {"sentence": "A mass on the left.", "name": "mass", "presence": "present", "side": "left"}
    added = decide(client, ct_in_archive, {"verdict": "add", **mass, "places": [place(series_uid, (3, 5, 6), (1, 9, 8))]}).json()["report"]
    assert (added["findings"][-1]["number"], added["findings"][-1]["decided"]["judgement"]) == (4, "added")
    assert added["findings"][-1]["places"][0]["stop"] == [4, 14, 14]
    undone = decide(client, ct_in_archive, {"verdict": "restore", "number": 4}).json()["report"]
    assert ([each["number"] for each in undone["findings"]], undone["rejected"]) == ([1, 2, 3], [])


def test_every_verdict_can_be_undone(client: TestClient, ct_in_archive: str) -> None:
    before = report(client, ct_in_archive)["findings"]
    verdicts = (
        {"verdict": "accept", "number": 1},
        {"verdict": "reject", "number": 2, "reason": "wording"},
        as_it_is(before[2], sentence="Something else."),
    )
    changed = decide(client, ct_in_archive, *verdicts).json()["report"]["findings"]
    assert [(each["number"], each["decided"]["judgement"]) for each in changed] == [(1, "accepted"), (3, "edited")]
    undone = decide(client, ct_in_archive, *({"verdict": "restore", "number": number} for number in (1, 2))).json()["report"]
    assert ([each["number"] for each in undone["findings"]], undone["findings"][:2], undone["rejected"]) == ([1, 2, 3], before[:2], [])
    first = decide(client, ct_in_archive, {"verdict": "restore", "number": 3, "version": 1}).json()["report"]
    assert first["findings"] == before


def test_there_is_nothing_to_undo_in_the_models_own_report(client: TestClient, ct_in_archive: str) -> None:
    answer = decide(client, ct_in_archive, {"verdict": "restore", "number": 1})
    assert (answer.status_code, "Nothing was decided yet" in answer.json()["detail"]) == (422, True)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"places": [{"series_uid": "1.2.3", "start": [0, 0, 0], "stop": [1, 1, 1]}]}, "not part of study"),
    ({"places": [{"series_uid": "SERIES", "start": [0, 0, 0], "stop": [1, 97, 1]}]}, "outside series"),
    ({"places": [{"series_uid": "SERIES", "start": [99, 0, 0], "stop": [100, 1, 1]}]}, "outside series"),
    ({"places": [{"series_uid": "SERIES", "start": [2, 2, 2], "stop": [2, 3, 3]}]}, "non-empty"),
    ({"places": [{"series_uid": "SERIES", "start": [0, 0, 0], "stop": [1, 3, 3], "mask": "AA=="}]}, "has 1 bytes"),
    ({"places": [{"series_uid": "SERIES", "start": [0, 0, 0], "stop": [1, 3, 3], "mask": "AAA="}]}, "empty mask"),
    ({"places": [{"series_uid": "SERIES", "start": [0, 0, 0], "stop": [1, 3, 3], "mask": "?"}]}, "not base64"),
    ({"places": [{"series_uid": "SERIES", "start": [0, 0, 0]}]}, "a place is a tracking_uid alone, or"),
    ({"places": [{"tracking_uid": "2.25.1"}]}, "has no place 2.25.1"),
    ({"name": "unicorn"}, "is not a term"),
    ({"sentence": " "}, "sentence"),
    ({"sentence": "One.\x00Two."}, "sentence"),
    ({"number": 9}, "no sentence 9"),
    ({"why": "?"}, "Unknown name"),
]


def test_what_cannot_be_taken_is_refused_with_a_reason(client: TestClient, ct_in_archive: str) -> None:
    seen = report(client, ct_in_archive)
    nodule = seen["findings"][0]
    for change, sentence in REFUSED:
        for each in change.get("places", ()):
            each.update({"series_uid": nodule["places"][0]["series_uid"]} if each.get("series_uid") == "SERIES" else {})
        answer = decide(client, ct_in_archive, as_it_is(nodule, **change), document_uid=seen["document_uid"])
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), change
        assert sentence in answer.json()["detail"]
    assert len(client.get(f"/api/v1/studies/{ct_in_archive}/report/history").json()) == 1


def test_the_second_of_two_is_told_who_was_first(client: TestClient, ct_in_archive: str) -> None:
    seen = report(client, ct_in_archive)["document_uid"]
    first = decide(client, ct_in_archive, {"verdict": "accept", "number": 1}, person=ROENTGEN).json()["report"]
    late = decide(client, ct_in_archive, {"verdict": "reject", "number": 1, "reason": "wording"}, document_uid=seen)
    assert (late.status_code, late.headers["content-type"]) == (409, "application/problem+json")
    told = late.json()
    assert (told["person"]["name"], told["document_uid"]) == ("Röntgen^Wilhelm", first["document_uid"])
    assert told["moment"] == first["moment"]
    assert report(client, ct_in_archive) == first


def test_the_same_request_sent_twice_is_one_decision(client: TestClient, ct_in_archive: str, settings: Settings) -> None:
    seen = report(client, ct_in_archive)["document_uid"]
    once, again = (decide(client, ct_in_archive, {"verdict": "accept", "number": 1}, document_uid=seen) for _ in range(2))
    assert (once.status_code, again.status_code) == (200, 200)
    assert again.json() == once.json()
    assert len(client.get(f"/api/v1/studies/{ct_in_archive}/report/history").json()) == 2


def test_of_two_at_once_in_two_processes_one_decides(ct_in_archive: str, settings: Settings) -> None:
    with (
        TestClient(create_app(settings), base_url="http://127.0.0.1") as one,
        TestClient(create_app(settings), base_url="http://127.0.0.1") as other,
        ThreadPoolExecutor(4) as pool,
    ):
        seen = report(one, ct_in_archive)["document_uid"]
        numbers = (1, 2, 1, 2)
        answers = list(
            pool.map(
                lambda client, number: decide(client, ct_in_archive, {"verdict": "accept", "number": number}, document_uid=seen),
                (one, other, other, one),
                numbers,
            )
        )
        told = report(one, ct_in_archive)
        accepted = [each["number"] for each in told["findings"] if each["decided"]]
        assert len(accepted) == 1
        expected = [200 if number == accepted[0] else 409 for number in numbers]
        assert [answer.status_code for answer in answers] == expected, "the same one twice is the same decision"
        assert told["version"] == 2
        assert len(one.get(f"/api/v1/studies/{ct_in_archive}/report/history").json()) == 2


class FailingArchive(DICOMwebClient):  # type: ignore[misc]
    """An archive that takes what is stored so many times, and then neither stores nor answers what it holds."""

    failure: BaseException
    takes = 0

    def store_instances(self, *arguments: Any, **options: Any) -> Dataset:
        self._fail()
        self.takes -= 1
        return super().store_instances(*arguments, **options)

    def search_for_instances(self, *arguments: Any, **options: Any) -> list[dict[str, Any]]:
        self._fail()
        return list(super().search_for_instances(*arguments, **options))

    def _fail(self) -> None:
        if not self.takes:
            raise self.failure


def half_way(settings: Settings, ledger: Ledger, study_uid: str, takes: int, failure: BaseException) -> None:
    """Reject sentence 1 as Röntgen, with an archive that fails after so many requests."""
    archive = FailingArchive(settings.pacs.dicomweb_url)
    archive.takes, archive.failure = takes, failure
    desk = Desk(ledger, Pacs(archive), RecentStudies(Pacs(archive)), settings.results)
    seen = Pacs.connect(settings.pacs)
    document_uid = next(str(each.SOPInstanceUID) for each in seen.results(study_uid) if each.SeriesNumber == 9001)
    request = {"document_uid": document_uid, "person": ROENTGEN, "verdicts": [{"verdict": "reject", "number": 1, "reason": "wording"}]}
    with pytest.raises((PacsError, KeyboardInterrupt)):
        desk.decide(study_uid, DecisionIn.model_validate(request))


@pytest.mark.parametrize("takes", [1, 2])
def test_a_decision_whose_process_died_is_finished_by_the_next(
    takes: int, client: TestClient, ct_in_archive: str, settings: Settings
) -> None:
    before = report(client, ct_in_archive)
    impatient = settings.model_copy(update={"ledger": settings.ledger.model_copy(update={"lease_seconds": 0.0})})
    half_way(settings, Ledger.open(impatient), ct_in_archive, takes, KeyboardInterrupt())
    if takes < 2:
        assert report(client, ct_in_archive) == before, "until the findings are stored, the version before is in force"
    late = decide(client, ct_in_archive, {"verdict": "accept", "number": 2}, document_uid=before["document_uid"])
    assert (late.status_code, late.json()["person"]["name"]) == (409, "Röntgen^Wilhelm")
    told = report(client, ct_in_archive)
    assert (told["version"], [each["number"] for each in told["findings"]]) == (2, [2, 3])


@pytest.mark.parametrize(("takes", "is_finished"), [(0, False), (1, True)])
def test_what_the_archive_did_not_take_is_forgotten_and_what_it_took_in_part_is_finished(
    takes: int, is_finished: bool, client: TestClient, ct_in_archive: str, settings: Settings, ledger: Ledger
) -> None:
    seen = report(client, ct_in_archive)["document_uid"]
    half_way(settings, ledger, ct_in_archive, takes, requests.ConnectionError("gone"))
    answer = decide(client, ct_in_archive, {"verdict": "accept", "number": 2}, document_uid=seen)
    assert answer.status_code == (409 if is_finished else 200)
    assert [each["number"] for each in report(client, ct_in_archive)["findings"]] == ([2, 3] if is_finished else [1, 2, 3])


def test_an_archive_that_is_away_changes_nothing(client: TestClient, ct_in_archive: str, settings: Settings) -> None:
    seen = report(client, ct_in_archive)["document_uid"]
    away = settings.pacs.model_copy(update={"dicomweb_url": f"http://127.0.0.1:{free_port()}/dicom-web"})
    with TestClient(create_app(settings.model_copy(update={"pacs": away})), base_url="http://127.0.0.1") as cut_off:
        answer = decide(cut_off, ct_in_archive, {"verdict": "accept", "number": 1}, document_uid=seen)
        assert answer.status_code == 503
    assert decide(client, ct_in_archive, {"verdict": "accept", "number": 2}, document_uid=seen).status_code == 200


def test_a_whole_report_is_taken_back_once(client: TestClient, ct_in_archive: str, ledger: Ledger) -> None:
    body = {"document_uid": report(client, ct_in_archive)["document_uid"], "person": CURIE, "reason": "not relevant"}
    once, again = (client.post(f"/api/v1/studies/{ct_in_archive}/rejection", json=body) for _ in range(2))
    assert (once.status_code, once.json()["report"]) == (200, None)
    assert (once.json()["taken_back"]["person"]["name"], once.json()["taken_back"]["reason"]) == ("Curie^Marie", "not relevant")
    assert again.json() == once.json()
    assert ledger.records([ct_in_archive])[ct_in_archive].standing is None
    late = decide(client, ct_in_archive, {"verdict": "accept", "number": 1}, document_uid=body["document_uid"])
    assert (late.status_code, late.json()["person"]["name"]) == (409, "Curie^Marie")
