"""Whatever a modality sends is on disk, bit for bit, before it hears success; what cannot be kept is refused with the right status."""

import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from copy import deepcopy
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, generate_uid

from connector.listener import Listener
from connector.spool import Spool
from radiology.errors import SightlineError
from radiology.settings import ListenerSettings
from tests.connector.modality import associate, data_set, send
from tests.connector.samples import CT_IMAGE, ct_series, radiograph, strings_of_the_patient
from tests.connector.waiting import until
from tests.orthanc import free_port

EVERY_SYNTAX = {
    "implicit": "MR_small_implicit.dcm",
    "explicit": "CT_small.dcm",
    "big endian": "MR_small_bigendian.dcm",
    "deflated": "image_dfl.dcm",
    "JPEG baseline": "SC_rgb_jpeg_dcmtk.dcm",
    "JPEG extended": "JPGExtended.dcm",
    "JPEG-LS lossless": "MR_small_jpeg_ls_lossless.dcm",
    "JPEG 2000": "JPEG2000.dcm",
    "JPEG 2000 lossless": "MR_small_jp2klossless.dcm",
    "RLE": "MR_small_RLE.dcm",
    "structured report": "test-SR.dcm",
    "waveform": "waveform_ecg.dcm",
}


@pytest.fixture(autouse=True)
def _files_are_sent_as_their_bytes_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pynetdicom._config.STORE_SEND_CHUNKED_DATASET", True)


@pytest.fixture(scope="module")
def settings() -> ListenerSettings:
    return ListenerSettings(port=free_port(), minimum_free_bytes=1 << 20)


@pytest.fixture(scope="module")
def _spool(tmp_path_factory: pytest.TempPathFactory) -> Spool:
    return Spool(tmp_path_factory.mktemp("listener") / "spool")


@pytest.fixture(scope="module")
def listener(settings: ListenerSettings, _spool: Spool) -> Iterator[Listener]:
    with Listener(settings, _spool, lambda: None) as started:
        yield started


@pytest.fixture
def spool(_spool: Spool) -> Spool:
    """The listener's spool, empty."""
    for path in [*_spool.waiting(), *_spool.quarantine.files()]:
        path.unlink()
    return _spool


def test_it_answers_an_echo(listener: Listener, settings: ListenerSettings) -> None:
    association = associate(settings)
    assert association.send_c_echo().Status == 0x0000
    association.release()


@pytest.mark.parametrize("file", EVERY_SYNTAX.values(), ids=EVERY_SYNTAX)
def test_every_class_and_transfer_syntax_is_kept_bit_for_bit(
    listener: Listener, settings: ListenerSettings, spool: Spool, file: str
) -> None:
    source = Path(str(get_testdata_file(file)))
    assert send(settings, source) == 0x0000
    (kept,) = spool.waiting()
    assert data_set(kept) == data_set(source)
    instance = dcmread(source)
    assert kept.parts[-2:] == (instance.StudyInstanceUID, f"{instance.SOPInstanceUID}.dcm")
    assert dcmread(kept).file_meta.TransferSyntaxUID == instance.file_meta.TransferSyntaxUID


def test_a_private_storage_class_is_kept(listener: Listener, settings: ListenerSettings, spool: Spool) -> None:
    instance = radiograph(generate_uid())
    instance.SOPClassUID = instance.file_meta.MediaStorageSOPClassUID = UID("1.2.826.0.1.3680043.9.9999.1")
    assert send(settings, instance) == 0x0000
    assert len(spool.waiting()) == 1


def test_an_instance_sent_twice_is_kept_once(listener: Listener, settings: ListenerSettings, spool: Spool) -> None:
    instance = radiograph(generate_uid())
    assert [send(settings, instance), send(settings, instance)] == [0x0000, 0x0000]
    assert len(spool.waiting()) == 1


@pytest.mark.parametrize("archive_has_it", [False, True])
def test_the_same_uid_with_other_pixels_is_quarantined_and_named(
    listener: Listener, settings: ListenerSettings, spool: Spool, capfd: pytest.CaptureFixture[str], archive_has_it: bool
) -> None:
    first = radiograph(generate_uid())
    second = deepcopy(first)
    second.PixelData = bytes(128)
    assert send(settings, first) == 0x0000
    if archive_has_it:
        spool.forwarded(spool.waiting()[0])
    assert [send(settings, second), send(settings, second)] == [0x0000, 0x0000]
    assert [dcmread(path).PixelData for path in spool.waiting()] == ([] if archive_has_it else [first.PixelData])
    assert [dcmread(path).PixelData for path in spool.quarantine.files()] == [second.PixelData]
    assert "instance quarantined" in capfd.readouterr().out
    assert send(settings, first) == 0x0000
    assert [dcmread(path).PixelData for path in spool.waiting()] == [first.PixelData]
    assert spool.quarantine.release(first.SOPInstanceUID) == 1
    assert {dcmread(path).PixelData for path in spool.waiting()} == {first.PixelData, second.PixelData}


def test_of_two_that_come_at_once_under_one_uid_each_is_kept(spool: Spool) -> None:
    contents = [radiograph("1.2.3") for _ in range(8)]
    for number, each in enumerate(contents):
        each.SOPInstanceUID, each.PixelData = "1.2.3.4", bytes([number]) * 128
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda each: spool.keep("1.2.3", "1.2.3.4", file_of(each)), contents))
    kept = [dcmread(path).PixelData[0] for path in [*spool.waiting(), *spool.quarantine.files()]]
    assert (sorted(kept), len(spool.waiting())) == (list(range(8)), 1)


def file_of(instance: Dataset) -> bytes:
    stream = BytesIO()
    instance.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def send_bytes(settings: ListenerSettings, folder: Path, announced: Dataset, encoded: bytes) -> int:
    """C-STORE any bytes under a command that announces an instance."""
    file = folder / "announced.dcm"
    with file.open("wb") as stream:
        stream.write(bytes(128) + b"DICM")
        write_file_meta_info(stream, announced.file_meta)
        stream.write(encoded)
    return send(settings, file)


def encoded(instance: Dataset) -> bytes:
    stream = BytesIO()
    instance.save_as(stream, implicit_vr=False, little_endian=True)
    return stream.getvalue().removeprefix(bytes(128) + b"DICM")


def test_an_instance_that_is_not_the_announced_one_is_refused(
    listener: Listener, settings: ListenerSettings, spool: Spool, tmp_path: Path
) -> None:
    sent = encoded(bare(radiograph(generate_uid())))
    other_instance = radiograph(generate_uid())
    other_class = ct_series(generate_uid(), 1)[0]
    assert send_bytes(settings, tmp_path, other_instance, sent) == 0xA900
    assert send_bytes(settings, tmp_path, other_class, sent) == 0xA900
    assert spool.waiting() == []


def bare(instance: Dataset) -> Dataset:
    """The same without file meta information, so that only the data set is encoded."""
    return Dataset(instance)


@pytest.mark.parametrize("uid", ["../../escaped", "..", "1.2.3/../4", "1" + "0" * 62 + ".", ""])
def test_a_uid_that_is_a_path_makes_no_file(listener: Listener, settings: ListenerSettings, spool: Spool, tmp_path: Path, uid: str) -> None:
    for keyword in ("SOPInstanceUID", "StudyInstanceUID"):
        instance = radiograph(generate_uid())
        with pytest.warns() if uid else nullcontext():
            setattr(instance, keyword, uid)
        if keyword == "SOPInstanceUID" and uid:
            instance.file_meta.MediaStorageSOPInstanceUID = uid
        assert send_bytes(settings, tmp_path, instance, encoded(bare(instance))) == 0xC000
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [tmp_path / "announced.dcm"]


def test_what_is_not_dicom_or_cut_short_is_not_understood(
    listener: Listener, settings: ListenerSettings, spool: Spool, tmp_path: Path
) -> None:
    image = radiograph(generate_uid())
    whole = encoded(bare(image))
    rle = dcmread(str(get_testdata_file("MR_small_RLE.dcm")))
    compressed = data_set(Path(str(get_testdata_file("MR_small_RLE.dcm"))))
    assert send_bytes(settings, tmp_path, image, b"This is not a data set. " * 20) == 0xC000
    assert send_bytes(settings, tmp_path, image, whole[:-7]) == 0xC000
    assert send_bytes(settings, tmp_path, image, whole[:40]) == 0xC000
    assert send_bytes(settings, tmp_path, rle, compressed[: len(compressed) // 2]) == 0xC000
    assert spool.waiting() == []
    assert send_bytes(settings, tmp_path, image, whole) == 0x0000


def test_a_deflated_bomb_is_kept_as_it_came_and_never_inflated_whole(
    listener: Listener, settings: ListenerSettings, spool: Spool, tmp_path: Path
) -> None:
    image = radiograph(generate_uid())
    image.PixelData = bytes(200 << 20)
    image.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    press = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bomb = press.compress(encoded(bare(image))) + press.flush()
    assert len(bomb) < 1 << 20
    assert send_bytes(settings, tmp_path, image, bomb + b"\0" * (len(bomb) % 2)) == 0x0000
    assert spool.waiting()[0].stat().st_size < 1 << 20


def test_a_full_disk_asks_the_sender_to_try_later(spool: Spool) -> None:
    settings = ListenerSettings(port=free_port(), minimum_free_bytes=1 << 60)
    with Listener(settings, spool, lambda: None):
        assert send(settings, radiograph(generate_uid())) == 0xA700
    assert spool.waiting() == []


def test_the_logs_carry_uids_and_never_the_patient(
    listener: Listener, settings: ListenerSettings, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    image = radiograph(generate_uid())
    caplog.set_level("DEBUG")
    assert send(settings, image) == 0x0000
    assert send_bytes(settings, tmp_path, radiograph(generate_uid()), encoded(bare(image))) == 0xA900
    assert send_bytes(settings, tmp_path, image, encoded(bare(image))[:-7]) == 0xC000
    written = caplog.text + "".join(capfd.readouterr())
    assert image.SOPInstanceUID in written
    assert [text for text in strings_of_the_patient() if text in written] == []


def test_it_knows_which_studies_are_being_sent(listener: Listener, settings: ListenerSettings) -> None:
    slices = ct_series(generate_uid(), 2)
    association = associate(settings, (CT_IMAGE, slices[0].file_meta.TransferSyntaxUID), calling="CT1")
    listener.sending()  # who came before
    assert listener.sending() == {}
    association.send_c_store(slices[0])
    (((_, calling), studies),) = listener.sending().items()
    assert (calling, studies) == ("CT1", {slices[0].StudyInstanceUID})
    association.release()
    until(lambda: listener.sending() == {})


def test_an_association_that_was_over_at_once_is_seen_all_the_same(listener: Listener, settings: ListenerSettings) -> None:
    image = radiograph(generate_uid())
    association = associate(settings, (image.SOPClassUID, image.file_meta.TransferSyntaxUID), calling="CR1")
    association.send_c_store(image)
    association.release()
    until(lambda: not listener._door.inside)
    (((_, calling), studies),) = listener.sending().items()
    assert (calling, studies) == ("CR1", {image.StudyInstanceUID})
    assert listener.sending() == {}


def test_a_port_in_use_is_named(listener: Listener, settings: ListenerSettings, spool: Spool) -> None:
    with pytest.raises(SightlineError, match=rf"{settings.port}.*SIGHTLINE_LISTENER__PORT"), Listener(settings, spool, lambda: None):
        pass
