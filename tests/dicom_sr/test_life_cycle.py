"""What a radiologist decides is the next version in the same series; what is rejected is gone, and still in the history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pytest
from pydicom import Dataset

import dicom_sr
from dicom_sr import State
from dicom_sr.identity import kind_of
from dicom_sr.kinds import DRAFT, FINDINGS, MEASUREMENTS, REJECTION, SEGMENTATION
from dicom_sr.readings import in_force, references, tracking_uids
from radiology.errors import StudyError, VerdictError
from radiology.finding import Finding, Region
from radiology.judgement import Judgement, Observer, Reason, Rejection
from radiology.report import Report
from radiology.study import Study
from radiology.verdict import Accept, Add, Decision, Edit, Reject, Restore, Verdict
from tests.dicom_sr.reports import STARTED
from tests.dicom_sr.sources import PROJECTION_SERIES_UID

READER = Observer("Röntgen^Wilhelm", "Physikalisches Institut", "wcr")
COLLEAGUE = Observer("Curie^Marie", "Institut du Radium")
LATER = STARTED + timedelta(hours=1)


def decision(
    study: Study, objects: Sequence[Dataset], *verdicts: Verdict, at: datetime = LATER, by: Observer = READER, signed: bool = False
) -> Decision:
    version = dicom_sr.current(objects, study)
    assert version is not None
    return Decision(version.document_uid, by, at, verdicts, signed)


def findings_of(objects: Sequence[Dataset], study: Study) -> dict[int, Finding]:
    return {finding.number: finding for finding in dicom_sr.read(objects, study).findings}


def accept_all(objects: Sequence[Dataset], study: Study) -> list[Verdict]:
    return [Accept(number) for number in findings_of(objects, study)]


def one(objects: Sequence[Dataset], kind: object) -> Dataset:
    (found,) = (each for each in objects if kind_of(each) is kind)
    return found


def test_an_accepted_report_is_a_verified_version_in_the_same_series(objects: list[Dataset], study: Study) -> None:
    new = dicom_sr.revise(study, objects, decision(study, objects, *accept_all(objects, study), signed=True))
    assert [kind_of(each) for each in new] == [FINDINGS, DRAFT, MEASUREMENTS], "masks that did not change are not stored again"
    for kind in (FINDINGS, DRAFT, MEASUREMENTS):
        before, after = one(objects, kind), one(new, kind)
        assert (after.SeriesInstanceUID, after.SeriesNumber) == (before.SeriesInstanceUID, before.SeriesNumber)
        assert after.SeriesDescription == before.SeriesDescription
        assert (before.InstanceNumber, after.InstanceNumber) == (1, 2)
        assert (after.VerificationFlag, after.PreliminaryFlag) == ("VERIFIED", "FINAL")
        (named,) = references(after.PredecessorDocumentsSequence)
        assert named.ReferencedSOPInstanceUID == before.SOPInstanceUID
        assert named.PurposeOfReferenceCodeSequence[0].CodeValue == "121362", "a preliminary report"
        (observer,) = after.VerifyingObserverSequence
        assert (observer.VerifyingObserverName, observer.VerifyingOrganization) == (READER.name, READER.organization)
        assert str(observer.VerificationDateTime).startswith("20260304160607")
        assert observer.VerifyingObserverIdentificationCodeSequence[0].CodeValue == READER.login
    signed, model = dicom_sr.history([*objects, *new], study)
    assert (signed.state, signed.verified_by, signed.moment, signed.number) == (State.FINAL, READER, LATER, 2)
    assert (model.state, model.verified_by, model.moment, model.number) == (State.REPLACED, None, STARTED, 1)
    assert {finding.judgement for finding in signed.report.findings} == {Judgement.ACCEPTED}
    assert {region.tracking_uid for finding in signed.report.findings for region in finding.regions} == {
        region.tracking_uid for finding in model.report.findings for region in finding.regions
    }
    assert [replace(finding, judged=None) for finding in signed.report.findings] == list(model.report.findings)


def test_a_rejected_finding_is_gone_from_report_and_masks_and_still_in_the_history(objects: list[Dataset], study: Study) -> None:
    nodule = next(finding for finding in dicom_sr.read(objects, study).findings if finding.name == "nodule")
    new = dicom_sr.revise(study, objects, decision(study, objects, Reject(nodule.number, Reason.FALSE_POSITIVE)))
    after = [*objects, *new]
    report = dicom_sr.read(after, study)
    assert [finding.number for finding in report.findings] == [1, 3, 4, 5, 6]
    assert report.rejected == (Rejection(2, Reason.FALSE_POSITIVE, READER, LATER),)
    assert "odule" not in report.impression
    gone = {region.tracking_uid for region in nodule.regions}
    assert all(gone.isdisjoint(tracking_uids(each)) for each in in_force(after))
    (ct,) = (each for each in new if kind_of(each) is SEGMENTATION)
    assert (ct.InstanceNumber, len(ct.SegmentSequence)) == (2, 1), "the lung is left in it"
    note = one(new, REJECTION)
    withdrawn = {reference.ReferencedSOPInstanceUID for reference in references(note.CurrentRequestedProcedureEvidenceSequence)}
    films = [each for each in objects if kind_of(each) is SEGMENTATION and PROJECTION_SERIES_UID in str(each.ReferencedSeriesSequence)]
    assert withdrawn == {each.SOPInstanceUID for each in films}, "nothing is left in those"
    now, before = dicom_sr.history(after, study)
    assert (now.state, before.state) == (State.PRELIMINARY, State.REPLACED)
    assert nodule in before.report.findings, "with its masks and measurements"


def test_an_edit_keeps_the_tracking_uids_of_what_it_left_alone(objects: list[Dataset], study: Study) -> None:
    before = findings_of(objects, study)
    first, *films = before[2].regions
    mask = np.asarray(first.mask).copy()
    mask[0, 0, 0] = False
    corrected = replace(before[2], sentence="A nodule, smaller than drawn.", regions=(replace(first, mask=mask), *films))
    new = dicom_sr.revise(study, objects, decision(study, objects, Edit(corrected)))
    after = findings_of([*objects, *new], study)
    assert after[2].sentence == corrected.sentence
    assert after[2].judgement is Judgement.EDITED
    assert after[2].regions[0].tracking_uid != first.tracking_uid
    assert np.array_equal(np.asarray(after[2].regions[0].mask), mask)
    assert after[2].regions[0].measurements == (), "what was measured on the old mask is not said of the new one"
    assert [region.tracking_uid for region in after[2].regions[1:]] == [region.tracking_uid for region in films]
    assert {number: finding for number, finding in after.items() if number != 2} == {n: each for n, each in before.items() if n != 2}
    ct = next(each for each in new if kind_of(each) is SEGMENTATION and len(each.SegmentSequence) == 2)
    assert [segment.SegmentAlgorithmType for segment in ct.SegmentSequence] == ["AUTOMATIC", "SEMIAUTOMATIC"]


def test_an_added_finding_is_the_radiologists_and_no_algorithms(objects: list[Dataset], study: Study) -> None:
    mask = np.zeros((1, 30, 21), bool)
    mask[0, 20:24, 5:9] = True
    missed = Finding("mass", "A mass at the base.", regions=(Region.from_mask(PROJECTION_SERIES_UID, mask),))
    new = dicom_sr.revise(study, objects, decision(study, objects, Add(missed)))
    added = findings_of([*objects, *new], study)[7]
    assert (added.sentence, added.judgement) == (missed.sentence, Judgement.ADDED)
    assert added.judged is not None
    assert (added.judged.observer, added.judged.moment) == (READER, LATER)
    uid = added.regions[0].tracking_uid
    segment = next(s for each in new if kind_of(each) is SEGMENTATION for s in each.SegmentSequence if s.TrackingUID == uid)
    assert segment.SegmentAlgorithmType == "MANUAL"
    assert "SegmentationAlgorithmIdentificationSequence" not in segment
    (group,) = (
        item
        for container in one(new, FINDINGS).ContentSequence
        for item in container.get("ContentSequence", [])
        if any(each.get("UID") == uid for each in item.get("ContentSequence", []))
    )
    meanings = {item.ConceptNameCodeSequence[0].CodeMeaning for item in group.ContentSequence}
    assert "Algorithm Name" not in meanings


def test_a_rejection_can_be_undone(objects: list[Dataset], study: Study) -> None:
    original = findings_of(objects, study)[2]
    rejected = [*objects, *dicom_sr.revise(study, objects, decision(study, objects, Reject(2, Reason.WORDING)))]
    undone = dicom_sr.revise(study, rejected, decision(study, rejected, Restore(original), at=LATER + timedelta(minutes=1), by=COLLEAGUE))
    before, after = dicom_sr.read(objects, study), dicom_sr.read([*rejected, *undone], study)
    assert replace(after, impression=before.impression) == before, "but for the summary, which is of our making now"
    assert [version.number for version in dicom_sr.history([*rejected, *undone], study)] == [3, 2, 1]


def test_a_signed_report_that_is_changed_is_amended(objects: list[Dataset], study: Study) -> None:
    signed = [*objects, *dicom_sr.revise(study, objects, decision(study, objects, *accept_all(objects, study), signed=True))]
    change, later = Reject(2, Reason.NOT_RELEVANT), LATER + timedelta(days=1)
    with pytest.raises(VerdictError, match="new signature"):
        dicom_sr.revise(study, signed, decision(study, signed, change, at=later))
    amended = [*signed, *dicom_sr.revise(study, signed, decision(study, signed, change, at=later, by=COLLEAGUE, signed=True))]
    assert [version.state for version in dicom_sr.history(amended, study)] == [State.AMENDED, State.REPLACED, State.REPLACED]
    version = dicom_sr.current(amended, study)
    assert version is not None
    assert version.verified_by == COLLEAGUE
    (named,) = references(one(amended[len(signed) :], FINDINGS).PredecessorDocumentsSequence)
    assert named.PurposeOfReferenceCodeSequence[0].CodeValue == "121360", "a replaced report"


@pytest.mark.parametrize(
    ("verdicts", "signed", "sentence"),
    [
        ((Accept(1),), True, "Sentence 2 is not decided"),
        ((Accept(99),), False, "no sentence 99"),
        ((Accept(1), Reject(1, Reason.WORDING)), False, "decided twice"),
    ],
)
def test_a_decision_that_cannot_be_taken_is_refused(
    verdicts: tuple[Verdict, ...], signed: bool, sentence: str, objects: list[Dataset], study: Study
) -> None:
    with pytest.raises(VerdictError, match=sentence):
        dicom_sr.revise(study, objects, decision(study, objects, *verdicts, signed=signed))


def test_of_two_people_who_decide_at_once_the_second_is_told(objects: list[Dataset], study: Study) -> None:
    both = decision(study, objects, Reject(2, Reason.WRONG_SIDE))
    after = [*objects, *dicom_sr.revise(study, objects, both)]
    with pytest.raises(VerdictError, match="changed meanwhile"):
        dicom_sr.revise(study, after, replace(both, observer=COLLEAGUE))


def test_the_same_decision_makes_the_same_objects(objects: list[Dataset], study: Study) -> None:
    once, again = (dicom_sr.revise(study, objects, decision(study, objects, Accept(1))) for _ in range(2))
    assert [each.SOPInstanceUID for each in once] == [each.SOPInstanceUID for each in again]
    assert once == again


def test_a_rejected_result_is_in_force_no_more_with_all_its_versions(objects: list[Dataset], study: Study) -> None:
    accepted = [*objects, *dicom_sr.revise(study, objects, decision(study, objects, Accept(1)))]
    why = Rejection(0, Reason.WRONG_PLACE, COLLEAGUE, LATER + timedelta(hours=1))
    note = dicom_sr.reject(study, accepted, why)
    assert note.SOPClassUID.name == "Key Object Selection Document Storage"
    assert note.ConceptNameCodeSequence[0].CodeValue == "113037"
    after = [*accepted, note]
    assert in_force(after) == []
    assert dicom_sr.current(after, study) is None
    with pytest.raises(StudyError, match="no report of ours in force"):
        dicom_sr.read(after, study)
    versions = dicom_sr.history(after, study)
    assert [(version.state, version.rejection) for version in versions] == [(State.REJECTED, why)] * 2
    with pytest.raises(VerdictError, match="could be rejected"):
        dicom_sr.reject(study, after, why)


def test_a_rejected_reading_does_not_bring_back_what_it_replaced(objects: list[Dataset], study: Study, report: Report) -> None:
    late = replace(report, instance_uids=report.instance_uids[1:], started=STARTED + timedelta(days=1))
    second = dicom_sr.write(study, late, previous=objects)
    note = dicom_sr.reject(study, second, Rejection(0, Reason.WRONG_PLACE, READER, LATER + timedelta(days=2)))
    assert dicom_sr.current([*objects, *second, note], study) is None


def test_late_images_make_a_report_that_names_the_documents_it_replaces(objects: list[Dataset], study: Study, report: Report) -> None:
    late = replace(report, instance_uids=report.instance_uids[1:], started=STARTED + timedelta(days=1))
    second = dicom_sr.write(study, late, previous=objects)
    for kind in (FINDINGS, DRAFT, MEASUREMENTS):
        (named,) = references(one(second, kind).PredecessorDocumentsSequence)
        assert named.ReferencedSOPInstanceUID == one(objects, kind).SOPInstanceUID
    assert {each.SeriesInstanceUID for each in second}.isdisjoint(each.SeriesInstanceUID for each in objects)
    assert [version.state for version in dicom_sr.history([*objects, *second], study)] == [State.PRELIMINARY, State.REPLACED]
    assert "PredecessorDocumentsSequence" not in dicom_sr.write(study, report, previous=objects)[0], "a report does not replace itself"
