"""The Structured Report: Comprehensive 3D SR with TID 1500 Measurement Report (PS3.16), in the form that OHIF hydrates.

    Measurement Report
      Image Library            the images that the model was given
      Imaging Measurements     one TID 1410 group per sentence and place: box, finding, site and side, algorithm, sentence
      Qualitative Evaluations  what ran and with what result, sentences without a place, impression, withheld statements

A place is one SCOORD rectangle, on one image. For a region of several slices that is the slice where the mask is largest
(the middle one where there is no mask), with the rows and columns of the whole box; the first and last image stand beside it
as references, and where the mask was inferred on some slices the ones that the model read. So a viewer lists each place once
and opens it where there is most to see, and the box comes back exactly.
A group holds no NUM of its own, as OHIF then takes it for a measurement and drops the box; the model's certainties are
properties of the sentence. Sentences are numbered by Tracking Identifier (``Finding 3, place 1``), which keeps their order
and holds together the groups of one sentence.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    Comprehensive3DSR,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    GraphicTypeValues,
    ImageContentItem,
    ImageRegion,
    LanguageOfContentItemAndDescendants,
    NumContentItem,
    ObservationContext,
    ObserverContext,
    PlanarROIMeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForRegion,
    TextContentItem,
    TrackingIdentifier,
)
from numpy.typing import NDArray
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from dicom_sr.codes import (
    GEOMETRIC_PURPOSE,
    LATERALITY,
    MODALITY_CODES,
    PRESENCE,
    PRESENCE_CODES,
    QUALITATIVE_EVALUATIONS,
    to_dicom,
)
from dicom_sr.identity import MANUFACTURER, Maker, device_uid, tracking_identifier, without_identity
from radiology.finding import Finding, Presence, Region
from radiology.report import ModelIdentity, Report
from radiology.study import Study
from radiology.terms import SIDE_CODES, TERMS

SERIES_NUMBER = 9001
WEIGHTS_PARAMETER = "weights SHA-256: "
CONFIGURATION_PARAMETER = "configuration: "
_CONTAINS = RelationshipTypeValues.CONTAINS
_PROPERTY = RelationshipTypeValues.HAS_PROPERTIES


def build(study: Study, maker: Maker) -> Comprehensive3DSR:
    """Return the Structured Report; every region must have its tracking UID."""
    report = maker.report
    regions = [region for finding in report.findings for region in finding.regions]
    used = {*report.instance_uids, *(uid for region in regions for uid in (*_extent(study, region), *_read(study, region)))}
    evidence = [header for series in study.series for header in series.instances if str(header.SOPInstanceUID) in used]
    document = Comprehensive3DSR(
        evidence=[without_identity(evidence[0]), *evidence[1:]],
        content=_root(study, report),
        is_complete=True,
        **maker.attributes("SR", SERIES_NUMBER, "AI findings - research, not verified, not for diagnosis"),
    )
    maker.stamp(document)
    return document


def _root(study: Study, report: Report) -> ContainerContentItem:
    device = DeviceObserverIdentifyingAttributes(
        uid=device_uid(report.model),
        name=report.model.name,
        manufacturer_name=MANUFACTURER,
        model_name=report.model.name,
        serial_number=report.model.weights_hash,
    )
    root = ContainerContentItem(name=codes.DCM.ImagingMeasurementReport, template_id="1500")
    root.ContentSequence = ContentSequence()
    root.ContentSequence.extend(LanguageOfContentItemAndDescendants(Code("en", "RFC5646", "English")))
    root.ContentSequence.extend(
        ObservationContext(observer_device_context=ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device))
    )
    root.ContentSequence.append(
        CodeContentItem(codes.DCM.ProcedureReported, codes.SCT.ImagingProcedure, RelationshipTypeValues.HAS_CONCEPT_MOD)
    )
    root.ContentSequence.append(_image_library(study, report))
    groups = [
        group
        for number, finding in enumerate(report.findings, 1)
        for place, region in enumerate(finding.regions, 1)
        for group in _group(study, report.model, finding, region, tracking_identifier(number, place))
    ]
    if groups:
        root.ContentSequence.append(_container(codes.DCM.ImagingMeasurements, groups))
    root.ContentSequence.append(_container(QUALITATIVE_EVALUATIONS, _evaluations(report)))
    return root


def _image_library(study: Study, report: Report) -> ContainerContentItem:
    """TID 1600, one group per series; descriptors of single images are left to the images."""
    given = set(report.instance_uids)
    groups = []
    for series in study.series:
        images: list[ContentItem] = [
            ImageContentItem(codes.SCT.Source, str(header.SOPClassUID), str(header.SOPInstanceUID), relationship_type=_CONTAINS)
            for header in series.instances
            if str(header.SOPInstanceUID) in given
        ]
        modality = MODALITY_CODES.get(series.modality)
        if images and modality is not None:
            images.insert(0, CodeContentItem(codes.DCM.Modality, modality, RelationshipTypeValues.HAS_ACQ_CONTEXT))
        if images:
            groups.append(_container(codes.DCM.ImageLibraryGroup, images))
    return _container(codes.DCM.ImageLibrary, groups)


def _group(
    study: Study, model: ModelIdentity, finding: Finding, region: Region, identifier: str
) -> PlanarROIMeasurementsAndQualitativeEvaluations:
    """TID 1410 for one sentence and one place."""
    series = study.find_series(region.series_uid)
    image = series.instances[key_slice(region)]
    term = TERMS.get(finding.name)
    group = PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=region.tracking_uid, identifier=identifier),
        referenced_region=ImageRegion(
            graphic_type=GraphicTypeValues.POLYLINE,
            graphic_data=_rectangle(region),
            source_image=SourceImageForRegion(str(image.SOPClassUID), str(image.SOPInstanceUID)),
        ),
        finding_type=to_dicom(term.code) if term else None,
        finding_sites=_sites(finding),
        algorithm_id=_algorithm(model),
        geometric_purpose=GEOMETRIC_PURPOSE,
        qualitative_evaluations=[QualitativeEvaluation(PRESENCE, PRESENCE_CODES[finding.presence])],
    )
    comment = _sentence(finding, _CONTAINS)
    comment.ContentSequence.append(
        NumContentItem(codes.DCM.CertaintyOfFeature, float(region.score), codes.UCUM.NoUnits, relationship_type=_PROPERTY)
    )
    if region.box.shape[0] > 1:
        for uid in _extent(study, region):
            comment.ContentSequence.append(
                ImageContentItem(codes.DCM.SourceOfMeasurement, str(image.SOPClassUID), uid, relationship_type=_PROPERTY)
            )
    for uid in _read(study, region):
        comment.ContentSequence.append(ImageContentItem(codes.DCM.KeyImages, str(image.SOPClassUID), uid, relationship_type=_PROPERTY))
    group[0].ContentSequence.append(comment)
    group[0].ContentSequence.extend(_remarks(finding, _CONTAINS))
    return group


def _evaluations(report: Report) -> Iterable[ContentItem]:
    """TID 1500 rows 12 to 14: all that has no place in an image."""
    found = bool(report.withheld) or any(
        finding.presence is not Presence.ABSENT and (finding.name not in TERMS or TERMS[finding.name].kind != "structure")
        for finding in report.findings
    )
    summary = CodeContentItem(
        codes.DCM.CADProcessingAndFindingsSummary,
        codes.DCM.AllAlgorithmsSucceededWithFindings if found else codes.DCM.AllAlgorithmsSucceededWithoutFindings,
        _CONTAINS,
    )
    summary.ContentSequence = ContentSequence(_algorithm(report.model))
    yield summary
    for number, finding in enumerate(report.findings, 1):
        if not finding.regions:
            yield _statement(finding, tracking_identifier(number))
    if report.impression:
        yield TextContentItem(codes.DCM.Impression, report.impression, _CONTAINS)
    for sentence in report.withheld:
        yield TextContentItem(codes.DCM.RejectedForQualityReasons, sentence, _CONTAINS)


def _statement(finding: Finding, identifier: str) -> CodeContentItem:
    """A sentence without a place: ``Pneumothorax = Absent`` with the sentence as its property."""
    term = TERMS.get(finding.name)
    statement = CodeContentItem(to_dicom(term.code) if term else PRESENCE, PRESENCE_CODES[finding.presence], _CONTAINS)
    statement.ContentSequence = ContentSequence(
        [
            *_sites(finding),
            TextContentItem(codes.DCM.TrackingIdentifier, identifier, _PROPERTY),
            _sentence(finding, _PROPERTY),
            *_remarks(finding, _PROPERTY),
        ]
    )
    return statement


def _sites(finding: Finding) -> list[FindingSite]:
    term = TERMS.get(finding.name)
    if term is None:
        return []
    return [FindingSite(to_dicom(term.site or term.code), to_dicom(SIDE_CODES[finding.side]) if finding.side else None)]


def _sentence(finding: Finding, relation: RelationshipTypeValues) -> TextContentItem:
    """The sentence as a Comment, which OHIF shows as the label, with the model's certainty (0 to 1) as its property."""
    comment = TextContentItem(codes.DCM.Comment, finding.sentence, relation)
    certainty = NumContentItem(codes.DCM.CertaintyOfFinding, float(finding.confidence), codes.UCUM.NoUnits, relationship_type=_PROPERTY)
    comment.ContentSequence = ContentSequence([certainty])
    return comment


def _remarks(finding: Finding, relation: RelationshipTypeValues) -> list[ContentItem]:
    """The flags, and the side of a sentence that has no term and so no site to carry it."""
    remarks: list[ContentItem] = [TextContentItem(codes.DCM.StatementModifier, flag, relation) for flag in finding.flags]
    if finding.side and finding.name not in TERMS:
        remarks.append(CodeContentItem(LATERALITY, to_dicom(SIDE_CODES[finding.side]), relation))
    return remarks


def _algorithm(model: ModelIdentity) -> AlgorithmIdentification:
    """TID 4019."""
    parameters = [WEIGHTS_PARAMETER + model.weights_hash]
    if model.configuration:
        parameters.append(CONFIGURATION_PARAMETER + model.configuration)
    return AlgorithmIdentification(
        name=model.name, version=model.version, parameters=parameters, family=codes.DCM.ArtificialIntelligence, manufacturer=MANUFACTURER
    )


def key_slice(region: Region) -> int:
    """Return the slice with most of the mask, the first of equals; the middle slice where there is no mask."""
    if region.mask is None or not region.mask.any():
        return (region.box.start[0] + region.box.stop[0]) // 2
    return region.box.start[0] + int(np.argmax(region.mask.sum(axis=(1, 2))))


def _extent(study: Study, region: Region) -> tuple[str, str]:
    """SOP Instance UIDs of the region's first and last slice."""
    uids = study.find_series(region.series_uid).instance_uids
    return uids[region.box.start[0]], uids[region.box.stop[0] - 1]


def _read(study: Study, region: Region) -> list[str]:
    """SOP Instance UIDs of the slices that the model read, where it inferred others."""
    uids = study.find_series(region.series_uid).instance_uids
    return [uids[index] for index in region.read_slices]


def _rectangle(region: Region) -> NDArray[np.float64]:
    """The box as closed polyline of column\\row pairs; 0\\0 is the first pixel's corner (PS3.3 C.18.6.1.1), so edges stay as they are."""
    _, top, left = region.box.start
    _, bottom, right = region.box.stop
    return np.asarray([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]], float)


def _container(name: Code, items: Iterable[ContentItem]) -> ContainerContentItem:
    container = ContainerContentItem(name, relationship_type=_CONTAINS)
    container.ContentSequence = ContentSequence(items)
    return container
