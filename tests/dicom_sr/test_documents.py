"""What the Structured Reports say, item by item, beyond what comes back as the report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage, ComprehensiveSRStorage

import dicom_sr
from dicom_sr.identity import kind_of
from dicom_sr.kinds import DRAFT, FAILURE, FINDINGS, MEASUREMENTS, Kind
from dicom_sr.readings import references
from radiology.finding import Box, Finding, Presence, Region
from radiology.measurement import Quantity
from radiology.report import Outcome, Report
from radiology.settings import ResultSettings
from radiology.study import Study
from tests.dicom_sr.reports import report_on
from tests.dicom_sr.sources import CT_SERIES_UID, ct_series


def items(item: Dataset) -> Iterator[Dataset]:
    """All content items below one."""
    for child in item.get("ContentSequence", []):
        yield child
        yield from items(child)


def name(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeMeaning)


def groups(document: Dataset) -> list[Dataset]:
    return [item for item in items(document) if name(item) == "Measurement Group"]


def of_kind(objects: list[Dataset], kind: Kind) -> Dataset:
    (found,) = (each for each in objects if kind_of(each) is kind)
    return found


def documents(objects: list[Dataset]) -> list[Dataset]:
    return [each for each in objects if each.Modality == "SR"]


def test_what_a_document_refers_to_is_its_evidence_and_nothing_else(objects: list[Dataset]) -> None:
    for document in documents(objects):
        referred = {str(r.ReferencedSOPInstanceUID) for item in items(document) for r in item.get("ReferencedSOPSequence", [])}
        evidence = {str(r.ReferencedSOPInstanceUID) for r in references(document.CurrentRequestedProcedureEvidenceSequence)}
        assert referred == evidence
        assert "PertinentOtherEvidenceSequence" not in document


def test_images_of_a_prior_are_pertinent_other_evidence() -> None:
    before = ct_series(2, series_uid="2.25.7000")
    for image in before:
        image.StudyInstanceUID = "2.25.6000"
    prior = Study.from_instances(before)
    study = replace(Study.from_instances(ct_series()), priors=(prior,))
    report = report_on(study, Finding("nodule", "No larger than before.", regions=(Region(CT_SERIES_UID, Box((0, 1, 1), (1, 2, 2))),)))
    uids = (*report.instance_uids, *prior.series[0].instance_uids)
    report = replace(report, instance_uids=tuple(sorted(uids)))
    objects = dicom_sr.write(study, report)
    (other,) = of_kind(objects, FINDINGS).PertinentOtherEvidenceSequence
    assert other.StudyInstanceUID == "2.25.6000"
    assert {str(each.ReferencedSOPInstanceUID) for each in references([other])} == set(prior.series[0].instance_uids)
    assert dicom_sr.read(objects, study) == dicom_sr.as_written(report)


def test_every_group_has_a_tracking_uid_of_its_own(objects: list[Dataset]) -> None:
    for kind in (FINDINGS, MEASUREMENTS):
        uids = [str(item.UID) for group in groups(of_kind(objects, kind)) for item in group.ContentSequence if "UID" in item]
        assert len(uids) == len(set(uids)) == len(groups(of_kind(objects, kind)))


def test_no_group_of_the_findings_holds_a_number_and_every_item_has_a_name(objects: list[Dataset]) -> None:
    document = of_kind(objects, FINDINGS)
    assert all(item.ValueType != "NUM" for group in groups(document) for item in group.ContentSequence)
    assert all(item.ConceptNameCodeSequence for item in items(document))


def test_certainties_are_percent(objects: list[Dataset], report: Report) -> None:
    said = [item.MeasuredValueSequence[0] for item in items(objects[0]) if name(item) == "Certainty of Finding"]
    assert {(value.MeasurementUnitsCodeSequence[0].CodeValue) for value in said} == {"%"}
    assert {float(value.NumericValue) for value in said} == {round(finding.confidence * 100, 4) for finding in report.findings}


@pytest.mark.parametrize("presence", [Presence.ABSENT, Presence.UNDETERMINED])
def test_what_is_not_surely_there_never_stands_as_a_bare_finding(presence: Presence, study: Study) -> None:
    place = Region(CT_SERIES_UID, Box((0, 1, 1), (1, 9, 9)))
    report = report_on(study, Finding("pneumothorax", "Looked at here.", presence, regions=(place,)))
    objects = dicom_sr.write(study, report)
    (group,) = groups(objects[0])
    values = {name(item): item.ConceptCodeSequence[0].CodeMeaning for item in group.ContentSequence if "ConceptCodeSequence" in item}
    assert "Finding" not in values
    assert values["Pneumothorax"].lower() == presence.value
    assert dicom_sr.read(objects, study) == dicom_sr.as_written(report)


def test_the_draft_has_the_same_sentences_in_the_same_order_and_the_same_places(objects: list[Dataset], report: Report) -> None:
    draft = of_kind(objects, DRAFT)
    assert (draft.SOPClassUID, draft.ConceptNameCodeSequence[0].CodeValue) == (ComprehensiveSRStorage, "18748-4")
    sentences = [item for item in items(draft) if name(item) == "Finding"]
    assert [item.TextValue for item in sentences] == [finding.sentence for finding in report.findings]
    assert [len(item.get("ContentSequence", [])) for item in sentences] == [len(finding.regions) for finding in report.findings]

    def outlines(document: Dataset) -> list[tuple[list[float], str]]:
        regions = [item for item in items(document) if name(item) == "Image Region"]
        return [(list(r.GraphicData), str(r.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)) for r in regions]

    assert outlines(draft) == outlines(of_kind(objects, FINDINGS))
    words = {item.TextValue for item in items(draft) if item.ValueType == "TEXT"}
    assert {report.impression, *report.withheld} <= words


def test_measurements_are_of_the_segment_with_the_same_tracking_uid(objects: list[Dataset], study: Study) -> None:
    segments = {
        str(segment.TrackingUID): (str(each.SOPInstanceUID), int(segment.SegmentNumber))
        for each in objects
        if each.Modality == "SEG"
        for segment in each.SegmentSequence
    }
    measured = groups(of_kind(objects, MEASUREMENTS))
    assert len(measured) == len(segments)
    for group in measured:
        by_name = {name(item): item for item in group.ContentSequence}
        reference = by_name["Referenced Segment"].ReferencedSOPSequence[0]
        assert "ReferencedFrameNumber" not in reference
        pointed = (str(reference.ReferencedSOPInstanceUID), int(reference.ReferencedSegmentNumber))
        assert pointed == segments[str(by_name["Tracking Unique Identifier"].UID)]
        assert {"Volume", "Area"} & set(by_name)
    nodule, film, _ = dicom_sr.read(objects, study).findings[1].regions
    assert {each.quantity for each in nodule.measurements} == {Quantity.VOLUME, Quantity.LONG_AXIS, Quantity.SHORT_AXIS}
    assert {each.quantity for each in film.measurements} == {Quantity.AREA, Quantity.LONG_AXIS, Quantity.SHORT_AXIS}


def test_draft_and_measurements_can_be_left_out_and_the_class_chosen(study: Study, report: Report) -> None:
    lean = dicom_sr.write(study, report, settings=ResultSettings(draft=False, measurements=False, comprehensive_3d=False))
    assert [kind_of(each) for each in documents(lean)] == [FINDINGS]
    assert lean[0].SOPClassUID == ComprehensiveSRStorage
    usual = dicom_sr.write(study, report)
    assert usual[0].SOPClassUID == Comprehensive3DSRStorage
    assert usual[0].SOPInstanceUID != lean[0].SOPInstanceUID, "one UID never names two objects"
    plain = [replace(f, regions=tuple(replace(r, measurements=()) for r in f.regions)) for f in dicom_sr.as_written(report).findings]
    assert dicom_sr.read(lean, study).findings == tuple(plain)


def test_a_study_that_could_not_be_read_is_a_document_of_its_own_kind(study: Study) -> None:
    reason = "Series 1.2 has images without PixelSpacing; its slices cannot be placed."
    report = replace(report_on(study), is_read=False, failures=(reason,))
    (document,) = dicom_sr.write(study, report)
    assert kind_of(document) is FAILURE
    assert (document.CompletionFlag, document.PreliminaryFlag, document.VerificationFlag) == ("PARTIAL", "PRELIMINARY", "UNVERIFIED")
    assert document.CompletionFlagDescription == reason[:64]
    meanings = {item.ConceptCodeSequence[0].CodeMeaning for item in items(document) if "ConceptCodeSequence" in item}
    assert "No algorithms succeeded; without findings" in meanings
    assert dicom_sr.read([document], study) == report
    assert report.outcome is Outcome.NOT_READ


def test_a_failure_hides_no_report_and_a_report_replaces_a_failure(study: Study, report: Report) -> None:
    failed = replace(report_on(study), is_read=False, failures=("Out of memory.",), started=report.started.replace(year=2027))
    read = dicom_sr.write(study, report)
    assert dicom_sr.read([*read, *dicom_sr.write(study, failed, previous=read)], study).outcome is Outcome.FOUND
    before = dicom_sr.write(study, replace(failed, started=report.started.replace(year=2025)))
    after = dicom_sr.write(study, report, previous=before)
    (named,) = references(after[0].PredecessorDocumentsSequence)
    assert named.ReferencedSOPInstanceUID == before[0].SOPInstanceUID


@pytest.mark.parametrize(
    ("failures", "presence", "code"),
    [
        ((), Presence.ABSENT, "111241"),
        ((), Presence.PRESENT, "111242"),
        (("A view was not read.",), Presence.ABSENT, "111243"),
        (("A view was not read.",), Presence.PRESENT, "111244"),
    ],
)
def test_how_the_reading_ended_is_coded(failures: tuple[str, ...], presence: Presence, code: str, study: Study) -> None:
    report = replace(report_on(study, Finding("nodule", "A sentence.", presence)), failures=failures)
    document = dicom_sr.write(study, report)[0]
    (summary,) = (item for item in items(document) if name(item) == "CAD Processing and Findings Summary")
    assert summary.ConceptCodeSequence[0].CodeValue == code
    assert document.CompletionFlag == ("PARTIAL" if failures else "COMPLETE")


def test_a_box_of_float_numbers_is_the_box_of_the_mask(study: Study) -> None:
    """Half-open indices are edges: a mask of one pixel is a square of one pixel around its centre (PS3.3 C.18.6.1.1)."""
    mask = np.zeros((4, 32, 40), bool)
    mask[1, 7, 9] = True
    document = dicom_sr.write(study, report_on(study, Finding("nodule", "One pixel.", regions=(Region.from_mask(CT_SERIES_UID, mask),))))[0]
    (outline,) = (item for item in items(document) if item.ValueType == "SCOORD")
    assert list(outline.GraphicData) == [9, 7, 10, 7, 10, 8, 9, 8, 9, 7], "closed, column before row"
