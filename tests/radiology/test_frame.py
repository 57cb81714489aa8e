"""A multi-frame image is read as the single-frame images it stands for."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
from pydicom import Dataset

from radiology import image
from radiology.errors import StudyError, UnsupportedImage
from radiology.image import Projection, Volume
from radiology.study import Study
from tests.dicom_sr.sources import captured, ct_series, enhanced, projections, with_frames


def load(instances: list[Dataset]) -> tuple[image.Image, ...]:
    return image.load(Study.from_instances(instances).series[0], instances)


def test_frames_in_any_order_are_the_volume_of_their_single_slices() -> None:
    slices = ct_series(5, spacing_mm=(3.0, 0.5, 0.9), orientation=(1.0, 0.0, 0.0, 0.0, 0.8, 0.6))
    (wanted,) = load(list(slices))
    (found,) = load(list(enhanced(slices, (3, 0, 4, 1, 2))))
    assert isinstance(wanted, Volume)
    assert isinstance(found, Volume)
    assert np.array_equal(found.array, wanted.array)
    assert np.array_equal(found.affine, wanted.affine)


def test_what_a_frame_says_itself_goes_before_what_all_share() -> None:
    (instance,) = enhanced(ct_series(3), (0, 1, 2))
    brighter = Dataset()
    brighter.RescaleIntercept, brighter.RescaleSlope = 0, 1
    instance.PerFrameFunctionalGroupsSequence[2].PixelValueTransformationSequence = [brighter]
    (volume,) = load([instance])
    assert isinstance(volume, Volume)
    (plain,) = load(list(ct_series(3)))
    assert isinstance(plain, Volume)
    assert (volume.array - plain.array)[:, 0, 0].tolist() == [0, 0, 1024]


def test_frames_and_single_images_of_one_series_stand_in_one_order() -> None:
    slices = ct_series(4)
    (instance,) = enhanced(slices[1:3], (1, 0))
    instance.SOPInstanceUID = "2.25.77"
    (series,) = Study.from_instances([slices[3], instance, slices[0]]).series
    assert [(frame.uid, frame.number) for frame in series.frames] == [
        (slices[0].SOPInstanceUID, None),
        ("2.25.77", 2),
        ("2.25.77", 1),
        (slices[3].SOPInstanceUID, None),
    ]
    assert series.slice_of("2.25.77", 1) == 2
    with pytest.raises(StudyError, match=r"2\.25\.77, frame 3"):
        series.slice_of("2.25.77", 3)


def test_each_frame_of_a_captured_radiograph_is_an_image() -> None:
    images = load(list(captured(projections(1)[0], 3)))
    assert all(isinstance(each, Projection) for each in images)
    assert [each.slice_index for each in images if isinstance(each, Projection)] == [0, 1, 2]
    assert [float(each.array.min()) for each in images] == [500, 501, 502]


@pytest.mark.parametrize("modality", ["CR", "DX"])
def test_frames_that_no_reference_can_name_are_refused(modality: str) -> None:
    instances = with_frames(projections(1, modality=modality)[0], 2)
    with pytest.raises(UnsupportedImage, match=f"{instances[0].SOPInstanceUID} has several frames"):
        load(list(instances))


def test_frames_that_are_not_described_cannot_be_placed() -> None:
    (instance,) = enhanced(ct_series(3), (0, 1, 2))
    del instance.PerFrameFunctionalGroupsSequence[2]
    with pytest.raises(UnsupportedImage, match="without ImagePositionPatient"):
        load([instance])


def test_unfolding_leaves_the_instance_as_it_was() -> None:
    (instance,) = enhanced(ct_series(3), (0, 1, 2))
    before = deepcopy(instance)
    load([instance])
    assert instance == before
