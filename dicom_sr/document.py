"""What all our Structured Reports share: who observed what on which images, references to images, and the state of the document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from highdicom.sr import (
    AlgorithmIdentification,
    CodeContentItem,
    Comprehensive3DSR,
    ComprehensiveSR,
    ContainerContentItem,
    ContentItem,
    ContentSequence,
    DeviceObserverIdentifyingAttributes,
    FindingSite,
    ImageContentItem,
    LanguageOfContentItemAndDescendants,
    ObservationContext,
    ObserverContext,
    PersonObserverIdentifyingAttributes,
    RelationshipTypeValues,
    TextContentItem,
)
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ComprehensiveSRStorage
from pydicom.valuerep import DT

from dicom_sr.codes import LOCAL_SCHEME, MODALITY_CODES, find_schemes, to_dicom
from dicom_sr.identity import MANUFACTURER, Maker, at_source, device_uid, without_identity
from dicom_sr.kinds import Kind
from radiology.finding import Finding
from radiology.frame import Frame
from radiology.judgement import Judged, Judgement, Observer, Rejection
from radiology.report import ModelIdentity, Report
from radiology.study import Series, Study
from radiology.terms import SIDE_CODES, TERMS

CONTAINS = RelationshipTypeValues.CONTAINS
PROPERTY = RelationshipTypeValues.HAS_PROPERTIES
CONTEXT = RelationshipTypeValues.HAS_OBS_CONTEXT
WEIGHTS_PARAMETER = "weights SHA-256: "
CONFIGURATION_PARAMETER = "configuration: "


def build(kind: Kind, title: Code, items: Iterable[ContentItem], study: Study, maker: Maker, others: Iterable[Dataset] = ()) -> Dataset:
    """Return a document.

    Args:
        kind: what it is; decides series, template and SOP class.
        title: concept name of its root.
        items: what the root contains behind language, observer and procedure.
        study: the images that may be referred to, and its priors.
        maker: who makes it.
        others: further objects that it refers to.
    """
    root = ContainerContentItem(name=title, template_id=kind.template)
    root.ContentSequence = ContentSequence([*_context(maker.report.model), *items])
    referenced = {str(each.ReferencedSOPInstanceUID) for each in _references(root)}
    candidates = [*(header for series in _all_series(study) for header in series.instances), *others]
    evidence = [each for each in candidates if str(each.SOPInstanceUID) in (referenced or maker.report.instance_uids)]
    decision, predecessors = maker.decision, maker.predecessors(kind)
    is_signed = decision is not None and decision.is_signed
    is_3d = maker.settings.comprehensive_3d and kind.sop_classes[0] != ComprehensiveSRStorage
    document: Dataset = (Comprehensive3DSR if is_3d else ComprehensiveSR)(
        evidence=[without_identity(evidence[0]), *evidence[1:]],
        content=root,
        is_complete=not maker.report.failures,
        is_final=is_signed,
        is_verified=is_signed,
        verifying_observer_name=decision.observer.name if decision else None,
        verifying_organization=decision.observer.organization if decision else None,
        previous_versions=predecessors or None,
        coding_schemes=[LOCAL_SCHEME] if LOCAL_SCHEME.CodingSchemeDesignator in find_schemes(root) else None,
        **maker.attributes(kind.name, kind.series_number, kind.description),
    )
    maker.stamp(document)
    if maker.report.failures:
        document.CompletionFlagDescription = maker.report.failures[0][:64].replace("\\", "/")
    if predecessors:
        _say_why(document, {str(each.SOPInstanceUID): each for each in predecessors})
    if decision is not None and is_signed:
        (item,) = document.VerifyingObserverSequence
        item.VerificationDateTime = DT(at_source(decision.moment, maker.source))
        item.VerifyingObserverIdentificationCodeSequence = _identification(decision.observer)
    return document


def _context(model: ModelIdentity) -> Iterator[ContentItem]:
    """Language, the model as observing device (TID 1004), and the procedure whose images were read."""
    yield from LanguageOfContentItemAndDescendants(Code("en", "RFC5646", "English"))
    device = DeviceObserverIdentifyingAttributes(
        uid=device_uid(model), name=model.name, manufacturer_name=MANUFACTURER, model_name=model.name, serial_number=model.weights_hash
    )
    observer = ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    yield from ObservationContext(observer_device_context=observer)
    # CID 100; the specific code of the study stays in the study. It never names the algorithm.
    yield CodeContentItem(codes.DCM.ProcedureReported, codes.SCT.ImagingProcedure, RelationshipTypeValues.HAS_CONCEPT_MOD)


def _references(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence", []):
        yield from child.get("ReferencedSOPSequence", [])
        yield from _references(child)


def _all_series(study: Study) -> Iterator[Series]:
    yield from study.series
    for prior in study.priors:
        yield from prior.series


def _say_why(document: Dataset, predecessors: dict[str, Dataset]) -> None:
    """Purpose of reference to each predecessor (CID 7009): a preliminary report made final, or a report replaced."""
    for study in document.PredecessorDocumentsSequence:
        for series in study.ReferencedSeriesSequence:
            for reference in series.ReferencedSOPSequence:
                before = predecessors[str(reference.ReferencedSOPInstanceUID)]
                is_made_final = before.get("PreliminaryFlag") == "PRELIMINARY" and document.PreliminaryFlag == "FINAL"
                purpose = codes.cid7009.PreliminaryReport if is_made_final else codes.cid7009.ReplacedReport
                reference.PurposeOfReferenceCodeSequence = [to_item(purpose)]


def _identification(observer: Observer) -> list[Dataset]:
    return [to_item(Code(observer.login, "99LOCAL", observer.name[:64]))] if observer.login else []


def to_item(code: Code) -> Dataset:
    """Return a code as an item of a code sequence (PS3.3 8.8)."""
    item = Dataset()
    setattr(item, "CodeValue" if len(code.value) <= 16 else "LongCodeValue", code.value)
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def image_library(study: Study, report: Report) -> ContainerContentItem:
    """TID 1600, one group per series; descriptors of single images are left to the images."""
    given = set(report.instance_uids)
    groups = []
    for series in _all_series(study):
        images: list[ContentItem] = [
            ImageContentItem(codes.SCT.Source, str(header.SOPClassUID), str(header.SOPInstanceUID), relationship_type=CONTAINS)
            for header in series.instances
            if str(header.SOPInstanceUID) in given
        ]
        modality = MODALITY_CODES.get(series.modality)
        if images and modality is not None:
            images.insert(0, CodeContentItem(codes.DCM.Modality, modality, RelationshipTypeValues.HAS_ACQ_CONTEXT))
        if images:
            groups.append(container(codes.DCM.ImageLibraryGroup, images))
    return container(codes.DCM.ImageLibrary, groups)


def container(name: Code, items: Iterable[ContentItem]) -> ContainerContentItem:
    """Return a container that its parent contains."""
    made = ContainerContentItem(name, relationship_type=CONTAINS)
    made.ContentSequence = ContentSequence(items)
    return made


def image(name: Code, frame: Frame) -> ImageContentItem:
    """Return a reference to one slice, as a property of what it stands below."""
    numbers = [frame.number] if frame.number else None
    return ImageContentItem(name, str(frame.header.SOPClassUID), frame.uid, referenced_frame_numbers=numbers, relationship_type=PROPERTY)


def sites(finding: Finding) -> list[FindingSite]:
    """Return the Finding Site with its side; none for a sentence without a term."""
    term = TERMS.get(finding.name)
    if term is None:
        return []
    return [FindingSite(to_dicom(term.site or term.code), to_dicom(SIDE_CODES[finding.side]) if finding.side else None)]


def algorithm(model: ModelIdentity) -> AlgorithmIdentification:
    """TID 4019."""
    parameters = [WEIGHTS_PARAMETER + model.weights_hash]
    if model.configuration:
        parameters.append(CONFIGURATION_PARAMETER + model.configuration)
    return AlgorithmIdentification(
        name=model.name, version=model.version, parameters=parameters, family=codes.DCM.ArtificialIntelligence, manufacturer=MANUFACTURER
    )


def algorithm_of(finding: Finding, model: ModelIdentity) -> AlgorithmIdentification | None:
    """TID 4019 for a finding; none for what a radiologist added, which is no algorithm's."""
    return None if finding.judgement is Judgement.ADDED else algorithm(model)


def decision(name: Code, text: str, by: Judged | Rejection, relation: RelationshipTypeValues) -> TextContentItem:
    """Return what a radiologist decided, with the person as observer (TID 1003) and the moment of the decision (PS3.3 C.17.3)."""
    item = TextContentItem(name, text, relation)
    item.ContentSequence = ContentSequence(person(by.observer))
    item.ObservationDateTime = DT(by.moment)
    return item


def person(observer: Observer) -> ObserverContext:
    """TID 1002 for a person."""
    attributes = PersonObserverIdentifyingAttributes(
        name=observer.name, login_name=observer.login or None, organization_name=observer.organization
    )
    return ObserverContext(observer_type=codes.DCM.Person, observer_identifying_attributes=attributes)
