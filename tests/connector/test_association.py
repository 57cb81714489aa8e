"""Results reach an archive by C-STORE as they are, and a SOP class that it does not take is named as such."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from threading import Thread
from types import SimpleNamespace

import httpx
import pytest
from pydicom import Dataset, dcmwrite
from pydicom.uid import generate_uid

from connector.association import Checkpoint
from connector.pacs import Pacs
from radiology.errors import PacsUnreachable, SopClassRefused
from radiology.settings import PacsSettings
from tests.connector.samples import CT_IMAGE, instance, our_result, radiograph
from tests.connector.waiting import until
from tests.orthanc import Orthanc, free_port

LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"


@pytest.fixture(scope="module")
def strict_orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """An archive that takes only the SOP classes that its DCMTK knows, as many do."""
    with Orthanc(tmp_path_factory.mktemp("strict"), UnknownSopClassAccepted=False) as orthanc:
        yield orthanc


def by_c_store(orthanc: Orthanc) -> Pacs:
    return Pacs.connect(orthanc.settings.pacs.model_copy(update={"store_by": "C-STORE"}))


def label_map(study_uid: str) -> Dataset:
    made = instance(CT_IMAGE, study_uid, generate_uid(), "SEG")
    made.SOPClassUID = made.file_meta.MediaStorageSOPClassUID = LABEL_MAP
    return made


def encoded(dataset: Dataset) -> bytes:
    """The data set as it is sent, without the file's own header."""
    stream = BytesIO()
    dcmwrite(stream, dataset, implicit_vr=False, little_endian=True)
    return stream.getvalue()


def test_results_arrive_byte_for_byte_and_once(orthanc: Orthanc) -> None:
    pacs = by_c_store(orthanc)
    sent = our_result(generate_uid())
    pacs.store([sent])
    pacs.store([sent])
    (held,) = httpx.get(f"{orthanc.url}/instances").json()
    file = httpx.get(f"{orthanc.url}/instances/{held}/file").content
    body = Dataset()
    body.update(sent)
    assert file.endswith(encoded(body))


def test_a_class_that_the_archive_does_not_take_is_named_and_the_others_are_stored(strict_orthanc: Orthanc) -> None:
    pacs = by_c_store(strict_orthanc)
    image = radiograph(generate_uid())
    masks = label_map(image.StudyInstanceUID)
    with pytest.raises(SopClassRefused, match=f"does not take the SOP class of {masks.SOPInstanceUID}"):
        pacs.store([image, masks])
    assert pacs.stored([image, masks]) == {image.SOPInstanceUID}


def test_nothing_but_refused_classes_is_refused_as_well(strict_orthanc: Orthanc) -> None:
    with pytest.raises(SopClassRefused):
        by_c_store(strict_orthanc).store([label_map(generate_uid())])


def test_the_same_archive_takes_label_maps_where_it_is_told_to(orthanc: Orthanc) -> None:
    masks = label_map(generate_uid())
    pacs = by_c_store(orthanc)
    pacs.store([masks])
    assert pacs.stored([masks]) == {masks.SOPInstanceUID}


def test_an_archive_that_does_not_answer_is_unreachable(orthanc: Orthanc) -> None:
    settings: PacsSettings = orthanc.settings.pacs.model_copy(update={"store_by": "C-STORE", "port": free_port()})
    with pytest.raises(PacsUnreachable, match="does not answer"):
        Pacs.connect(settings).store([our_result(generate_uid())])


def test_whoever_is_let_go_from_the_checkpoint_is_not_paused_any_more() -> None:
    association = SimpleNamespace(_is_paused=True)
    checkpoint = Checkpoint(association)
    for _ in range(300):
        association._is_paused = True
        checkpoint.clear()
        waiting = Thread(target=checkpoint.wait)
        waiting.start()
        checkpoint.set()
        checkpoint.clear()  # the next request: the thread is still there, or says that it is not
        if association._is_paused:
            waiting.join(0.001)
            assert waiting.is_alive()
        checkpoint.set()
        waiting.join()


def test_whoever_waits_at_the_checkpoint_is_paused_whatever_a_report_left_behind() -> None:
    association = SimpleNamespace(_is_paused=True)
    checkpoint = Checkpoint(association)
    checkpoint.clear()
    waiting = Thread(target=checkpoint.wait)
    waiting.start()
    association._is_paused = False  # as the thread that serves an N-EVENT-REPORT does at its end
    assert until(lambda: association._is_paused), "a release would wait for ever"
    checkpoint.set()
    waiting.join()
    assert not association._is_paused
