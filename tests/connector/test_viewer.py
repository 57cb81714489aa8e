"""The viewer's side of the origin: what a browser gets, and what it cannot reach."""

import socket
import struct
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from fastapi.testclient import TestClient

from connector.api import create_app
from connector.pacs import Pacs, decode_separators
from radiology.settings import ApiSettings, Settings
from tests.connector.samples import ct_series
from tests.orthanc import Orthanc, free_port

STUDY_UID = "2.25.61"


@pytest.fixture
def settings(orthanc: Orthanc, tmp_path: Path) -> Settings:
    viewer, extension = tmp_path / "viewer", tmp_path / "extension"
    for folder in (viewer / "assets", extension):
        folder.mkdir(parents=True)
    (viewer / "index.html").write_text("<html>OHIF</html>")
    (viewer / "app.bundle.js").write_text("run();")
    (viewer / "codec.wasm").write_bytes(b"\0asm")
    (viewer / "sw.js").write_text("importScripts('https://elsewhere.example/');")
    (extension / "index.js").write_text("export default {};")
    api = ApiSettings(viewer_folder=viewer, extension_folder=extension)
    return orthanc.settings.model_copy(update={"data_folder": tmp_path, "api": api})


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), base_url="http://127.0.0.1:8080") as client:
        yield client


@pytest.fixture
def study(settings: Settings) -> str:
    images = ct_series(STUDY_UID)
    for image in images:
        image.StudyDescription = "Chest, follow-up"
    Pacs.connect(settings.pacs).store(images)
    return STUDY_UID


@pytest.mark.parametrize("path", ["/", "/viewer?StudyInstanceUIDs=1.2.3", "/local"])
def test_every_page_of_ohif_is_its_index(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.text == "<html>OHIF</html>"
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/app.bundle.js", "javascript"), ("/codec.wasm", "application/wasm"), ("/sightline/index.js", "javascript")],
)
def test_files_have_the_types_that_browsers_insist_on(client: TestClient, path: str, kind: str) -> None:
    assert kind in client.get(path).headers["content-type"]


@pytest.mark.parametrize(
    "path", ["/missing.js", "/sightline/missing", "/dicom-web", "/api/nothing", "/sw.js", "/..%2f..%2fapi.py", "/sightline/..%2fdb.js"]
)
def test_what_is_not_there_is_not_a_page(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_pages_are_isolated_and_load_nothing_from_elsewhere(client: TestClient) -> None:
    for path in ("/", "/app.bundle.js", "/app-config.js", "/sightline/index.js"):
        headers = client.get(path).headers
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-embedder-policy"] == "require-corp"
        assert headers["content-security-policy"].startswith("default-src 'self';")
        assert "http" not in headers["content-security-policy"]


def test_ohif_is_told_of_the_archive_and_of_the_extension(client: TestClient) -> None:
    script = client.get("/app-config.js").text
    assert script.startswith("window.config = {")
    assert '"/sightline/index.js"' in script
    assert '"wadoRoot": "/dicom-web"' in script


def test_a_study_is_found_and_retrieved_through_the_window(client: TestClient, study: str, settings: Settings) -> None:
    (found,) = client.get("/dicom-web/studies", params={"StudyInstanceUID": study}).json()
    assert found["0020000D"]["Value"] == [study]
    metadata = client.get(f"/dicom-web/studies/{study}/series/{series_of(client, study)}/metadata").json()
    assert len(metadata) == 3
    instance_uid = metadata[0]["00080018"]["Value"][0]
    pixels = client.get(
        f"/dicom-web/studies/{study}/series/{series_of(client, study)}/instances/{instance_uid}/frames/1",
        headers={"Accept": "multipart/related; type=application/octet-stream; transfer-syntax=*"},
    )
    number = metadata[0]["00200013"]["Value"][0]
    assert np.full((8, 8), number, "<u2").tobytes() in pixels.content


def test_addresses_of_bulk_data_lead_back_through_the_window(client: TestClient, study: str) -> None:
    metadata = client.get(f"/dicom-web/studies/{study}/series/{series_of(client, study)}/metadata").json()
    address = metadata[0]["7FE00010"]["BulkDataURI"]
    assert address.startswith("http://127.0.0.1:8080/dicom-web/studies/")
    assert client.get(address).status_code == 200


@pytest.mark.parametrize("query", ["PatientID=C4%2A", "PatientName=%2A%5E%2A", "PatientID=C%2a"])
def test_encoded_separators_find_what_they_name(client: TestClient, study: str, query: str) -> None:
    assert [each["0020000D"]["Value"] for each in client.get(f"/dicom-web/studies?{query}").json()] == [[study]]


def test_encoded_commas_of_a_list_are_understood(client: TestClient, study: str) -> None:
    (found,) = client.get("/dicom-web/studies?includefield=00081030%2C00080060").json()
    assert found["00081030"]["Value"] == ["Chest, follow-up"]


def test_only_separators_are_decoded() -> None:
    assert decode_separators("a=%2c%2C%5e%5E%2a%2A%3f&b=%26%3D%20") == "a=,,^^**?&b=%26%3D%20"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/dicom-web/studies", "/dicom-web/studies/2.25.61", "/", "/api/v1/jobs"])
def test_a_browser_cannot_store_or_delete(client: TestClient, method: str, path: str) -> None:
    assert client.request(method, path).status_code == 405


@pytest.mark.parametrize(
    "resource", ["servers", "studies/../servers", "studies/..%2fservers", "studies/%2e%2e/servers", "studies/1.2//..", "instances", ""]
)
def test_the_rest_of_the_archive_cannot_be_seen(client: TestClient, resource: str) -> None:
    assert client.get(f"/dicom-web/{resource}").status_code == 404


@pytest.mark.parametrize(
    "accept",
    [
        'multipart/related; type="image/jls"',
        "multipart/related; type=IMAGE/JLS; transfer-syntax=*",
        'multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.4.80',
    ],
)
def test_the_request_that_kills_orthanc_does_not_reach_it(client: TestClient, accept: str) -> None:
    frames = "/dicom-web/studies/1.2/series/1.3/instances/1.4/frames/1"
    assert client.get(frames, headers={"Accept": accept}).status_code == 406
    assert client.get(frames, params={"accept": accept}).status_code == 406


def test_an_archive_that_is_away_is_a_problem(settings: Settings) -> None:
    away = settings.pacs.model_copy(update={"dicomweb_url": f"http://127.0.0.1:{free_port()}/dicom-web"})
    with TestClient(create_app(settings.model_copy(update={"pacs": away})), base_url="http://127.0.0.1") as client:
        answer = client.get("/dicom-web/studies")
    assert answer.status_code == 502
    assert "cannot be reached" in answer.json()["detail"]


def test_a_folder_that_is_not_there_is_said_at_the_start(settings: Settings, tmp_path: Path) -> None:
    missing = settings.model_copy(update={"api": ApiSettings(viewer_folder=tmp_path / "nowhere")})
    with pytest.raises(FileNotFoundError, match="run scripts/setup"):
        create_app(missing)


def series_of(client: TestClient, study_uid: str) -> str:
    """UID of the study's only series."""
    (series,) = client.get(f"/dicom-web/studies/{study_uid}/series").json()
    return str(series["0020000E"]["Value"][0])


class Forgetful(BaseHTTPRequestHandler):
    """An archive that closes a connection at the moment when a second question arrives on it, in order or with a reset."""

    protocol_version = "HTTP/1.1"
    asked = 0

    def do_GET(self) -> None:
        self.asked += 1
        if self.asked > 1:
            self.close_connection = True
            if self.server.is_abrupt:  # type: ignore[attr-defined]
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.mark.parametrize("is_abrupt", [False, True])
def test_a_connection_that_the_archive_closes_is_no_error(is_abrupt: bool, settings: Settings) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Forgetful) as archive:
        archive.is_abrupt = is_abrupt  # type: ignore[attr-defined]
        Thread(target=archive.serve_forever).start()
        pacs = settings.pacs.model_copy(update={"dicomweb_url": f"http://127.0.0.1:{archive.server_port}"})
        with TestClient(create_app(settings.model_copy(update={"pacs": pacs})), base_url="http://127.0.0.1:8080") as client:
            assert [client.get("/dicom-web/studies").status_code for _ in range(5)] == [200] * 5
        archive.shutdown()
