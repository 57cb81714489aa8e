"""Images come out in real units and in slice order, whatever the order, polarity or spacing of the files."""

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from radiology import image
from radiology.errors import IncompleteStudy, StudyError, UnsupportedImage
from radiology.finding import Box
from radiology.study import Study


def ct_slices(count: int = 5, spacing: float = 2.5) -> list[Dataset]:
    study_uid, series_uid, frame_uid = generate_uid(), generate_uid(), generate_uid()
    slices = []
    for index in range(count):
        instance = Dataset()
        instance.file_meta = FileMetaDataset()
        instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        instance.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        instance.SOPInstanceUID = generate_uid()
        instance.StudyInstanceUID, instance.SeriesInstanceUID, instance.FrameOfReferenceUID = study_uid, series_uid, frame_uid
        instance.Modality, instance.BodyPartExamined = "CT", "CHEST"
        instance.InstanceNumber = count - index
        instance.Rows, instance.Columns, instance.SamplesPerPixel = 4, 6, 1
        instance.PhotometricInterpretation = "MONOCHROME2"
        instance.BitsAllocated, instance.BitsStored, instance.HighBit, instance.PixelRepresentation = 16, 16, 15, 1
        instance.RescaleSlope, instance.RescaleIntercept = 2, -1024
        instance.PixelSpacing = [0.5, 0.8]
        instance.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        instance.ImagePositionPatient = [10, 20, 30 + spacing * index]
        instance.SliceThickness = spacing
        instance.PixelData = np.full((4, 6), index, np.int16).tobytes()
        slices.append(instance)
    return slices


def load(instances: list[Dataset]) -> tuple[image.Image, ...]:
    study = Study.from_instances(instances)
    return image.load(study.series[0], instances)


def test_slices_are_ordered_by_position_not_by_instance_number() -> None:
    slices = ct_slices()
    (volume,) = load(slices[::-1])
    assert isinstance(volume, image.Volume)
    assert volume.array[:, 0, 0].tolist() == [-1024, -1022, -1020, -1018, -1016]
    assert volume.spacing_mm == pytest.approx((2.5, 0.5, 0.8))
    assert (volume.affine @ [2, 3, 1, 1])[:3] == pytest.approx([10 + 0.8, 20 + 1.5, 35])


def test_headers_keep_no_pixels_and_the_instance_keeps_its_own() -> None:
    slices = ct_slices()
    study = Study.from_instances(slices)
    assert all("PixelData" not in header for header in study.series[0].instances)
    assert all("PixelData" in instance for instance in slices)


def test_a_missing_slice_is_refused_with_its_spacing() -> None:
    slices = ct_slices()
    del slices[2]
    with pytest.raises(UnsupportedImage, match="unevenly spaced"):
        load(slices)


def test_mixed_orientations_are_refused() -> None:
    slices = ct_slices()
    slices[0].ImageOrientationPatient = [0, 1, 0, 0, 0, -1]
    with pytest.raises(UnsupportedImage, match="mixes orientations"):
        load(slices)


def test_missing_pixel_spacing_is_refused_for_a_volume() -> None:
    slices = ct_slices()
    del slices[1].PixelSpacing
    with pytest.raises(UnsupportedImage, match="PixelSpacing"):
        load(slices)


def test_an_instance_that_did_not_arrive_is_named_as_incomplete() -> None:
    slices = ct_slices()
    study = Study.from_instances(slices)
    with pytest.raises(IncompleteStudy, match="1 of 5"):
        image.load(study.series[0], slices[1:])


def test_truncated_pixels_are_refused() -> None:
    slices = ct_slices()
    slices[3].PixelData = slices[3].PixelData[:10]
    with pytest.raises(UnsupportedImage, match=slices[3].SOPInstanceUID):
        load(slices)


def test_a_claim_of_pixels_beyond_reason_is_refused_before_room_is_made_for_them() -> None:
    slices = ct_slices(1)
    slices[0].Rows = slices[0].Columns = 65535
    with pytest.raises(UnsupportedImage, match="65535 x 65535"):
        load(slices)


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"NumberOfFrames": 1_000_000}, "claims 1000000 frames"),
        ({"NumberOfFrames": 0}, "claims 0 frames"),
        ({"ImagePositionPatient": [1, 2]}, "ImagePositionPatient"),
        ({"ImageOrientationPatient": [1, 0, 0]}, "ImageOrientationPatient"),
        ({"RescaleSlope": [1, 2]}, "RescaleSlope"),
        ({"Rows": None}, "mixes image sizes"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_slice_that_claims_what_cannot_be_is_refused_and_not_the_program_stopped(claims: dict[str, object], says: str) -> None:
    slices = ct_slices()
    for keyword, value in claims.items():
        setattr(slices[2], keyword, value)
    with pytest.raises(UnsupportedImage, match=says):
        load(slices)


@pytest.mark.parametrize("claims", [{"ImageOrientationPatient": [0] * 6}, {"PixelSpacing": [-1, 1]}], ids=["orientation", "spacing"])
def test_slices_that_cannot_be_placed_in_the_world_are_refused(claims: dict[str, object]) -> None:
    slices = ct_slices()
    for each in slices:
        for keyword, value in claims.items():
            setattr(each, keyword, value)
    with pytest.raises(UnsupportedImage, match="no orientation or pixel spacing that can be"):
        load(slices)


def test_a_series_that_claims_more_than_fits_is_refused_before_room_is_made_for_it() -> None:
    slices = ct_slices(17)
    for each in slices:
        each.Rows = each.Columns = 1 << 13
    with pytest.raises(UnsupportedImage, match="more than is read at once"):
        load(slices)


def test_a_series_of_small_images_that_claim_many_frames_each_is_refused() -> None:
    slices = ct_slices(5)
    for each in slices:
        each.NumberOfFrames = 1 << 14
    with pytest.raises(UnsupportedImage, match="frames, more than is read at once"):
        load(slices)


def test_a_single_slice_has_a_thickness() -> None:
    (volume,) = load(ct_slices(1))
    assert isinstance(volume, image.Volume)
    assert volume.spacing_mm[0] == pytest.approx(2.5)


def test_monochrome1_is_turned_bright_on_dense_and_absurd_spacing_is_not_believed() -> None:
    (instance,) = ct_slices(1)
    instance.Modality = "CR"
    instance.PhotometricInterpretation = "MONOCHROME1"
    instance.PixelSpacing = [1e-5, 1e-5]
    del instance.ImagePositionPatient
    pixels = np.zeros((4, 6), np.int16)
    pixels[0, 0] = 7
    instance.PixelData = pixels.tobytes()
    (projection,) = load([instance])
    assert isinstance(projection, image.Projection)
    assert projection.array.argmin() == 0
    assert projection.spacing_mm is None


def test_an_outline_from_headers_has_every_place_and_spacing_of_the_image() -> None:
    slices = ct_slices()
    (volume,) = load(slices)
    (outline,) = image.outline(Study.from_instances(slices).series[0])
    assert isinstance(volume, image.Volume)
    assert isinstance(outline, image.Volume)
    assert (outline.series_uid, outline.array.shape, outline.affine.tolist()) == (
        volume.series_uid,
        volume.array.shape,
        volume.affine.tolist(),
    )
    with pytest.raises(UnsupportedImage, match="unevenly"):
        image.outline(Study.from_instances([slices[0], *slices[2:]]).series[0])


@pytest.mark.parametrize(
    ("box", "says"), [(Box((0, 0, 0), (5, 4, 6)), ""), (Box((0, 0, 0), (6, 4, 6)), "outside"), (Box((9, 0, 0), (10, 4, 6)), "outside")]
)
def test_a_box_is_inside_the_series_or_refused(box: Box, says: str) -> None:
    (series,) = Study.from_instances(ct_slices()).series
    if not says:
        image.check_box(series, box)
        return
    with pytest.raises(StudyError, match=says):
        image.check_box(series, box)
