"""A study is built from its headers; what does not belong together, or is not there, is named."""

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import MPEG2MPML

from radiology import image
from radiology.errors import IncompleteStudy, StudyError, UnsupportedImage
from radiology.study import Study, digest
from tests.radiology.test_image import ct_slices


def test_a_study_without_an_instance_is_incomplete() -> None:
    with pytest.raises(IncompleteStudy, match="no instance"):
        Study.from_instances([])


def test_instances_of_two_studies_are_not_mixed() -> None:
    with pytest.raises(StudyError, match="2 studies"):
        Study.from_instances([*ct_slices(2), *ct_slices(2)])


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_an_instance_that_does_not_say_what_it_is_belongs_to_no_study(keyword: str) -> None:
    with pytest.raises(StudyError, match=f"no {keyword}"):
        Study.from_instances([without(each, keyword) for each in ct_slices(1)])


@pytest.mark.parametrize(("age", "years"), [("042Y", 42.0), ("006M", 0.5), ("", None), ("forty", None)])
def test_age_is_in_years_or_unknown(age: str, years: float | None) -> None:
    slices = ct_slices(1)
    slices[0].PatientAge = age
    assert Study.from_instances(slices).age_years == years


def test_the_digest_does_not_depend_on_order() -> None:
    assert digest(["1.2", "1.3"]) == digest(["1.3", "1.2"]) != digest(["1.2"])


def test_a_series_that_is_not_there_is_named() -> None:
    with pytest.raises(StudyError, match=r"1\.2\.3"):
        Study.from_instances(ct_slices(1)).find_series("1.2.3")


@pytest.mark.parametrize("syntax", [MPEG2MPML, "2.25.1"])
def test_pixels_that_cannot_be_decoded_are_refused_by_their_transfer_syntax(syntax: str) -> None:
    slices = ct_slices(2)
    slices[0].file_meta.TransferSyntaxUID = syntax
    with pytest.raises(UnsupportedImage, match=str(syntax).replace(".", r"\.")):
        image.load(Study.from_instances(slices).series[0], slices)


def without(instance: Dataset, keyword: str) -> Dataset:
    delattr(instance, keyword)
    return instance


def test_an_instance_without_pixels_is_incomplete() -> None:
    slices = ct_slices(2)
    without(slices[1], "PixelData")
    with pytest.raises(IncompleteStudy, match="no pixel data"):
        image.load(Study.from_instances(slices).series[0], slices)


def test_slices_of_a_tilted_gantry_are_even() -> None:
    slices = ct_slices(4)
    for index, instance in enumerate(slices):
        instance.ImagePositionPatient = [10, 20 + 0.6 * index, 30 + 2.5 * index]
    (volume,) = image.load(Study.from_instances(slices).series[0], slices)
    assert isinstance(volume, image.Volume)
    assert volume.affine[:3, 0] == pytest.approx([0, 0.6, 2.5])
    assert volume.array.dtype == np.float32
