"""Whatever comes in an association, good instances in the same association are stored, and the process stays small."""

import struct
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydicom import Dataset
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, RLELossless, generate_uid

from connector.listener import Listener
from connector.spool import Spool
from radiology.settings import ListenerSettings
from tests.connector.modality import associate, data_set
from tests.connector.samples import radiograph
from tests.orthanc import free_port

KEPT, NOT_UNDERSTOOD = 0x0000, 0xC000

UNDEFINED = 0xFFFFFFFF
SEQUENCE = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, UNDEFINED)
ITEM = struct.pack("<HHL", 0xFFFE, 0xE000, UNDEFINED)
EMPTY_ITEM = struct.pack("<HHL", 0xFFFE, 0xE000, 0)
END_OF_SEQUENCE = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


def plain(image: Dataset) -> bytes:
    stream = BytesIO()
    Dataset(image).save_as(stream, implicit_vr=False, little_endian=True)
    return stream.getvalue().removeprefix(bytes(128) + b"DICM")


def claiming(**claims: Any) -> Callable[[Dataset], bytes]:
    """An image whose header says something that its few pixels do not hold."""

    def make(image: Dataset) -> bytes:
        for keyword, value in claims.items():
            setattr(image, keyword, value)
        return plain(image)

    return make


def with_bytes(keyword: str, value: bytes) -> Callable[[Dataset], bytes]:
    """An image with these bytes as the value of a short element."""

    def make(image: Dataset) -> bytes:
        marker = b"MARKER12" if keyword != "SpecificCharacterSet" else b"ISO_IR 192"
        setattr(image, keyword, marker.decode())
        return plain(image).replace(marker, value.ljust(len(marker)))

    return make


def rle_bomb(image: Dataset) -> bytes:
    """One fragment that says it is 65535 x 65535 pixels: runs of 128 zeros."""
    image.Rows = image.Columns = 65535
    del image.PixelData
    runs = struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\x00" * 50_000
    pixels = struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, UNDEFINED) + EMPTY_ITEM
    return plain(image) + pixels + struct.pack("<HHL", 0xFFFE, 0xE000, len(runs)) + runs + END_OF_SEQUENCE


HOSTILE: dict[str, tuple[UID, Callable[[Dataset], bytes], int]] = {
    "65535 x 65535": (ExplicitVRLittleEndian, claiming(Rows=65535, Columns=65535), KEPT),
    "a million frames": (ExplicitVRLittleEndian, claiming(NumberOfFrames=1_000_000), KEPT),
    "RLE bomb": (RLELossless, rle_bomb, KEPT),
    "unknown character set": (ExplicitVRLittleEndian, with_bytes("SpecificCharacterSet", b"ISO 9999"), KEPT),
    "bytes of no character": (ExplicitVRLittleEndian, with_bytes("StudyDescription", b"\xff\xfe\x1b$B\x00"), KEPT),
    "many empty items": (ExplicitVRLittleEndian, lambda i: SEQUENCE + EMPTY_ITEM * 50_000 + END_OF_SEQUENCE + plain(i), KEPT),
    "deep sequences": (ExplicitVRLittleEndian, lambda image: plain(image) + (SEQUENCE + ITEM) * 10_000, NOT_UNDERSTOOD),
    "a sequence without end": (ExplicitVRLittleEndian, lambda image: plain(image) + SEQUENCE + EMPTY_ITEM, NOT_UNDERSTOOD),
    "an end without sequence": (ExplicitVRLittleEndian, lambda image: END_OF_SEQUENCE + plain(image), NOT_UNDERSTOOD),
    "longer than it is": (ExplicitVRLittleEndian, lambda image: plain(image)[:-6], NOT_UNDERSTOOD),
    "4 GB in one element": (
        ExplicitVRLittleEndian,
        lambda image: plain(image) + struct.pack("<HH2sHL", 0x7FE1, 0x0010, b"OB", 0, 0xFFFFFFF0),
        NOT_UNDERSTOOD,
    ),
    "two names": (ExplicitVRLittleEndian, lambda image: plain(image) + b"\x08\0\x18\0UI\x04\x001.2\0", NOT_UNDERSTOOD),
    "no deflated stream": (DeflatedExplicitVRLittleEndian, lambda image: b"\xff" * 1000, NOT_UNDERSTOOD),
    "a program": (ExplicitVRLittleEndian, lambda image: b"MZ\x90\0\x03\0\0\0" + b"\x7fELF" * 100, NOT_UNDERSTOOD),
    "nothing": (ExplicitVRLittleEndian, lambda image: b"\0\0", NOT_UNDERSTOOD),
}


@pytest.fixture(autouse=True)
def _files_are_sent_as_their_bytes_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pynetdicom._config.STORE_SEND_CHUNKED_DATASET", True)


@pytest.fixture(scope="module")
def settings() -> ListenerSettings:
    return ListenerSettings(port=free_port(), minimum_free_bytes=1)


@pytest.fixture(scope="module")
def _spool(tmp_path_factory: pytest.TempPathFactory, settings: ListenerSettings) -> Iterator[Spool]:
    spool = Spool(tmp_path_factory.mktemp("hostile") / "spool")
    with Listener(settings, spool, lambda: None):
        yield spool


@pytest.fixture
def spool(_spool: Spool) -> Spool:
    """The listener's spool, empty."""
    for path in _spool.waiting():
        path.unlink()
    return _spool


def file(folder: Path, image: Dataset, content: bytes, preamble: bytes = bytes(128)) -> Path:
    """A file that announces an image and holds what it is given."""
    path = folder / f"{image.SOPInstanceUID}.dcm"
    with path.open("wb") as stream:
        stream.write(preamble + b"DICM")
        write_file_meta_info(stream, image.file_meta)
        stream.write(content)
    return path


@pytest.mark.parametrize(("syntax", "make", "status"), HOSTILE.values(), ids=HOSTILE)
def test_it_is_refused_or_kept_as_it_came_and_the_others_go_on(
    settings: ListenerSettings, spool: Spool, tmp_path: Path, syntax: UID, make: Callable[[Dataset], bytes], status: int
) -> None:
    hostile, before, after = (radiograph(generate_uid()) for _ in range(3))
    hostile.file_meta.TransferSyntaxUID = syntax
    content = make(hostile)
    files = [file(tmp_path, before, plain(before)), file(tmp_path, hostile, content), file(tmp_path, after, plain(after))]
    memory = psutil.Process().memory_info().rss
    association = associate(settings, *{(hostile.SOPClassUID, each) for each in (syntax, ExplicitVRLittleEndian)})
    assert [association.send_c_store(path).Status for path in files] == [KEPT, status, KEPT]
    association.release()
    assert psutil.Process().memory_info().rss - memory < 64 << 20
    kept = {path.stem: data_set(path) for path in spool.waiting()}
    sent = {path.stem: data_set(path) for path in files}
    assert kept == (sent if status == KEPT else {name: sent[name] for name in sent if name != hostile.SOPInstanceUID})


@pytest.mark.parametrize("program", [b"MZ\x90\0", b"\x7fELF", b"#!/bin/sh\n"], ids=["PE", "ELF", "script"])
def test_a_program_before_the_image_does_not_come_along(settings: ListenerSettings, spool: Spool, tmp_path: Path, program: bytes) -> None:
    image = radiograph(generate_uid())
    association = associate(settings, (image.SOPClassUID, ExplicitVRLittleEndian))
    assert association.send_c_store(file(tmp_path, image, plain(image), program.ljust(128, b"\x90"))).Status == KEPT
    association.release()
    (kept,) = spool.waiting()
    assert kept.read_bytes()[:132] == bytes(128) + b"DICM"
