"""Who an instance is, is read from any bytes without harm: either the truth or a refusal, in no more memory than the bytes take."""

import struct
import tracemalloc
from contextlib import suppress
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from connector.header import Header, HeaderError, read_header
from tests.connector.modality import data_set
from tests.connector.samples import radiograph

SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
FILES = [
    "CT_small.dcm",
    "MR_small_implicit.dcm",
    "MR_small_bigendian.dcm",
    "MR_small_RLE.dcm",
    "rtplan.dcm",
    "test-SR.dcm",
    "nested_priv_SQ.dcm",
]

EMPTY_ITEM = struct.pack("<HHL", 0xFFFE, 0xE000, 0)
ITEM = struct.pack("<HHL", 0xFFFE, 0xE000, 0xFFFFFFFF)
SEQUENCE = struct.pack("<HH2sHL", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
END_OF_SEQUENCE = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)


@cache
def encoded() -> bytes:
    """An image in explicit VR, little endian."""
    stream = BytesIO()
    Dataset(radiograph("1.2.3")).save_as(stream, implicit_vr=False, little_endian=True)
    return stream.getvalue().removeprefix(bytes(128) + b"DICM")


@pytest.mark.parametrize("file", FILES)
def test_it_says_what_pydicom_says(file: str) -> None:
    path = Path(str(get_testdata_file(file)))
    instance = dcmread(path)
    expected = Header(*(str(instance.get(name, "")) for name in ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID")))
    assert read_header(data_set(path), instance.file_meta.TransferSyntaxUID) == expected


@pytest.mark.parametrize("file", FILES)
def test_no_part_of_a_data_set_is_taken_for_the_whole(file: str) -> None:
    """Where it is cut between two elements, the rest is a data set of its own; a caller then misses the UIDs or the pixels."""
    path = Path(str(get_testdata_file(file)))
    content, syntax = data_set(path), dcmread(path).file_meta.TransferSyntaxUID
    whole = 0
    for size in range(len(content) - 9, max(len(content) - 400, 0), -1):
        try:
            read_header(content[:size], syntax)
        except HeaderError:
            continue
        whole += 1
    assert whole < 40


def test_empty_items_are_no_memory() -> None:
    content = SEQUENCE + EMPTY_ITEM * 20_000 + END_OF_SEQUENCE + encoded()
    tracemalloc.start()
    try:
        assert read_header(content, ExplicitVRLittleEndian).study_uid == "1.2.3"
        assert tracemalloc.get_traced_memory()[1] < 1 << 16
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", ""),
        ((SEQUENCE + ITEM) * 10_000, "deep"),
        (SEQUENCE + EMPTY_ITEM, "cut short"),
        (SEQUENCE + b"\x08\0\x16\0UI\x02\x001\0" + END_OF_SEQUENCE, "other than items"),
        (EMPTY_ITEM, "where none can"),
        (END_OF_SEQUENCE, "where none can"),
        (struct.pack("<HH2sHL", 0x0008, 0x0016, b"UN", 0, 0xFFFFFFF0), "cut short"),
        (struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF) + ITEM, "other than items"),
        (b"\x08\0\x18\0UI\x04\x001.2\0" * 2, "twice"),
        (b"MZ\x90\0" * 32, "cut short"),
        (b"This is not a data set. " * 20, "cut short"),
    ],
)
def test_what_is_no_data_set_is_refused_with_a_reason(content: bytes, reason: str) -> None:
    if not content:
        assert read_header(content, ExplicitVRLittleEndian) == Header("", "", "")
        return
    with pytest.raises(HeaderError, match=reason):
        read_header(content, ExplicitVRLittleEndian)


@pytest.mark.slow
def test_more_elements_than_any_image_has_are_refused() -> None:
    with pytest.raises(HeaderError, match="more than 2000000 elements"):
        read_header(SEQUENCE + EMPTY_ITEM * 2_000_001, ExplicitVRLittleEndian)


damage = st.lists(st.tuples(st.integers(0, 900), st.integers(0, 8), st.binary(max_size=12)), max_size=8)


def harmless(content: bytes, syntax: UID) -> None:
    """Read it; whatever is not a refusal in words is a fault, and fails the test."""
    with suppress(HeaderError):
        header = read_header(content, syntax)
        assert all(isinstance(uid, str) for uid in (header.sop_class_uid, header.instance_uid, header.study_uid))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(SYNTAXES))
def test_any_bytes_are_harmless(content: bytes, syntax: UID) -> None:
    harmless(content, syntax)


@settings(max_examples=150, deadline=None)
@given(damage, st.sampled_from(SYNTAXES))
def test_a_damaged_image_is_harmless(changes: list[tuple[int, int, bytes]], syntax: UID) -> None:
    content = encoded()
    for place, removed, put in changes:
        content = content[:place] + put + content[place + removed :]
    harmless(content, syntax)


@pytest.mark.slow
@settings(max_examples=2_000, deadline=None)
@given(damage, st.sampled_from(SYNTAXES))
def test_thousands_of_damaged_images_are_harmless(changes: list[tuple[int, int, bytes]], syntax: UID) -> None:
    test_a_damaged_image_is_harmless.hypothesis.inner_test(changes, syntax)  # type: ignore[attr-defined]
