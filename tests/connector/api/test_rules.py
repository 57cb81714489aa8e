"""The rules over HTTP, and what they would say."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from connector.api import create_app
from connector.ledger import Ledger
from radiology.settings import Settings

RULES = """
timezone: Europe/Prague
rules:
  - name: nights
    source: ER_*
    hours: 18:00-07:00
    priority: urgent
  - name: no mammograms
    modality: MG
    read: false
    why: Another program reads them.
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rules.yaml"
    path.write_text(RULES)
    return path


@pytest.fixture
def ruled(settings: Settings, file: Path) -> Iterator[TestClient]:
    watcher = settings.watcher.model_copy(update={"rules": file})
    with TestClient(create_app(settings.model_copy(update={"watcher": watcher})), base_url="http://127.0.0.1") as client:
        yield client


def test_the_rules_are_told_in_their_order(ruled: TestClient) -> None:
    told = ruled.get("/api/v1/rules").json()
    assert told["timezone"] == "Europe/Prague"
    assert [(rule["name"], rule["asks"], rule["read"], rule["priority"]) for rule in told["rules"]] == [
        ("nights", {"source": ["ER_*"], "hours": ["18:00-07:00"]}, True, "urgent"),
        ("no mammograms", {"modality": ["MG"]}, False, "routine"),
    ]


@pytest.mark.parametrize(
    ("series", "rule", "read", "priority"),
    [
        ({"source": "ER_1", "modality": "CT", "arrived": "2026-11-22T22:00:00+01:00"}, "nights", True, "urgent"),
        ({"source": "ER_1", "modality": "CT", "arrived": "2026-11-22T12:00:00+01:00"}, "", True, "routine"),
        ({"modality": "MG"}, "no mammograms", False, "routine"),
    ],
)
def test_a_series_that_might_come_is_judged(ruled: TestClient, series: dict[str, str], rule: str, read: bool, priority: str) -> None:
    told = ruled.post("/api/v1/rules/test", json=series).json()
    assert (told["rule"], told["read"], told["priority"]) == (rule, read, priority)
    if rule != "nights":
        assert told["passed_over"][0]["rule"] == "nights"


def test_a_study_that_is_here_is_judged(ruled: TestClient, ct_in_archive: str, ledger: Ledger) -> None:
    assert ruled.get(f"/api/v1/rules/studies/{ct_in_archive}").status_code == 404
    ledger.sources.sent_by(ct_in_archive, "CT1")
    ledger.arriving(ct_in_archive, "CT CHEST, 24 images", "First image.")
    told = ruled.get(f"/api/v1/rules/studies/{ct_in_archive}").json()
    assert (told["rule"], told["read"]) == ("", True)
    assert "CT1" in told["passed_over"][0]["why"] or "not within" in told["passed_over"][0]["why"]


def test_a_file_that_cannot_be_read_is_said_with_its_line(ruled: TestClient, file: Path) -> None:
    file.write_text(RULES.replace("18:00-07:00", "evening"))
    answer = ruled.get("/api/v1/rules")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert "line 6" in answer.json()["detail"]
