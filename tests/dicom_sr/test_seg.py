"""Every mask comes out of its Segmentation voxel for voxel, on every kind of source, and says truly what it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
import SimpleITK
from dicomweb_client import DICOMwebClient
from numpy.typing import NDArray
from pydicom import Dataset

import dicom_sr
from connector.pacs import Pacs
from dicom_sr import seg
from dicom_sr.identity import Maker
from dicom_sr.kinds import SEGMENTATION
from radiology.finding import Box, Finding, Presence, Region, Side
from radiology.image import VOLUME_MODALITIES
from radiology.settings import ResultSettings
from radiology.study import Series, Study
from radiology.terms import TERMS, Term
from tests.dicom_sr.outside import complaints, program, run, save
from tests.dicom_sr.places import in_order, place_mm
from tests.dicom_sr.reports import report_on
from tests.dicom_sr.sources import CT_SERIES_UID, SOURCES, ct_series, lossy
from tests.orthanc import Orthanc

LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
PIXEL = np.ones((1, 1, 1), bool)
UNREADABLE_BY_DCMQI = {"CT, tilted gantry"}
"""Slices that are sheared against each other are no image of ITK's; dcmqi says so and writes none."""


def segmentations(study: Study, regions: Sequence[Region], label_maps: bool = False) -> list[Dataset]:
    """What is written for masks of nodules, without the documents beside them."""
    return written(study, [Finding("nodule", "A nodule.", regions=(region,)) for region in regions], label_maps)


def written(study: Study, findings: Sequence[Finding], label_maps: bool = False) -> list[Dataset]:
    report = dicom_sr.as_written(report_on(study, *findings))
    maker = Maker(report, study.series[0].instances[0], "ISO_IR 192", ResultSettings(label_maps=label_maps))
    return [
        seg.build(source, SEGMENTATION.series_number + number, maker) for number, source in enumerate(seg.sources(study, report.findings))
    ]


def numbers_for(series: Series) -> NDArray[np.int64]:
    """Random numbers 0 to 2, (slice, row, column), on all slices of a volume or on the last image of several."""
    frames = series.frames if series.modality in VOLUME_MODALITIES else series.frames[-1:]
    header = series.frames[0].header
    return np.random.default_rng(7).integers(0, 3, (len(frames), int(header.Rows), int(header.Columns)))


def regions_of(series: Series, numbers: NDArray[np.int64]) -> list[Region]:
    first = len(series.frames) - len(numbers)
    return [Region.from_mask(series.series_uid, numbers == number, first_slice=first) for number in (1, 2)]


@pytest.fixture(params=SOURCES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def series(kind: str) -> Series:
    return Study.from_instances(SOURCES[kind]()).series[0]


def study_of(series: Series) -> Study:
    return Study(str(series.instances[0].StudyInstanceUID), (series,))


@pytest.mark.parametrize("label_maps", [False, True], ids=["bits or bytes", "label map"])
def test_every_frame_names_its_image_and_stands_in_its_place(label_maps: bool, series: Series, tmp_path: Path) -> None:
    numbers = numbers_for(series)
    (path,) = save(segmentations(study_of(series), regions_of(series, numbers), label_maps), tmp_path)
    segmentation = hd.seg.segread(path)
    found = np.zeros_like(numbers)
    planes = segmentation.pixel_array.reshape(-1, *numbers.shape[1:])
    for frame, pixels in zip(segmentation.PerFrameFunctionalGroupsSequence, planes, strict=True):
        (image,) = frame.DerivationImageSequence[0].SourceImageSequence
        source = series.frames[series.slice_of(image.ReferencedSOPInstanceUID, image.get("ReferencedFrameNumber"))]
        assert image.ReferencedSOPClassUID == source.header.SOPClassUID
        assert image.SpatialLocationsPreserved == "YES"
        assert image.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"  # Source image for image processing operation
        assert frame.DerivationImageSequence[0].DerivationCodeSequence[0].CodeValue == "113076"  # Segmentation
        if "ImagePositionPatient" in source.header:
            assert frame.PlanePositionSequence[0].ImagePositionPatient == source.header.ImagePositionPatient
        number = 1 if label_maps else frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        found[series.frames.index(source) - len(series.frames) + len(numbers)] += pixels * number
    assert np.array_equal(found, numbers)


def test_a_label_map_is_read_by_others_voxel_for_voxel(kind: str, series: Series, tmp_path: Path) -> None:
    numbers = numbers_for(series)
    (path,) = save(segmentations(study_of(series), regions_of(series, numbers), label_maps=True), tmp_path)
    assert complaints(path) == []
    said = run(
        program("segimage2itkimage", "the Python package dcmqi"),
        *("--inputDICOM", path, "--outputDirectory", tmp_path, "--outputType", "nrrd"),
    )
    if kind in UNREADABLE_BY_DCMQI:
        assert "outside image geometry" in said
        return
    image = SimpleITK.ReadImage(tmp_path / "1.nrrd")
    array = SimpleITK.GetArrayFromImage(image)
    first = len(series.frames) - len(numbers)
    assert sorted(set(array.ravel()) - {0}) == [1, 2]
    for number in (1, 2):
        places = [image.TransformIndexToPhysicalPoint([int(value) for value in index[::-1]]) for index in np.argwhere(array == number)]
        wanted = [place_mm(series.frames[first + plane].header, row, column) for plane, row, column in np.argwhere(numbers == number)]
        assert in_order(places) == pytest.approx(in_order(wanted), abs=1e-3)


@pytest.mark.parametrize("label_maps", [False, True], ids=["bits or bytes", "label map"])
@pytest.mark.parametrize(("rows", "columns"), [(32, 40), (21, 22), (510, 511)])
def test_an_archive_cuts_out_one_frame(rows: int, columns: int, label_maps: bool, orthanc: Orthanc) -> None:
    study = Study.from_instances(ct_series(2, rows, columns))
    mask = np.random.default_rng(0).random((2, rows, columns)) > 0.5
    (segmentation,) = segmentations(study, [Region.from_mask(CT_SERIES_UID, mask)], label_maps)
    Pacs.connect(orthanc.settings.pacs).store([segmentation])
    uids = segmentation.StudyInstanceUID, segmentation.SeriesInstanceUID, segmentation.SOPInstanceUID
    octets = (("application/octet-stream", "*"),)
    (frame,) = DICOMwebClient(orthanc.settings.pacs.dicomweb_url).retrieve_instance_frames(*uids, [2], octets)
    pixels = np.frombuffer(frame, np.uint8)
    if segmentation.BitsAllocated == 1:
        pixels = np.unpackbits(pixels, bitorder="little")
    (source,) = segmentation.PerFrameFunctionalGroupsSequence[1].DerivationImageSequence[0].SourceImageSequence
    index = study.series[0].slice_of(source.ReferencedSOPInstanceUID)
    assert np.array_equal(pixels[: rows * columns].reshape(rows, columns) > 0, mask[index])


def test_a_source_compressed_with_loss_leaves_its_mark(kind: str, series: Series) -> None:
    (segmentation,) = segmentations(study_of(series), regions_of(series, numbers_for(series)))
    assert segmentation.LossyImageCompression == ("01" if "loss" in kind else "00")


def test_one_slice_compressed_with_loss_marks_the_whole() -> None:
    slices = ct_series()
    lossy(slices[2:3])
    (segmentation,) = segmentations(Study.from_instances(slices), [whole(Study.from_instances(slices))])
    assert (segmentation.LossyImageCompression, segmentation.LossyImageCompressionRatio) == ("01", 12.5)
    assert segmentation.LossyImageCompressionMethod == "ISO_10918_1"


def test_a_source_that_does_not_say_how_much_it_lost_makes_a_valid_object(tmp_path: Path) -> None:
    slices = lossy(ct_series())
    for image in slices:
        image.LossyImageCompressionRatio = None
        del image.LossyImageCompressionMethod
    study = Study.from_instances(slices)
    (path,) = save(segmentations(study, [whole(study)]), tmp_path)
    assert complaints(path) == []


def whole(study: Study) -> Region:
    header = study.series[0].frames[0].header
    return Region.from_mask(study.series[0].series_uid, np.ones((len(study.series[0].frames), header.Rows, header.Columns), bool))


def test_masks_that_overlap_are_no_label_map_and_say_so() -> None:
    study = Study.from_instances(ct_series())
    apart = [Region(CT_SERIES_UID, Box((0, row, 0), (2, row + 4, 4)), np.ones((2, 4, 4), bool)) for row in (0, 4)]
    (segmentation,) = segmentations(study, apart, label_maps=True)
    assert (segmentation.SOPClassUID, segmentation.SegmentationType, segmentation.SegmentsOverlap) == (LABEL_MAP, "LABELMAP", "NO")
    together = [*apart, whole(study)]
    (segmentation,) = segmentations(study, together, label_maps=True)
    assert (segmentation.SegmentationType, segmentation.SegmentsOverlap) == ("BINARY", "YES")


def test_boxes_may_overlap_where_masks_do_not() -> None:
    study = Study.from_instances(ct_series())
    checks = np.indices((4, 32, 40)).sum(axis=0) % 2 == 0
    regions = [Region.from_mask(CT_SERIES_UID, mask) for mask in (checks, ~checks)]
    (segmentation,) = segmentations(study, regions, label_maps=True)
    assert segmentation.SegmentationType == "LABELMAP"


def test_a_label_map_and_a_bit_map_of_one_report_are_two_objects() -> None:
    study = Study.from_instances(ct_series())
    one, other = (segmentations(study, [whole(study)], label_maps) for label_maps in (False, True))
    assert one[0].SOPInstanceUID != other[0].SOPInstanceUID
    assert one[0].SeriesInstanceUID != other[0].SeriesInstanceUID


@pytest.mark.parametrize("label_maps", [False, True], ids=["bits", "label map"])
def test_sixty_segments_are_each_read_back(label_maps: bool, tmp_path: Path) -> None:
    study = Study.from_instances(ct_series(3, 32, 64))
    regions = [
        Region(CT_SERIES_UID, Box((0, row, column), (3, row + 4, column + 5)), np.random.default_rng(row + column).random((3, 4, 5)) > 0.5)
        for row in range(0, 24, 4)
        for column in range(0, 60, 6)
    ]
    (path,) = save(segmentations(study, regions, label_maps), tmp_path)
    assert complaints(path) == []
    segmentation = hd.seg.segread(path)
    assert [item.SegmentNumber for item in segmentation.SegmentSequence] == list(range(0 if label_maps else 1, 61))
    shown = segmentation.get_pixels_by_source_instance(study.series[0].instance_uids, ignore_spatial_locations=True)
    for region, mask in zip(regions, np.moveaxis(shown, -1, 0), strict=True):
        assert np.array_equal(mask[region.box.slices], np.asarray(region.mask))
        assert mask.sum() == np.asarray(region.mask).sum()


def test_more_segments_than_a_byte_can_number_take_two() -> None:
    study = Study.from_instances(ct_series(1, 32, 40))
    regions = [
        Region(CT_SERIES_UID, Box((0, index // 40, index % 40), (1, index // 40 + 1, index % 40 + 1)), PIXEL) for index in range(300)
    ]
    (segmentation,) = segmentations(study, regions, label_maps=True)
    assert (segmentation.BitsAllocated, int(segmentation.pixel_array.max())) == (16, 300)


def test_slices_on_which_nothing_is_marked_have_no_frame_and_an_empty_mask_no_segment() -> None:
    study = Study.from_instances(ct_series())
    mask = np.zeros((4, 32, 40), bool)
    mask[[0, 3], 5, 6] = True
    empty = Region(CT_SERIES_UID, Box((0, 0, 0), (1, 2, 2)), np.zeros((1, 2, 2), bool))
    (segmentation,) = segmentations(study, [Region.from_mask(CT_SERIES_UID, mask), empty])
    assert (int(segmentation.NumberOfFrames), len(segmentation.SegmentSequence)) == (2, 1)
    assert segmentations(study, [empty]) == []


def test_small_differences_of_orientation_do_not_stop_a_mask() -> None:
    slices = ct_series()
    slices[1].ImageOrientationPatient = [1, 0.0000004, 0, 0, 1, 0]
    study = Study.from_instances(slices)
    (segmentation,) = segmentations(study, [whole(study)])
    assert int(segmentation.NumberOfFrames) == 4


@pytest.mark.parametrize("term", TERMS.values(), ids=list(TERMS))
def test_a_segment_has_code_site_and_colour_of_its_term(term: Term) -> None:
    (segment,) = segments(Finding(term.name, "A sentence.", side=Side.LEFT if term.paired else None))
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == term.code.value
    category = {"structure": "91723000", "finding": "49755003", "device": "260787004"}[term.kind]
    assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue == category
    assert [item.CodeValue for item in segment.get("AnatomicRegionSequence", [])] == ([term.site.value] if term.site else [])
    assert segment.SegmentLabel == (f"Left {term.name}" if term.paired else term.name.capitalize())
    assert list(segment.RecommendedDisplayCIELabValue) == list(hd.color.CIELabColor.from_rgb(*term.colour).value)


def segments(finding: Finding) -> Sequence[Dataset]:
    """The segments of a finding that is given one small mask."""
    region = Region(CT_SERIES_UID, Box((0, 0, 0), (1, 1, 1)), PIXEL)
    (segmentation,) = written(Study.from_instances(ct_series()), [replace(finding, regions=(region,))])
    sequence: Sequence[Dataset] = segmentation.SegmentSequence
    return sequence


def test_no_two_terms_look_or_mean_the_same() -> None:
    assert len({term.colour for term in TERMS.values()}) == len({term.code.value for term in TERMS.values()}) == len(TERMS)


@pytest.mark.parametrize(
    "finding",
    [Finding("", "A strange\nshadow \\ here."), Finding("nodule", "No nodule here.", Presence.ABSENT)],
    ids=["no term", "not there"],
)
def test_what_no_term_names_is_a_region_of_the_image_with_its_sentence_for_a_label(finding: Finding) -> None:
    (segment,) = segments(finding)
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Image Region"
    assert segment.SegmentedPropertyCategoryCodeSequence[0].CodeMeaning == "Spatial and Relational Concept"
    assert segment.SegmentLabel in {"A strange shadow here.", "No nodule here."}


def test_what_cannot_be_excluded_is_labelled_as_possible() -> None:
    (segment,) = segments(Finding("pleural effusion", "Perhaps.", Presence.UNDETERMINED, Side.LEFT))
    assert segment.SegmentLabel == "Possible left pleural effusion"
