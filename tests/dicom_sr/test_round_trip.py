"""A report that was written is read back as it was."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from scipy.spatial.transform import Rotation

import dicom_sr
from radiology.errors import StudyError
from radiology.finding import Box, Finding, Presence, Region, Side
from radiology.report import Report
from radiology.study import Study
from radiology.terms import TERMS
from tests.dicom_sr.reports import STARTED, report_on, segmentations
from tests.dicom_sr.sources import CT_SERIES_UID, PROJECTION_SERIES_UID, STUDY_UID, ct_series, projections


def words(document: Dataset) -> list[str]:
    """All texts and meanings of codes in a document."""
    return [str(element.value) for element in document.iterall() if element.keyword in {"TextValue", "CodeMeaning"}]


def test_everything_a_report_says_survives_a_file(files: list[Path], study: Study, report: Report) -> None:
    assert dicom_sr.read([pydicom.dcmread(file) for file in files], study) == dicom_sr.as_written(report)


def test_a_report_read_back_can_be_written_again(objects: list[Dataset], study: Study) -> None:
    again = dicom_sr.read(objects, study)
    assert dicom_sr.read(dicom_sr.write(study, again), study) == again


def test_a_study_without_findings_still_has_a_report_that_says_so(study: Study) -> None:
    report = report_on(study, Finding("pneumothorax", "No pneumothorax.", Presence.ABSENT), impression="No abnormality.")
    document, _ = dicom_sr.write(study, report)
    assert dicom_sr.read([document], study) == dicom_sr.as_written(report)
    assert "All algorithms succeeded; without findings" in words(document)


def test_a_withheld_statement_is_never_reported_as_no_findings(study: Study) -> None:
    document, _ = dicom_sr.write(study, report_on(study, withheld=("A statement on the heart was withheld.",)))
    assert {"All algorithms succeeded; with findings", "A statement on the heart was withheld."} <= set(words(document))


def test_flags_are_written_beside_the_sentence(objects: list[Dataset]) -> None:
    assert "The box and the mask disagree." in words(objects[0])


def test_a_region_of_several_slices_is_listed_once_at_its_largest_slice(objects: list[Dataset], study: Study) -> None:
    assert words(objects[0]).count("There is a nodule in the right lung.") == 3, "one box in the CT, one on each radiograph"
    groups = next(item for item in objects[0].ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "126010").ContentSequence
    outline = next(item for item in groups[1].ContentSequence if item.ValueType == "SCOORD")
    image = outline.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert image == study.find_series(CT_SERIES_UID).instance_uids[2]
    assert list(outline.GraphicData) == [10, 5, 20, 5, 20, 10, 10, 10, 10, 5]


def test_the_newest_report_is_read(study: Study, report: Report) -> None:
    newer = replace(report, started=STARTED.replace(year=2027), impression="Later.", instance_uids=report.instance_uids[1:])
    both = [*dicom_sr.write(study, newer), *dicom_sr.write(study, report)]
    assert dicom_sr.read(both, study) == dicom_sr.as_written(newer)


def test_objects_of_others_are_passed_over(objects: list[Dataset], study: Study, report: Report) -> None:
    foreign = deepcopy(objects[0])
    foreign.Manufacturer = "Someone Else"
    with pytest.raises(StudyError, match="no report of ours"):
        dicom_sr.read([foreign], study)


def test_a_damaged_report_is_a_study_error(objects: list[Dataset], study: Study) -> None:
    damaged = deepcopy(objects[0])
    del damaged.ContentSequence[-1]
    with pytest.raises(StudyError, match="damaged"):
        dicom_sr.read([damaged], study)


def test_an_object_that_somebody_altered_does_not_hide_the_others(objects: list[Dataset], study: Study, report: Report) -> None:
    altered = deepcopy(objects[0])
    altered.SOPInstanceUID = "2.25.404"
    del altered.ContributingEquipmentSequence
    assert dicom_sr.read([altered, *objects], study) == dicom_sr.as_written(report)


def test_an_empty_mask_makes_no_segmentation(study: Study) -> None:
    box = Box((0, 0, 0), (2, 3, 4))
    empty = Region(CT_SERIES_UID, box, np.zeros(box.shape, bool))
    objects = dicom_sr.write(study, report_on(study, Finding("nodule", "A nodule.", regions=(empty,))))
    assert not segmentations(objects)
    (finding,) = dicom_sr.read(objects, study).findings
    assert finding.regions[0].box == box
    assert finding.regions[0].mask is None


def test_shuffled_slices_keep_their_places() -> None:
    instances = ct_series(slices=6)
    for number, instance in zip((3, 1, 6, 2, 5, 4), instances, strict=True):
        instance.InstanceNumber = number
    mask = np.zeros((6, 32, 40), bool)
    mask[4, 3, 5] = True
    study = Study.from_instances(instances[::-1])
    report = report_on(study, Finding("nodule", "A nodule.", regions=(Region.from_mask(CT_SERIES_UID, mask),)))
    (segmentation,) = segmentations(dicom_sr.write(study, report))
    frame = segmentation.PerFrameFunctionalGroupsSequence[0]
    assert frame.PlanePositionSequence[0].ImagePositionPatient == instances[4].ImagePositionPatient
    shuffled = Study.from_instances([instances[index] for index in (2, 5, 0, 3, 1, 4)])
    assert dicom_sr.read(dicom_sr.write(shuffled, report), shuffled) == dicom_sr.as_written(report)


SENTENCES = (
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), min_size=1, max_size=60).map(str.strip).filter(bool)
)
CERTAINTIES = st.floats(0, 1)


@st.composite
def masks(draw: st.DrawFn, size: tuple[int, int, int]) -> np.ndarray:
    start = [draw(st.integers(0, length - 1)) for length in size]
    stop = [draw(st.integers(low + 1, length)) for low, length in zip(start, size, strict=True)]
    mask = np.zeros(size, bool)
    mask[tuple(slice(low, high) for low, high in zip(start, stop, strict=True))] = True
    return mask


@st.composite
def studies_and_reports(draw: st.DrawFn) -> tuple[Study, Report]:
    """A CT or radiographs of any size, spacing and tilt, and a report with any findings on them."""
    rows, columns = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    slices = draw(st.integers(1, 4))
    if draw(st.booleans()):
        turn = Rotation.from_euler("xyz", [draw(st.integers(-60, 60)) for _ in range(3)], degrees=True).as_matrix()
        spacing = (draw(st.floats(0.5, 5).map(lambda value: round(value, 3))), *(draw(st.sampled_from([0.2, 0.7, 1.5])) for _ in range(2)))
        instances = ct_series(slices, rows, columns, spacing, [*turn[:, 0], *turn[:, 1]])
        series_uid = CT_SERIES_UID
    else:
        instances = projections(slices, rows, columns, draw(st.sampled_from(["CR", "DX"])))
        series_uid = PROJECTION_SERIES_UID
    findings = []
    for _ in range(draw(st.integers(0, 3))):
        regions = []
        for _ in range(draw(st.integers(0, 2))):
            if series_uid == CT_SERIES_UID:
                region = Region.from_mask(series_uid, draw(masks((slices, rows, columns))), draw(CERTAINTIES))
                shown = range(region.box.start[0], region.box.stop[0])
                region = replace(region, read_slices=tuple(index for index in shown if draw(st.booleans())))
            else:
                region = Region.from_mask(
                    series_uid, draw(masks((1, rows, columns))), draw(CERTAINTIES), first_slice=draw(st.integers(0, slices - 1))
                )
            regions.append(region if draw(st.booleans()) else replace(region, mask=None))
        findings.append(
            Finding(
                name=draw(st.sampled_from(["", *TERMS])),
                sentence=draw(SENTENCES),
                presence=draw(st.sampled_from(Presence)),
                side=draw(st.sampled_from([None, *Side])),
                confidence=draw(CERTAINTIES),
                regions=tuple(regions),
                flags=tuple(draw(st.lists(SENTENCES, max_size=2))),
            )
        )
    study = Study.from_instances(instances)
    return study, report_on(
        study, *findings, impression=draw(st.just("") | SENTENCES), withheld=tuple(draw(st.lists(SENTENCES, max_size=2)))
    )


@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(studies_and_reports())
def test_any_report_on_any_geometry_round_trips(pair: tuple[Study, Report]) -> None:
    study, report = pair
    stored = [pydicom.dcmread(_through_bytes(dataset)) for dataset in dicom_sr.write(study, report)]
    assert dicom_sr.read(stored, study) == dicom_sr.as_written(report)


def _through_bytes(dataset: Dataset) -> pydicom.filebase.DicomBytesIO:
    stream = pydicom.filebase.DicomBytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    stream.seek(0)
    return stream


def test_source_headers_are_left_as_they_were() -> None:
    instances = [*ct_series(), *projections(2)]
    study = Study.from_instances(instances)
    before = [instance.to_json() for instance in instances]
    mask = np.ones((1, 30, 21), bool)
    dicom_sr.write(study, report_on(study, Finding("lung", "Lungs.", regions=(Region.from_mask(PROJECTION_SERIES_UID, mask),))))
    assert [instance.to_json() for instance in instances] == before
    assert study.study_uid == STUDY_UID
