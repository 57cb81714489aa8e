"""Numbers of a header are what they should be, or the instance is named; nobody's text is repeated."""

import pytest
from pydicom import Dataset, config
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from radiology.claims import drop_illegible, items, numbers, text, whole_number
from radiology.errors import UnsupportedImage


@pytest.fixture(autouse=True)
def _anything_may_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config.settings, "_reading_validation_mode", config.IGNORE)


def header(vr: str, tag: str, value: bytes) -> Dataset:
    """A header with these bytes under a keyword, as they come off the wire."""
    instance = Dataset()
    instance.SOPInstanceUID = "1.2.3"
    instance[tag] = RawDataElement(Tag(tag), vr, len(value), value, 0, False, True)
    return instance


def test_numbers_are_read_and_missing_ones_are_none() -> None:
    assert numbers(header("DS", "PixelSpacing", b"0.5\\0.25"), "PixelSpacing", 2) == (0.5, 0.25)
    assert numbers(header("DS", "PixelSpacing", b""), "PixelSpacing", 2) is None
    assert numbers(Dataset(), "PixelSpacing", 2) is None
    assert whole_number(header("IS", "NumberOfFrames", b"12"), "NumberOfFrames", 1) == 12
    assert whole_number(Dataset(), "NumberOfFrames", 1) == 1


@pytest.mark.parametrize("value", [b"a\\b", b"1", b"1\\2\\3", b"nan\\1", b"inf\\1", b"1e308\\1"])
def test_what_is_not_so_many_finite_numbers_is_refused(value: bytes) -> None:
    with pytest.raises(UnsupportedImage, match=r"PixelSpacing of instance 1\.2\.3 is not 2 numbers"):
        numbers(header("DS", "PixelSpacing", value), "PixelSpacing", 2)


@pytest.mark.parametrize("value", [b"abc", b"-5", b"2.5", b"1e99", b"2\\3"])
def test_what_counts_nothing_is_refused(value: bytes) -> None:
    with pytest.raises(UnsupportedImage, match=r"NumberOfFrames of instance 1\.2\.3 is not a number"):
        whole_number(header("IS", "NumberOfFrames", value), "NumberOfFrames", 1)


@pytest.mark.parametrize(
    ("vr", "keyword", "value"),
    [
        ("US", "Rows", b"\1"),
        ("ZZ", "Modality", b"CT"),
        ("SQ", "Modality", b"CT"),
        ("US", "SharedFunctionalGroupsSequence", b"\1\0"),
    ],
)
def test_what_cannot_be_understood_is_missing_at_every_depth(vr: str, keyword: str, value: bytes) -> None:
    item, instance = header(vr, keyword, value), header(vr, keyword, value)
    instance.ReferencedStudySequence = [item]
    drop_illegible(instance)
    assert keyword not in instance
    assert keyword not in instance.ReferencedStudySequence[0]
    assert instance.SOPInstanceUID == instance.ReferencedStudySequence[0].SOPInstanceUID == "1.2.3"


@pytest.mark.parametrize(("vr", "value"), [("US", b"\1\0"), ("ZZ", b""), ("UI", b"1.2")])
def test_what_is_no_sequence_has_no_items_and_is_refused(vr: str, value: bytes) -> None:
    keyword = "SharedFunctionalGroupsSequence"
    with pytest.raises(UnsupportedImage, match=f"{keyword} of instance 1.2.3 is not a sequence"):
        items(header(vr, keyword, value), keyword)
    assert items(Dataset(), keyword) == []


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(UnsupportedImage, match=r"ViewPosition of instance 1\.2\.3 is not a text"):
        text(header("ZZ", "ViewPosition", b"PA"), "ViewPosition")
    assert text(header("CS", "ViewPosition", b"PA"), "ViewPosition") == "PA"
    assert text(Dataset(), "ViewPosition") == ""
