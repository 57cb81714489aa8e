"""Studies come out of the archive whole, results go in once, and a failure says who must act."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from dicomweb_client import DICOMfileClient
from pydicom import Dataset
from pydicom.uid import generate_uid

from connector.pacs import Pacs
from radiology.errors import IncompleteStudy, PacsFull, PacsRefused, PacsUnreachable, SopClassRefused
from radiology.image import Volume, load
from radiology.settings import PacsSettings
from tests.connector.samples import ct_series, our_result, radiograph
from tests.dicom_sr import sources
from tests.orthanc import Orthanc, free_port


@pytest.fixture(params=["Orthanc over DICOMweb", "a folder of files"])
def pacs(request: pytest.FixtureRequest, tmp_path: Path) -> Pacs:
    if request.param == "a folder of files":
        return Pacs(DICOMfileClient(f"file://{tmp_path}", db_dir=tmp_path, in_memory=True))
    orthanc: Orthanc = request.getfixturevalue("orthanc")
    return Pacs.connect(orthanc.settings.pacs)


def test_a_study_is_fetched_in_slice_order_with_its_pixels(pacs: Pacs) -> None:
    slices = ct_series(generate_uid(), 4)
    study_uid = slices[0].StudyInstanceUID
    pacs.store(slices[::-1])
    study = pacs.fetch(study_uid)
    (series,) = study.series
    assert study.study_uid == study_uid
    assert series.instance_uids == tuple(each.SOPInstanceUID for each in slices)
    assert series.instances[0].PatientName == slices[0].PatientName
    assert series.instances[0].ImagePositionPatient == slices[0].ImagePositionPatient
    fetched = {each.SOPInstanceUID: each for each in pacs.instances(series)}
    assert [fetched[each.SOPInstanceUID].PixelData for each in slices] == [each.PixelData for each in slices]
    assert pacs.count(study_uid) == 4


def test_the_frames_of_a_multi_frame_image_are_fetched_with_their_places(pacs: Pacs) -> None:
    slices = sources.ct_series()
    (multi_frame,) = sources.enhanced(slices, (2, 0, 3, 1))
    pacs.store([multi_frame])
    (series,) = pacs.fetch(multi_frame.StudyInstanceUID).series
    assert [frame.header.ImagePositionPatient for frame in series.frames] == [each.ImagePositionPatient for each in slices]
    assert [frame.number for frame in series.frames] == [2, 4, 1, 3]
    (volume,) = load(series, pacs.instances(series))
    assert isinstance(volume, Volume)
    assert volume.array[:, 0, 0].tolist() == [-524, -523, -522, -521]


def test_an_image_larger_than_one_chunk_of_the_upload_arrives_whole(pacs: Pacs) -> None:
    image = radiograph(generate_uid())
    image.Rows = image.Columns = 1024
    image.PixelData = bytes(range(256)) * (1024 * 1024 * 2 // 256)
    pacs.store([image])
    (series,) = pacs.fetch(image.StudyInstanceUID).series
    assert pacs.instances(series)[0].PixelData == image.PixelData


def test_our_own_results_are_no_images_and_are_found_again(pacs: Pacs) -> None:
    image = radiograph(generate_uid())
    ours, foreign = our_result(image.StudyInstanceUID), our_result(image.StudyInstanceUID)
    foreign.Manufacturer = "Another"
    pacs.store([image, ours, foreign])
    assert {series.modality for series in pacs.fetch(image.StudyInstanceUID).series} == {"CR", "SEG"}
    assert [each.SOPInstanceUID for each in pacs.results(image.StudyInstanceUID)] == [ours.SOPInstanceUID]


def test_storing_twice_stores_nothing_twice(pacs: Pacs) -> None:
    image = radiograph(generate_uid())
    ours = our_result(image.StudyInstanceUID)
    pacs.store([image])
    pacs.store([image, ours])
    pacs.store([ours])
    assert pacs.count(image.StudyInstanceUID) == 2
    assert pacs.stored([image, ours, radiograph(image.StudyInstanceUID)]) == {image.SOPInstanceUID, ours.SOPInstanceUID}


def test_a_study_without_images_is_incomplete(pacs: Pacs) -> None:
    ours = our_result(generate_uid())
    pacs.store([ours])
    for study_uid in (ours.StudyInstanceUID, generate_uid()):
        with pytest.raises(IncompleteStudy, match="send it again"):
            pacs.fetch(study_uid)
    assert pacs.count(generate_uid()) == 0


def test_fewer_instances_than_listed_are_asked_for_again(orthanc: Orthanc) -> None:
    slices = ct_series(generate_uid())
    pacs = Pacs.connect(orthanc.settings.pacs)
    pacs.store(slices)
    study = pacs.fetch(slices[0].StudyInstanceUID)
    orthanc.empty()
    pacs.store(slices[:2])
    with pytest.raises(PacsRefused, match="2 of the 3 instances"):
        pacs.instances(study.series[0])


def test_an_archive_that_is_down_is_unreachable() -> None:
    pacs = Pacs.connect(PacsSettings(dicomweb_url=f"http://127.0.0.1:{free_port()}/dicom-web"))
    image = radiograph(generate_uid())
    tries: list[Callable[[], object]] = [
        lambda: pacs.count(image.StudyInstanceUID),
        lambda: pacs.fetch(image.StudyInstanceUID),
        lambda: pacs.store([image]),
        lambda: pacs.results(image.StudyInstanceUID),
    ]
    for attempt in tries:
        with pytest.raises(PacsUnreachable, match="does not answer"):
            attempt()


@contextmanager
def answering(status: int, body: bytes, get_body: bytes = b"[]") -> Iterator[PacsSettings]:
    """A DICOMweb server that gives every POST the same answer and every GET ``get_body``."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, get_body)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(status, body)

        def _answer(self, code: int, content: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield PacsSettings(dicomweb_url=f"http://127.0.0.1:{server.server_port}/dicom-web")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_partly_failed_store_names_what_failed_and_why() -> None:
    image = radiograph(generate_uid())
    failed = Dataset()
    failed.ReferencedSOPClassUID, failed.ReferencedSOPInstanceUID, failed.FailureReason = image.SOPClassUID, image.SOPInstanceUID, 0xA700
    answer = Dataset()
    answer.FailedSOPSequence = [failed]
    with answering(202, answer.to_json().encode()) as settings, pytest.raises(PacsFull, match=rf"{image.SOPInstanceUID} \(0xA700\)"):
        Pacs.connect(settings).store([image])


@pytest.mark.parametrize("status", [202, 409])
def test_a_class_that_the_archive_does_not_take_is_named_as_such(status: int) -> None:
    image = radiograph(generate_uid())
    failed = Dataset()
    failed.ReferencedSOPClassUID, failed.ReferencedSOPInstanceUID, failed.FailureReason = image.SOPClassUID, image.SOPInstanceUID, 0x0122
    answer = Dataset()
    answer.FailedSOPSequence = [failed]
    with answering(status, answer.to_json().encode()) as settings, pytest.raises(SopClassRefused, match=str(image.SOPInstanceUID)):
        Pacs.connect(settings).store([image])


def test_an_archive_that_says_stored_and_lists_nothing_is_not_believed() -> None:
    with answering(200, b"{}") as settings, pytest.raises(PacsFull, match="does not list it"):
        Pacs.connect(settings).store([radiograph(generate_uid())])


@pytest.mark.parametrize(("status", "error"), [(503, PacsUnreachable), (401, PacsRefused), (409, PacsRefused)])
def test_the_status_decides_who_must_act(status: int, error: type[Exception]) -> None:
    with answering(status, b"{}") as settings, pytest.raises(error, match=str(status)):
        Pacs.connect(settings).store([radiograph(generate_uid())])


def test_an_answer_that_is_not_dicom_points_at_the_address() -> None:
    with answering(200, b"", get_body=b"<html>") as settings, pytest.raises(PacsRefused, match="SIGHTLINE_PACS__DICOMWEB_URL"):
        Pacs.connect(settings).count(generate_uid())
