"""Rights study by study: who may see studies sees those of their institutions, by the archive's Institution Name."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr
from pydicom.uid import UID

from connector.api import create_app
from connector.audit import Event
from connector.ledger import Ledger
from connector.pacs import Pacs
from radiology.settings import AccessSettings, Settings
from tests.connector.api.test_session import sign_in
from tests.e2e import chest
from tests.issuer import Issuer, account, issuing

MINE, THEIRS, NOBODYS = "2.25.7001", "2.25.7002", "2.25.7003"
REQUESTS = (
    ("GET", "/api/v1/studies/{}/report"),
    ("GET", "/api/v1/studies/{}/report/history"),
    ("GET", "/api/v1/studies/{}/fhir"),
    ("GET", "/api/v1/studies/{}/priors"),
    ("GET", "/api/v1/studies/{}/questions"),
    ("GET", "/api/v1/studies/states?study_uid={}"),
    ("POST", "/api/v1/studies/{}/decisions"),
    ("POST", "/api/v1/studies/{}/rejection"),
    ("POST", "/api/v1/studies/{}/questions"),
    ("GET", "/dicom-web/studies/{}/series"),
    ("GET", "/dicom-web/studies/{}/metadata"),
    ("GET", "/dicom-web/studies/{}"),
)


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as issuer:
        yield issuer


@pytest.fixture
def window(settings: Settings, issuer: Issuer) -> Iterator[TestClient]:
    """The API of an archive with three studies of one patient: of Charité, of St Mary's, and of nobody who says so."""
    for study_uid, institution in ((MINE, "Charité"), (THEIRS, "St Mary's"), (NOBODYS, None)):
        images = chest.radiographs()
        for number, image in enumerate(images):
            image.StudyInstanceUID, image.SeriesInstanceUID = UID(study_uid), UID(f"{study_uid}.1")
            image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = f"{study_uid}.1.{number}"
            image.SpecificCharacterSet = "ISO_IR 192"
            if institution:
                image.InstitutionName = institution
        Pacs.connect(settings.pacs).store(images)
    access = AccessSettings(issuer=issuer.url, studies_claim="sightline.studies")
    with TestClient(create_app(settings.model_copy(update={"access": access})), base_url="http://127.0.0.1") as client:
        yield client


def bearer(issuer: Issuer, role: str, *institutions: str) -> dict[str, str]:
    issuer.claims = account("somebody", role) | {"sightline": {"studies": list(institutions)}}
    return {"Authorization": f"Bearer {issuer.token()}"}


def listed(window: TestClient, headers: dict[str, str], query: str = "") -> list[str]:
    answer = window.get(f"/dicom-web/studies?{query}", headers=headers)
    assert answer.headers["content-type"] == "application/dicom+json"
    return [study["0020000D"]["Value"][0] for study in answer.json()]


def test_a_study_of_another_institution_is_neither_shown_nor_judged(window: TestClient, issuer: Issuer, ledger: Ledger) -> None:
    headers = bearer(issuer, "radiologist", " charité", "Elsewhere")
    for method, path in REQUESTS:
        assert window.request(method, path.format(MINE), headers=headers).status_code != 403, path
        for study_uid in (THEIRS, NOBODYS, "1.2.3"):
            answer = window.request(method, path.format(study_uid), headers=headers)
            assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json"), path
            assert "institution" in answer.json()["detail"]
    assert window.get(f"/api/v1/studies/states?study_uid={MINE}&study_uid={THEIRS}", headers=headers).status_code == 403
    assert window.get(f"/api/v1/studies/{THEIRS}/events", headers=headers).status_code == 403
    turned_away = [each for each in ledger.audit.entries() if each.event is Event.TURNED_AWAY]
    assert {each.study_uid for each in turned_away} == {THEIRS, NOBODYS, "1.2.3"}


def test_lists_of_studies_name_their_own_only(window: TestClient, issuer: Issuer) -> None:
    headers = bearer(issuer, "researcher", "CHARITÉ")
    assert listed(window, headers) == [MINE]
    assert listed(window, headers, "limit=1&offset=0&includefield=00081030") == [MINE]
    assert listed(window, headers, "limit=1&offset=1") == []
    assert listed(window, headers, f"StudyInstanceUID={THEIRS}") == []
    assert window.get(f"/api/v1/studies/{MINE}/priors", headers=headers).json() == []
    both = bearer(issuer, "researcher", "Charité", "St Mary's")
    assert sorted(listed(window, both)) == [MINE, THEIRS]
    assert [each["study_uid"] for each in window.get(f"/api/v1/studies/{MINE}/priors", headers=both).json()] == [THEIRS]


def test_without_the_claim_no_study_is_seen_and_the_work_is_as_before(window: TestClient, issuer: Issuer) -> None:
    issuer.claims = account("somebody", "radiologist")
    headers = {"Authorization": f"Bearer {issuer.token()}"}
    assert listed(window, headers) == []
    assert window.get(f"/api/v1/studies/{MINE}/report", headers=headers).status_code == 403
    admin = bearer(issuer, "admin")
    assert window.get("/api/v1/work/studies", headers=admin).status_code == 200
    assert window.get("/api/v1/jobs", headers=admin).status_code == 200


def test_a_session_keeps_the_institutions(window: TestClient, issuer: Issuer) -> None:
    bearer(issuer, "radiologist", "Charité")
    sign_in(window)
    assert window.get(f"/dicom-web/studies/{MINE}/series").status_code == 200
    assert window.get(f"/dicom-web/studies/{THEIRS}/series").status_code == 403


def test_a_session_from_before_there_were_such_rights_ends(settings: Settings, issuer: Issuer) -> None:
    before = AccessSettings(issuer=issuer.url, session_secret=SecretStr("s" * 32))
    bearer(issuer, "radiologist", "Charité")
    with TestClient(create_app(settings.model_copy(update={"access": before})), base_url="http://127.0.0.1") as window:
        sign_in(window)
        assert window.get("/api/v1/session").status_code == 200
        cookies = window.cookies
    after = before.model_copy(update={"studies_claim": "sightline.studies"})
    with TestClient(create_app(settings.model_copy(update={"access": after})), base_url="http://127.0.0.1", cookies=cookies) as window:
        assert window.get("/api/v1/session").status_code == 401


def test_a_line_break_at_the_end_of_a_path_gives_no_rights(window: TestClient, issuer: Issuer) -> None:
    headers = bearer(issuer, "radiologist", "Charité")
    for method, path in (
        ("POST", "/api/v1/work/retry%0A"),
        ("GET", "/api/v1/jobs%0A"),
        ("GET", "/api/v1/metrics%0A"),
        ("GET", "/admin%0A"),
        ("GET", f"/api/v1/studies/{THEIRS}/report%0A"),
    ):
        assert window.request(method, path, headers=headers).status_code == 404, path
