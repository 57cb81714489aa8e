"""Everything that is left out has its reason, at exactly the thresholds that are written down."""

import numpy as np
import pytest
from pydicom import Dataset

from ai_engine.model.language import Language
from training.data.quality import QualityFilter, Reason, Sample, image_hash, names_a_person, personal_values, series_reason, text_hash

LANGUAGE = Language.train(["a"], 512)
"""So small that every letter is a token."""


def words(tokens: int) -> str:
    text = "b" * tokens
    assert len(LANGUAGE.encode(text)) == tokens
    return text


def picture(rows: int, columns: int, value: int = 0) -> np.ndarray:
    return np.full((rows, columns), value, np.uint8)


@pytest.mark.parametrize(("rows", "columns", "reason"), [(64, 64, None), (63, 65, Reason.IMG_SMALL), (1, 4096, None)])
def test_an_image_needs_4096_pixels(rows: int, columns: int, reason: Reason | None) -> None:
    assert QualityFilter(LANGUAGE).reason(Sample(words(20), frames=(picture(rows, columns),))) == reason


def test_every_frame_counts_for_itself() -> None:
    assert QualityFilter(LANGUAGE).reason(Sample(words(20), frames=(picture(64, 64), picture(8, 8)))) == Reason.IMG_SMALL


@pytest.mark.parametrize(("tokens", "reason"), [(9, Reason.TXT_SHORT), (10, None), (1024, None), (1025, Reason.TXT_LONG)])
def test_a_response_has_10_to_1024_tokens(tokens: int, reason: Reason | None) -> None:
    assert QualityFilter(LANGUAGE).reason(Sample(words(tokens))) == reason


def test_the_same_pair_is_dropped_once_and_another_text_is_kept() -> None:
    look = QualityFilter(LANGUAGE)
    image, other = picture(64, 64), picture(64, 64, 1)
    samples = [
        Sample("The lungs are clear.", frames=(image,)),
        Sample("There is a nodule in the lung.", frames=(image,)),
        Sample("The  lungs are CLEAR.", frames=(image.copy(),)),
        Sample("The lungs are clear.", frames=(other,)),
    ]
    assert [look.reason(sample) for sample in samples] == [None, None, Reason.DUP_PAIR, None]
    assert look.dropped == {Reason.DUP_PAIR: 1}


def test_pure_text_is_compared_by_instruction_and_response() -> None:
    look = QualityFilter(LANGUAGE)
    samples = [
        Sample("A collapsed lung.", "What is it?"),
        Sample("A collapsed lung.", "And this?"),
        Sample("a collapsed  lung.", "What is it?"),
    ]
    assert [look.reason(sample) for sample in samples] == [None, None, Reason.DUP_TEXT]


def test_hashes_see_content_and_not_form() -> None:
    assert text_hash("Ｎｏｒｍａｌ\n chest") == text_hash("normal chest")
    assert image_hash(picture(64, 64)) != image_hash(picture(32, 128))
    assert image_hash(picture(64, 64)) == image_hash(np.asfortranarray(picture(64, 64)))


def series(count: int = 5) -> list[Dataset]:
    headers = []
    for index in range(count):
        header = Dataset()
        header.Rows, header.Columns, header.PixelSpacing = 512, 512, [0.7, 0.7]
        header.ImageOrientationPatient, header.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [-180, -180, 2.5 * index]
        header.PatientPosition = "HFS"
        headers.append(header)
    return headers[::-1]


def test_an_even_series_is_kept_in_any_order() -> None:
    assert series_reason(series()) is None
    assert series_reason(series(1)) is None
    feet_first = series()
    for header in feet_first:
        header.PatientPosition = "FFS"
    assert series_reason(feet_first) is None


def test_a_missing_or_a_doubled_slice_is_a_matter_of_spacing() -> None:
    whole = series()
    assert series_reason(whole[:2] + whole[3:]) == Reason.SPACING
    assert series_reason([*whole, whole[0]]) == Reason.SPACING


def test_a_slice_of_another_size_is_a_matter_of_dimension() -> None:
    headers = series()
    headers[2].PixelSpacing = [0.8, 0.8]
    assert series_reason(headers) == Reason.DIM


@pytest.mark.parametrize("orientation", [[0, 1, 0, 1, 0, 0], [1, 0.01, 0, 0, 1, 0]])
def test_a_slice_turned_another_way_is_a_matter_of_orientation(orientation: list[float]) -> None:
    headers = series()
    headers[2].ImageOrientationPatient = orientation
    assert series_reason(headers) == Reason.ORIENT


def test_a_series_mirrored_against_the_patients_position_is_a_matter_of_orientation() -> None:
    headers = series()
    for header in headers:
        header.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]
    assert series_reason(headers) == Reason.ORIENT


def patient() -> Dataset:
    header = Dataset()
    header.PatientName, header.PatientID, header.PatientBirthDate = "Miller^Anna", "KH-4711", "19510302"
    header.StudyInstanceUID, header.AccessionNumber = "1.2.826.0.1.3680043.8.498.77", "A99812"
    request = Dataset()
    request.RequestingPhysician = "Okafor^Chidi"
    header.RequestAttributesSequence = [request]
    return header


@pytest.mark.parametrize(
    "text",
    [
        "Mrs. Miller was compared.",
        "ANNA has clear lungs.",
        "See KH 4711 for priors.",
        "Study 1.2.826.0.1.3680043.8.498.77 is normal.",
        "Born 02.03.1951, lungs clear.",
        "Asked by okafor for effusion.",
        "Order A99812.",
    ],
)
def test_nothing_personal_of_the_source_passes(text: str) -> None:
    assert QualityFilter(LANGUAGE).reason(Sample(text, source=patient())) == Reason.PHI


@pytest.mark.parametrize(
    "text", ["Seen on 2026-11-22.", "Dr. Okafor was called.", "Mail to a@b.org", "MRN: 123456", "UID 1.2.840.10008.5.1.4"]
)
def test_personal_data_is_known_by_its_form_without_a_source(text: str) -> None:
    assert names_a_person(text)


def test_ordinary_report_words_are_not_personal() -> None:
    text = "There is a 2.5 cm nodule in the left upper zone; ratio 12/25, T4 level. The heart is not enlarged."
    assert not names_a_person(text, patient())
    assert {"Miller", "Anna", "KH-4711", "19510302", "1951-03-02", "Okafor"} <= personal_values(patient())
