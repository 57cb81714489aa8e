"""What cannot be said is refused with a sentence, before anything is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from pydicom import Dataset

import dicom_sr
from radiology.errors import WriteError
from radiology.finding import Box, Finding, Region
from radiology.report import Report
from radiology.study import Study
from tests.dicom_sr.reports import MODEL, report_on, segmentations
from tests.dicom_sr.sources import CT_SERIES_UID, PROJECTION_SERIES_UID, ct_series


def _with(finding: Finding) -> Callable[[Report], Report]:
    return lambda report: replace(report, findings=(finding,))


def _placed(series_uid: str, start: tuple[int, int, int], stop: tuple[int, int, int], tracking_uid: str = "") -> Region:
    return Region(series_uid, Box(start, stop), tracking_uid=tracking_uid)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        pytest.param(lambda report: replace(report, study_uid="1.2.3"), "is on study 1.2.3", id="another study"),
        pytest.param(lambda report: replace(report, started=report.started.replace(tzinfo=None)), "time zone", id="no time zone"),
        pytest.param(lambda report: replace(report, instance_uids=()), "name the images", id="no images"),
        pytest.param(lambda report: replace(report, instance_uids=("1.2.3",)), "name the images", id="foreign images"),
        pytest.param(_with(Finding("unicorn", "A unicorn.")), "not a term", id="unknown term"),
        pytest.param(_with(Finding("nodule", " ")), "no sentence", id="no sentence"),
        pytest.param(
            _with(Finding("nodule", "A.", regions=(_placed("1.2.3", (0, 0, 0), (1, 1, 1)),))),
            "Series 1.2.3 is not part",
            id="foreign series",
        ),
        pytest.param(_with(Finding("nodule", "A.", regions=(_placed(CT_SERIES_UID, (0, 0, 0), (1, 33, 1)),))), "outside", id="outside"),
        pytest.param(
            _with(Finding("nodule", "A.", regions=(_placed(PROJECTION_SERIES_UID, (0, 0, 0), (2, 1, 1)),))),
            "spans several radiographs",
            id="two radiographs",
        ),
        pytest.param(
            _with(Finding("nodule", "A.", regions=(_placed(CT_SERIES_UID, (0, 0, 0), (1, 1, 1), "1.2"),) * 2)),
            "same tracking UID",
            id="twice",
        ),
        pytest.param(lambda report: replace(report, model=replace(MODEL, name="x" * 65)), "cannot be written as DICOM", id="name too long"),
    ],
)
def test_a_report_that_dicom_cannot_say_is_refused(change: Callable[[Report], Report], sentence: str, study: Study, report: Report) -> None:
    with pytest.raises(WriteError, match=sentence):
        dicom_sr.write(study, change(report))


def test_images_of_several_sizes_cannot_share_a_segmentation() -> None:
    instances = ct_series()
    instances[1].Rows = 16
    study = Study.from_instances(instances)
    mask = np.ones((4, 8, 8), bool)
    with pytest.raises(WriteError, match=f"study {study.study_uid} cannot be written"):
        dicom_sr.write(study, report_on(study, Finding("lung", "Lungs.", regions=(Region.from_mask(CT_SERIES_UID, mask),))))


def test_a_segment_says_on_which_slices_its_mask_was_read_and_the_report_refers_to_them(study: Study, report: Report) -> None:
    structured, *others = dicom_sr.write(study, report)
    segmentation, *_ = segmentations(others)
    lung, *others = segmentation.SegmentSequence
    assert lung.SegmentDescription == "Read on slices 1, 3 along the series; inferred on the others."
    assert not any("SegmentDescription" in segment for segment in others), "nothing was inferred there"
    (group, *_) = structured.ContentSequence[-2].ContentSequence
    comment = next(item for item in group.ContentSequence if item.ConceptNameCodeSequence[0].CodeMeaning == "Comment")
    key_images = [item for item in comment.ContentSequence if item.ConceptNameCodeSequence[0].CodeMeaning == "Key Images"]
    uids = study.find_series(CT_SERIES_UID).instance_uids
    assert [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in key_images] == [uids[0], uids[2]]


def test_a_segmentation_has_the_size_of_its_source_and_one_bit_a_pixel_where_bits_align(objects: list[Dataset]) -> None:
    ct, *radiographs = (each for each in objects if each.Modality == "SEG")
    assert (ct.SegmentationType, ct.Rows, ct.Columns) == ("BINARY", 32, 40)
    assert [(each.SegmentationType, each.Rows, each.Columns) for each in radiographs] == [("FRACTIONAL", 30, 21)] * 2
    assert all(set(each.pixel_array.ravel()) == {0, 1} for each in radiographs)


def test_no_two_radiographs_share_a_frame_of_reference(objects: list[Dataset]) -> None:
    ct, front, side = (each for each in objects if each.Modality == "SEG")
    assert ct.FrameOfReferenceUID == f"{CT_SERIES_UID}.9"
    assert front.FrameOfReferenceUID != side.FrameOfReferenceUID
    assert front.ReferencedSeriesSequence[0].SeriesInstanceUID == PROJECTION_SERIES_UID


def test_findings_and_masks_name_the_same_places(objects: list[Dataset]) -> None:
    said = {str(element.value) for element in objects[0].iterall() if element.keyword in {"UID", "TextValue"}}
    for segmentation in (each for each in objects if each.Modality == "SEG"):
        for segment in segmentation.SegmentSequence:
            assert {segment.TrackingUID, segment.TrackingID} <= said
