"""DICOM objects back to the report."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import Comprehensive3DSRStorage, SegmentationStorage
from pydicom.valuerep import DT

from dicom_sr.codes import (
    LATERALITY,
    PRESENCE,
    QUALITATIVE_EVALUATIONS,
    find_presence,
    find_side,
    find_term,
    means,
)
from dicom_sr.identity import MANUFACTURER, is_ours
from dicom_sr.sr import CONFIGURATION_PARAMETER, WEIGHTS_PARAMETER
from radiology.errors import StudyError
from radiology.finding import Box, Finding, Region
from radiology.report import ModelIdentity, Report
from radiology.study import Study

_IDENTIFIER = re.compile(r"Finding (\d+)(?:, place (\d+))?")


def read(instances: Sequence[Dataset], study: Study) -> Report:
    """Read our own report back.

    Args:
        instances: SR and SEG of the study, as ``write`` made them; other objects are passed over. Of several reports the
            newest by the start of the reading is taken.
        study: the study they are about; headers suffice.

    Returns:
        The report; equal to ``with_tracking_uids(report)`` of the report that was written.

    Raises:
        StudyError: none of the instances is a report of ours, or it does not fit the study.
    """
    ours = [instance for instance in instances if is_ours(instance) and str(instance.StudyInstanceUID) == study.study_uid]
    reports = [instance for instance in ours if instance.SOPClassUID == Comprehensive3DSRStorage]
    if not reports:
        raise StudyError(f"Study {study.study_uid} has no report of ours; send the study again to have it read.")
    try:
        document = max(reports, key=_started)
        masks = _Masks([instance for instance in ours if instance.SOPClassUID == SegmentationStorage])
        return _report(document, study, masks)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:  # whatever a damaged object may lack
        raise StudyError(f"The report on study {study.study_uid} in the archive is damaged ({error}); read the study again.") from error


def _report(document: Dataset, study: Study, masks: _Masks) -> Report:
    evaluations = _child(document, QUALITATIVE_EVALUATIONS)
    return Report(
        study_uid=study.study_uid,
        findings=_findings(document, study, masks),
        impression=next((str(item.TextValue) for item in _children(evaluations, codes.DCM.Impression)), ""),
        model=_model(_child(evaluations, codes.DCM.CADProcessingAndFindingsSummary)),
        started=_started(document),
        instance_uids=tuple(
            sorted(
                _image_uid(image)
                for group in _children(_child(document, codes.DCM.ImageLibrary), codes.DCM.ImageLibraryGroup)
                for image in group.ContentSequence
                if image.ValueType == "IMAGE"
            )
        ),
        withheld=tuple(str(item.TextValue) for item in _children(evaluations, codes.DCM.RejectedForQualityReasons)),
    )


def _started(document: Dataset) -> datetime:
    """The start of the reading with its time zone, which the item for our own equipment keeps."""
    item = next(item for item in document.ContributingEquipmentSequence if item.get("Manufacturer") == MANUFACTURER)
    moment = DT(item.ContributionDateTime)
    return datetime.combine(moment.date(), moment.timetz())


def _model(summary: Dataset) -> ModelIdentity:
    parameters = [str(item.TextValue) for item in _children(summary, codes.DCM.AlgorithmParameters)]
    return ModelIdentity(
        name=str(_child(summary, codes.DCM.AlgorithmName).TextValue),
        version=str(_child(summary, codes.DCM.AlgorithmVersion).TextValue),
        weights_hash=next(text.removeprefix(WEIGHTS_PARAMETER) for text in parameters if text.startswith(WEIGHTS_PARAMETER)),
        configuration=next(
            (text.removeprefix(CONFIGURATION_PARAMETER) for text in parameters if text.startswith(CONFIGURATION_PARAMETER)), ""
        ),
    )


def _findings(document: Dataset, study: Study, masks: _Masks) -> tuple[Finding, ...]:
    """Sentences in the order of their numbers; groups with the same number are places of one sentence."""
    sentences: dict[int, Finding] = {}
    regions: dict[int, dict[int, Region]] = defaultdict(dict)
    for item in [*_containers(document, codes.DCM.ImagingMeasurements), *_containers(document, QUALITATIVE_EVALUATIONS)]:
        identifier = next((str(child.TextValue) for child in _children(item, codes.DCM.TrackingIdentifier)), "")
        numbers = _IDENTIFIER.fullmatch(identifier)
        if numbers is None:
            continue
        sentences[int(numbers[1])] = _sentence(item)
        if numbers[2]:
            regions[int(numbers[1])][int(numbers[2])] = _region(item, study, masks)
    return tuple(
        replace(sentences[number], regions=tuple(regions[number][place] for place in sorted(regions[number])))
        for number in sorted(sentences)
    )


def _sentence(item: Dataset) -> Finding:
    """The finding of a TID 1410 group, or of a coded statement without a place; its regions are left out."""
    comment = _child(item, codes.DCM.Comment)
    stated = [child.ConceptCodeSequence[0] for child in _children(item, codes.DCM.Finding)] or [item.ConceptNameCodeSequence[0]]
    term = find_term(stated[0])
    values = [item, *_children(item, PRESENCE)]
    sides = [
        *_children(item, LATERALITY),
        *(side for site in _children(item, codes.SCT.FindingSite) for side in _children(site, LATERALITY)),
    ]
    return Finding(
        name=term.name if term else "",
        sentence=str(comment.TextValue),
        presence=next(find_presence(value.ConceptCodeSequence[0]) for value in values if "ConceptCodeSequence" in value),
        side=next((find_side(side.ConceptCodeSequence[0]) for side in sides), None),
        confidence=_number(comment, codes.DCM.CertaintyOfFinding),
        flags=tuple(str(child.TextValue) for child in _children(item, codes.DCM.StatementModifier)),
    )


def _region(group: Dataset, study: Study, masks: _Masks) -> Region:
    outline = _child(group, codes.DCM.ImageRegion)
    comment = _child(group, codes.DCM.Comment)
    key_uid = _image_uid(outline.ContentSequence[0])
    series = next(series for series in study.series if key_uid in series.instance_uids)
    extent = [_image_uid(image) for image in _children(comment, codes.DCM.SourceOfMeasurement)] or [key_uid, key_uid]
    first, last = (series.instance_uids.index(uid) for uid in extent)
    corners = np.rint(np.reshape(np.asarray(outline.GraphicData, float), (-1, 2))).astype(int)
    left, top = corners.min(axis=0).tolist()
    right, bottom = corners.max(axis=0).tolist()
    box = Box((first, top, left), (last + 1, bottom, right))
    tracking_uid = str(_child(group, codes.DCM.TrackingUniqueIdentifier).UID)
    mask = masks.find(tracking_uid, series.instance_uids[first : last + 1])
    return Region(
        series_uid=series.series_uid,
        box=box,
        mask=None if mask is None else np.ascontiguousarray(mask[:, top:bottom, left:right]),
        score=_number(comment, codes.DCM.CertaintyOfFeature),
        tracking_uid=tracking_uid,
        read_slices=tuple(series.instance_uids.index(_image_uid(image)) for image in _children(comment, codes.DCM.KeyImages)),
    )


class _Masks:
    """The segments of our Segmentations, found by Tracking UID."""

    def __init__(self, segmentations: Sequence[Dataset]) -> None:
        self._segments: dict[str, tuple[hd.seg.Segmentation, int]] = {}
        for dataset in segmentations:
            segmentation = hd.seg.Segmentation.from_dataset(dataset)
            for segment in segmentation.SegmentSequence:
                self._segments[str(segment.TrackingUID)] = (segmentation, int(segment.SegmentNumber))

    def find(self, tracking_uid: str, image_uids: Sequence[str]) -> NDArray[np.bool_] | None:
        """Return the mask on these images, boolean (slice, row, column), or None where there is none."""
        if tracking_uid not in self._segments:
            return None
        segmentation, number = self._segments[tracking_uid]
        frames = segmentation.get_pixels_by_source_instance(
            list(image_uids), segment_numbers=[number], ignore_spatial_locations=True, assert_missing_frames_are_empty=True
        )
        return np.asarray(frames[..., 0], bool)


def _children(item: Dataset, name: Code) -> list[Dataset]:
    """Content items directly below ``item`` with this concept name."""
    return [child for child in item.get("ContentSequence", []) if means(child.ConceptNameCodeSequence[0], name)]


def _child(item: Dataset, name: Code) -> Dataset:
    """The first of them; ``KeyError`` where there is none."""
    for child in _children(item, name):
        return child
    raise KeyError(f"no content item '{name.meaning}'")


def _containers(document: Dataset, name: Code) -> Iterator[Dataset]:
    """Items inside the container of this name."""
    for container in _children(document, name):
        yield from container.get("ContentSequence", [])


def _number(item: Dataset, name: Code) -> float:
    return float(_child(item, name).MeasuredValueSequence[0].FloatingPointValue)


def _image_uid(item: Dataset) -> str:
    return str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
