"""SR-A, the findings: TID 1500 Measurement Report (PS3.16), in the form that OHIF hydrates.

    Measurement Report
      Image Library            the images that the model was given
      Imaging Measurements     one TID 1410 group per sentence and place: box, finding, site and side, algorithm, sentence
      Qualitative Evaluations  what ran and with what result, sentences without a place, impression, withheld statements,
                               what could not be read, and what a radiologist took out

A place is one SCOORD rectangle, on one image. For a region of several slices that is the slice where the mask is largest
(the middle one where there is no mask), with the rows and columns of the whole box; the first and last image stand beside it
as references, and where the mask was inferred on some slices the ones that the model read. So a viewer lists each place once
and opens it where there is most to see, and the box comes back exactly.
A group holds no NUM of its own, as OHIF then takes it for a measurement and drops the box; the model's certainties are
properties of the sentence, in percent, and so is what a radiologist decided about it. Sentences are numbered by Tracking
Identifier (``Finding 3, place 1``), which keeps their order and holds together the groups of one sentence.
Only what is present stands in a group as Finding; what is absent or undetermined is a named evaluation with that value.
A reading that failed is the same document without measurements, of a kind of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from highdicom.sr import (
    CodeContentItem,
    ContentItem,
    ContentSequence,
    GraphicTypeValues,
    ImageRegion,
    NumContentItem,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from dicom_sr.codes import FAILED, GEOMETRIC_PURPOSE, LATERALITY, PRESENCE, PRESENCE_CODES, QUALITATIVE_EVALUATIONS, VERDICT, to_dicom
from dicom_sr.document import CONTAINS, PROPERTY, algorithm, algorithm_of, build, container, decision, image, image_library, sites
from dicom_sr.identity import Maker, to_percent, tracking_identifier
from dicom_sr.kinds import FAILURE, FINDINGS
from radiology.finding import Finding, Presence, Region
from radiology.frame import Frame
from radiology.report import Outcome, Report
from radiology.study import Study
from radiology.terms import SIDE_CODES, TERMS


def build_findings(study: Study, maker: Maker) -> Dataset:
    """Return the document; every sentence must have its number and every region its tracking UID."""
    kind = FINDINGS if maker.report.is_read else FAILURE
    return build(kind, codes.DCM.ImagingMeasurementReport, _items(study, maker.report), study, maker)


def _items(study: Study, report: Report) -> Iterator[ContentItem]:
    yield image_library(study, report)
    groups = [
        group
        for finding in report.findings
        for place, region in enumerate(finding.regions, 1)
        for group in _group(study, report, finding, region, tracking_identifier(finding.number, place))
    ]
    if groups:
        yield container(codes.DCM.ImagingMeasurements, groups)
    yield container(QUALITATIVE_EVALUATIONS, _evaluations(report))


def _group(
    study: Study, report: Report, finding: Finding, region: Region, identifier: str
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    """TID 1410 for one sentence and one place."""
    frames = study.find_series(region.series_uid).frames
    name, value = _statement_code(finding)
    is_present = finding.presence is Presence.PRESENT
    group = PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=region.tracking_uid, identifier=identifier),
        referenced_region=ImageRegion(GraphicTypeValues.POLYLINE, rectangle(region), source_image(frames[region.key_slice])),
        finding_type=name if is_present and finding.name else None,
        finding_sites=sites(finding),
        algorithm_id=algorithm_of(finding, report.model),
        geometric_purpose=GEOMETRIC_PURPOSE,
        qualitative_evaluations=[QualitativeEvaluation(PRESENCE if is_present else name, value)],
    )
    comment = _sentence(finding, CONTAINS)
    comment.ContentSequence.append(_certainty(codes.DCM.CertaintyOfFeature, region.score))
    if region.box.shape[0] > 1:
        for index in (region.box.start[0], region.box.stop[0] - 1):
            comment.ContentSequence.append(image(codes.DCM.SourceOfMeasurement, frames[index]))
    for index in region.read_slices:
        comment.ContentSequence.append(image(codes.DCM.KeyImages, frames[index]))
    group[0].ContentSequence.append(comment)
    group[0].ContentSequence.extend(_remarks(finding, CONTAINS))
    return group


def source_image(frame: Frame) -> SourceImageForRegion:
    """Return the image that a region is selected from."""
    return SourceImageForRegion(str(frame.header.SOPClassUID), frame.uid, [frame.number] if frame.number else None)


def _evaluations(report: Report) -> Iterable[ContentItem]:
    """TID 1500 rows 12 to 14: all that has no place in an image."""
    summary = CodeContentItem(codes.DCM.CADProcessingAndFindingsSummary, outcome_code(report), CONTAINS)
    summary.ContentSequence = ContentSequence(algorithm(report.model))
    yield summary
    for finding in report.findings:
        if not finding.regions:
            yield _statement(finding)
    if report.impression:
        yield TextContentItem(codes.DCM.Impression, report.impression, CONTAINS)
    for sentence in report.withheld:
        yield TextContentItem(codes.DCM.RejectedForQualityReasons, sentence, CONTAINS)
    for sentence in report.failures:
        yield TextContentItem(FAILED, sentence, CONTAINS)
    for rejection in report.rejected:
        item = decision(codes.DCM.RejectedForPatientSafetyReasons, rejection.reason, rejection, CONTAINS)
        item.ContentSequence.append(TextContentItem(codes.DCM.TrackingIdentifier, tracking_identifier(rejection.number), PROPERTY))
        yield item


def outcome_code(report: Report) -> Code:
    """Return how the reading ended (CID 6047). What was withheld counts as found, so that it never reads as "nothing"."""
    with_findings = report.states_abnormal or bool(report.withheld)
    of = codes.cid6047
    code: Code
    match report.outcome:
        case Outcome.NOT_READ:
            code = of.NoAlgorithmsSucceededWithoutFindings
        case Outcome.PARTLY_READ:
            code = of.NotAllAlgorithmsSucceededWithFindings if with_findings else of.NotAllAlgorithmsSucceededWithoutFindings
        case _:
            code = of.AllAlgorithmsSucceededWithFindings if with_findings else of.AllAlgorithmsSucceededWithoutFindings
    return code


def _statement(finding: Finding) -> CodeContentItem:
    """A sentence without a place: ``Pneumothorax = Absent`` with the sentence as its property."""
    statement = CodeContentItem(*_statement_code(finding), CONTAINS)
    identifier = TextContentItem(codes.DCM.TrackingIdentifier, tracking_identifier(finding.number), PROPERTY)
    statement.ContentSequence = ContentSequence([*sites(finding), identifier, _sentence(finding, PROPERTY), *_remarks(finding, PROPERTY)])
    return statement


def _statement_code(finding: Finding) -> tuple[Code, Code]:
    term = TERMS.get(finding.name)
    return to_dicom(term.code) if term else PRESENCE, PRESENCE_CODES[finding.presence]


def _sentence(finding: Finding, relation: RelationshipTypeValues) -> TextContentItem:
    """The sentence as a Comment, which OHIF shows as the label; certainty and a radiologist's decision are its properties."""
    comment = TextContentItem(codes.DCM.Comment, finding.sentence, relation)
    comment.ContentSequence = ContentSequence([_certainty(codes.DCM.CertaintyOfFinding, finding.confidence)])
    if finding.judged is not None:
        comment.ContentSequence.append(decision(VERDICT, finding.judged.judgement.value, finding.judged, PROPERTY))
    return comment


def _certainty(name: Code, value: float) -> NumContentItem:
    return NumContentItem(name, to_percent(value), codes.UCUM.Percent, relationship_type=PROPERTY)


def _remarks(finding: Finding, relation: RelationshipTypeValues) -> list[ContentItem]:
    """The flags, and the side of a sentence that has no term and so no site to carry it."""
    remarks: list[ContentItem] = [TextContentItem(codes.DCM.StatementModifier, flag, relation) for flag in finding.flags]
    if finding.side and finding.name not in TERMS:
        remarks.append(CodeContentItem(LATERALITY, to_dicom(SIDE_CODES[finding.side]), relation))
    return remarks


def rectangle(region: Region) -> NDArray[np.float64]:
    """Return the box as closed polyline of column\\row pairs; 0\\0 is the first pixel's corner (PS3.3 C.18.6.1.1), as in a box."""
    _, top, left = region.box.start
    _, bottom, right = region.box.stop
    return np.asarray([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]], float)
