"""Who signs in may do what the roles say; who does not may do nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from fastapi.testclient import TestClient
from joserfc.jwk import RSAKey

from connector.api import create_app
from connector.audit import Event
from connector.ledger import Ledger
from radiology.settings import AccessSettings, Settings
from tests.issuer import Issuer, account, issuing

STUDY = "/api/v1/studies/{}/report"
PAGE = {"Accept": "text/html,application/xhtml+xml"}
PERSON = {"name": "Somebody^Else", "organization": "Institut du Radium", "login": "else"}


@pytest.fixture(scope="module")
def serving() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


@pytest.fixture
def issuer(serving: Issuer) -> Issuer:
    serving.claims = account("marie", "radiologist")
    return serving


@contextmanager
def windows(settings: Settings, issuer: Issuer, organization: str = "") -> Iterator[TestClient]:
    access = AccessSettings(issuer=issuer.url, organization=organization)
    with TestClient(create_app(settings.model_copy(update={"access": access})), base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture
def window(settings: Settings, issuer: Issuer) -> Iterator[TestClient]:
    with windows(settings, issuer) as client:
        yield client


def sign_in(window: TestClient, back: str = "/somewhere") -> str:
    """Do what a browser does that opens a page; returns where it is sent in the end."""
    asked = window.get("/api/v1/session/login", params={"back": back}, follow_redirects=False)
    there = httpx.get(asked.headers["location"], follow_redirects=False)
    return window.get(there.headers["location"], follow_redirects=False).headers["location"]


def test_nothing_is_told_to_who_is_not_signed_in(window: TestClient, ct_in_archive: str) -> None:
    for path in (STUDY.format(ct_in_archive), "/api/v1/jobs", "/dicom-web/studies", "/api/v1/openapi.json", "/app-config.js"):
        answer = window.get(path)
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), path
        assert answer.headers["content-type"] == "application/problem+json"
    assert window.post(f"/api/v1/studies/{ct_in_archive}/decisions", json={}).status_code == 401
    assert window.get("/api/v1/session").status_code == 401
    assert window.get("/api/v1/health").status_code in (200, 503)


def test_who_opens_a_page_is_sent_to_the_issuer_and_back_to_that_page(window: TestClient, ct_in_archive: str, issuer: Issuer) -> None:
    page = "/viewer?StudyInstanceUIDs=1.2.3"
    sent = window.get(page, headers=PAGE, follow_redirects=False)
    assert sent.status_code == 303
    asked = window.get(sent.headers["location"], follow_redirects=False)
    assert asked.headers["location"].startswith(f"{issuer.url}/authorize?")
    there = httpx.get(asked.headers["location"], follow_redirects=False)
    back = window.get(there.headers["location"], follow_redirects=False)
    assert (back.status_code, back.headers["location"]) == (303, page)
    assert "httponly" in back.headers["set-cookie"].lower()
    assert "samesite=lax" in back.headers["set-cookie"].lower()
    assert window.get(STUDY.format(ct_in_archive)).status_code == 200
    assert window.get("/api/v1/session").json() == {
        "is_asked": True,
        "login": "marie",
        "name": "Curie^Marie",
        "organization": "",
        "rights": ["judge reports and ask questions", "see studies"],
    }


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example"])
def test_nobody_is_sent_to_another_site(window: TestClient, elsewhere: str) -> None:
    assert sign_in(window, elsewhere) == "/"


def test_a_verdict_is_given_in_the_name_of_who_is_signed_in(window: TestClient, ct_in_archive: str) -> None:
    sign_in(window)
    report = window.get(STUDY.format(ct_in_archive)).json()["report"]
    verdicts = [{"verdict": "accept", "number": report["findings"][0]["number"]}]
    asked = {"document_uid": report["document_uid"], "person": PERSON, "verdicts": verdicts}
    answer = window.post(f"/api/v1/studies/{ct_in_archive}/decisions", json=asked)
    assert answer.status_code == 200, answer.text
    assert answer.json()["report"]["findings"][0]["decided"]["person"] == {
        "name": "Curie^Marie",
        "organization": "Institut du Radium",
        "login": "marie",
    }


def test_where_the_settings_name_the_hospital_it_is_told_and_counts(settings: Settings, issuer: Issuer, ct_in_archive: str) -> None:
    with windows(settings, issuer, organization="Hôpital") as window:
        sign_in(window)
        assert window.get("/api/v1/session").json()["organization"] == "Hôpital"
        document_uid = window.get(STUDY.format(ct_in_archive)).json()["report"]["document_uid"]
        asked = {"document_uid": document_uid, "person": PERSON, "reason": "wording"}
        answer = window.post(f"/api/v1/studies/{ct_in_archive}/rejection", json=asked)
        assert answer.json()["taken_back"]["person"]["organization"] == "Hôpital"


def test_who_signs_in_looks_judges_or_is_turned_away_is_in_the_audit_trail(
    window: TestClient, ct_in_archive: str, settings: Settings, issuer: Issuer
) -> None:
    sign_in(window)
    report = window.get(STUDY.format(ct_in_archive)).json()["report"]
    window.get(STUDY.format(ct_in_archive))
    window.get(f"/dicom-web/studies/{ct_in_archive}/series")
    verdicts = [{"verdict": "accept", "number": report["findings"][0]["number"]}]
    window.post(
        f"/api/v1/studies/{ct_in_archive}/decisions",
        json={"document_uid": report["document_uid"], "person": PERSON, "verdicts": verdicts},
    )
    window.get("/api/v1/jobs")
    issuer.claims = account("thief", "admin")
    window.get("/api/v1/jobs", headers={"Authorization": f"Bearer {issuer.token(audience='another')}"})
    ledger = Ledger.open(settings)
    entries = [(each.event, each.is_success, each.who, each.study_uid) for each in ledger.audit.entries()]
    ledger.close()
    assert entries == [
        (Event.SIGNED_IN, True, "marie", ""),
        (Event.SEEN, True, "marie", ct_in_archive),  # one look, however many requests it takes
        (Event.JUDGED, True, "marie", ct_in_archive),
        (Event.TURNED_AWAY, False, "marie", ""),
        (Event.TURNED_AWAY, False, "", ""),
    ]


def test_a_question_is_asked_in_the_name_of_who_is_signed_in(window: TestClient, ct_in_archive: str, settings: Settings) -> None:
    sign_in(window)
    series_uid = window.get(STUDY.format(ct_in_archive)).json()["report"]["findings"][0]["places"][0]["series_uid"]
    asked = {"kind": "segment", "words": "left lung", "series_uid": series_uid, "slice": 3, "person": PERSON}
    answer = window.post(f"/api/v1/studies/{ct_in_archive}/questions", json=asked)
    assert answer.status_code == 202, answer.text
    ledger = Ledger.open(settings)
    assert [each.observer.name for each in ledger.questions.of_study(ct_in_archive)] == ["Curie^Marie"]
    ledger.close()


@pytest.mark.parametrize(
    ("role", "see", "judge", "operate"),
    [
        ("radiologist", 200, 422, 403),
        ("researcher", 200, 403, 403),
        ("admin", 403, 403, 200),
        ("service", 200, 403, 200),
        ("guest", 403, 403, 403),
    ],
)
def test_a_role_has_its_rights_and_no_others(
    window: TestClient, issuer: Issuer, ct_in_archive: str, role: str, see: int, judge: int, operate: int
) -> None:
    issuer.claims = account("somebody", role)
    bearer = {"Authorization": f"Bearer {issuer.token()}"}
    assert window.get(STUDY.format(ct_in_archive), headers=bearer).status_code == see
    assert window.post(f"/api/v1/studies/{ct_in_archive}/decisions", json={}, headers=bearer).status_code == judge
    assert window.get("/api/v1/jobs", headers=bearer).status_code == operate
    steer = 200 if role == "admin" else 403
    for path in ("/admin", "/api/v1/work", "/api/v1/audit", "/api/v1/quarantine"):
        assert window.get(path, headers=bearer).status_code == steer, path
    assert window.post("/api/v1/work/retry", headers=bearer).status_code == steer


def test_a_token_that_is_not_the_issuers_for_us_and_now_opens_nothing(window: TestClient, issuer: Issuer) -> None:
    stranger = RSAKey.generate_key(2048, {"kid": str(issuer.key.kid)})
    unsigned = "eyJhbGciOiJub25lIn0." + issuer.token().split(".")[1] + "."
    for token in (
        issuer.token(audience="another"),
        issuer.token(lives_seconds=-600),
        issuer.token(issuer="http://127.0.0.1:1"),
        issuer.token(key=stranger),
        unsigned,
        "nonsense",
        "",
    ):
        assert window.get("/api/v1/jobs", headers={"Authorization": f"Bearer {token}"}).status_code == 401


def test_new_keys_of_the_issuer_are_learned(window: TestClient, issuer: Issuer) -> None:
    issuer.claims = account("machine", "service")
    assert window.get("/api/v1/jobs", headers={"Authorization": f"Bearer {issuer.token()}"}).status_code == 200
    issuer.key = RSAKey.generate_key(2048, {"kid": "next", "use": "sig", "alg": "RS256"})
    assert window.get("/api/v1/jobs", headers={"Authorization": f"Bearer {issuer.token()}"}).status_code == 200


def test_a_session_ends_by_itself_and_by_signing_out(settings: Settings, issuer: Issuer) -> None:
    brief = settings.model_copy(update={"access": AccessSettings(issuer=issuer.url, session_hours=0)})
    with TestClient(create_app(brief), base_url="http://127.0.0.1") as window:
        sign_in(window)
        assert window.get("/api/v1/session").status_code == 401
    with windows(settings, issuer) as window:
        sign_in(window)
        assert window.get("/api/v1/session").status_code == 200
        assert window.post("/api/v1/session/logout").status_code == 204
        assert window.get("/api/v1/session").status_code == 401


def test_a_cookie_that_was_changed_opens_nothing(window: TestClient) -> None:
    sign_in(window)
    kept = window.cookies["sightline"]
    window.cookies.clear()
    window.cookies.set("sightline", ("A" if kept[0] != "A" else "B") + kept[1:])
    assert window.get("/api/v1/session").status_code == 401


def test_an_issuer_that_is_away_is_said_so(settings: Settings, issuer: Issuer) -> None:
    away = settings.model_copy(update={"access": AccessSettings(issuer="http://127.0.0.1:9")})
    with TestClient(create_app(away), base_url="http://127.0.0.1") as window:
        for answer in (
            window.get("/api/v1/jobs", headers={"Authorization": "Bearer x.y.z"}),
            window.get("/api/v1/session/login", follow_redirects=False),
        ):
            assert answer.status_code == 503
            assert "does not answer" in answer.json()["detail"]


def test_without_an_issuer_nobody_is_asked(client: TestClient) -> None:
    assert client.get("/api/v1/session").json()["is_asked"] is False
    assert client.get("/api/v1/jobs").status_code == 200
