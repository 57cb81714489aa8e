"""DICOM objects back to the report: one version of one reading."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.codedict import codes

from dicom_sr.codes import (
    FAILED,
    LATERALITY,
    PRESENCE,
    QUALITATIVE_EVALUATIONS,
    VERDICT,
    find_presence,
    find_side,
    find_term,
)
from dicom_sr.content import child, children, contained, image_uid, moment, number, observer, slice_of, texts
from dicom_sr.document import CONFIGURATION_PARAMETER, WEIGHTS_PARAMETER
from dicom_sr.identity import from_percent, kind_of, own_equipment
from dicom_sr.kinds import FAILURE, MEASUREMENTS, SEGMENTATION
from dicom_sr.measurements import with_measurements
from radiology.finding import Box, Finding, Presence, Region
from radiology.frame import Frame
from radiology.judgement import Judged, Judgement, Reason, Rejection
from radiology.report import ModelIdentity, Report
from radiology.study import Series, Study

_IDENTIFIER = re.compile(r"Finding (\d+)(?:, place (\d+))?")


def read_report(document: Dataset, others: Sequence[Dataset], study: Study) -> Report:
    """Read one version back.

    Args:
        document: its findings, or the failure.
        others: its other objects: Segmentations and measurements.
        study: the study that it is about; headers suffice.

    Raises:
        StudyError, or one of :data:`dicom_sr.readings.DAMAGE`: whatever a damaged object may lack.
    """
    evaluations = child(document, QUALITATIVE_EVALUATIONS)
    masks = _Masks([other for other in others if kind_of(other) is SEGMENTATION])
    report = Report(
        study_uid=study.study_uid,
        findings=_findings(document, study, masks),
        impression=next(iter(texts(evaluations, codes.DCM.Impression)), ""),
        model=_model(child(evaluations, codes.DCM.CADProcessingAndFindingsSummary)),
        started=moment(own_equipment(document).ContributionDateTime),
        instance_uids=tuple(
            sorted(
                image_uid(image)
                for group in contained(document, codes.DCM.ImageLibrary)
                for image in group.ContentSequence
                if image.ValueType == "IMAGE"
            )
        ),
        withheld=texts(evaluations, codes.DCM.RejectedForQualityReasons),
        failures=texts(evaluations, FAILED),
        is_read=kind_of(document) is not FAILURE,
        rejected=tuple(_rejection(item) for item in children(evaluations, codes.DCM.RejectedForPatientSafetyReasons)),
    )
    for sizes in (other for other in others if kind_of(other) is MEASUREMENTS):
        findings = [
            replace(finding, regions=tuple(with_measurements(region, sizes, study) for region in finding.regions))
            for finding in report.findings
        ]
        report = replace(report, findings=tuple(findings))
    return report


def _model(summary: Dataset) -> ModelIdentity:
    parameters = texts(summary, codes.DCM.AlgorithmParameters)
    return ModelIdentity(
        name=str(child(summary, codes.DCM.AlgorithmName).TextValue),
        version=str(child(summary, codes.DCM.AlgorithmVersion).TextValue),
        weights_hash=next(text.removeprefix(WEIGHTS_PARAMETER) for text in parameters if text.startswith(WEIGHTS_PARAMETER)),
        configuration=next(
            (text.removeprefix(CONFIGURATION_PARAMETER) for text in parameters if text.startswith(CONFIGURATION_PARAMETER)), ""
        ),
    )


def _findings(document: Dataset, study: Study, masks: _Masks) -> tuple[Finding, ...]:
    """Sentences in the order of their numbers; groups with the same number are places of one sentence."""
    sentences: dict[int, Finding] = {}
    regions: dict[int, dict[int, Region]] = defaultdict(dict)
    for item in [*contained(document, codes.DCM.ImagingMeasurements), *contained(document, QUALITATIVE_EVALUATIONS)]:
        sentence, place = _numbers(item)
        if not sentence or not children(item, codes.DCM.Comment):
            continue
        sentences[sentence] = _sentence(item, sentence)
        if place:
            regions[sentence][place] = _region(item, study, masks)
    return tuple(
        replace(sentences[number], regions=tuple(regions[number][place] for place in sorted(regions[number])))
        for number in sorted(sentences)
    )


def _numbers(item: Dataset) -> tuple[int, int]:
    """Number of the sentence and of its place; 0 where there is none."""
    found = _IDENTIFIER.fullmatch(next(iter(texts(item, codes.DCM.TrackingIdentifier)), ""))
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def _sentence(item: Dataset, number_: int) -> Finding:
    """The finding of a TID 1410 group, or of a coded statement without a place; its regions are left out."""
    comment = child(item, codes.DCM.Comment)
    sides = [
        *children(item, LATERALITY),
        *(side for site in children(item, codes.SCT.FindingSite) for side in children(site, LATERALITY)),
    ]
    name, presence = _statement(item)
    return Finding(
        name=name,
        sentence=str(comment.TextValue),
        presence=presence,
        side=next((find_side(side.ConceptCodeSequence[0]) for side in sides), None),
        confidence=from_percent(number(comment, codes.DCM.CertaintyOfFinding)),
        flags=texts(item, codes.DCM.StatementModifier),
        number=number_,
        judged=next((_judged(verdict) for verdict in children(comment, VERDICT)), None),
    )


def _statement(item: Dataset) -> tuple[str, Presence]:
    """What is stated of which term: ``Finding`` with its presence, or an evaluation that is named by the term itself."""
    for evaluation in (item, *item.ContentSequence):
        if "ConceptCodeSequence" in evaluation and (presence := find_presence(evaluation.ConceptCodeSequence[0])):
            named = [found.ConceptCodeSequence[0] for found in children(item, codes.DCM.Finding)] or [evaluation.ConceptNameCodeSequence[0]]
            term = find_term(named[0])
            return (term.name if term else ""), presence
    raise KeyError(f"no content item '{PRESENCE.meaning}'")


def _judged(item: Dataset) -> Judged:
    return Judged(Judgement(item.TextValue), observer(item), moment(item.ObservationDateTime))


def _rejection(item: Dataset) -> Rejection:
    return Rejection(_numbers(item)[0], Reason(item.TextValue), observer(item), moment(item.ObservationDateTime))


def _region(group: Dataset, study: Study, masks: _Masks) -> Region:
    outline = child(group, codes.DCM.ImageRegion)
    comment = child(group, codes.DCM.Comment)
    series = next(series for series in study.series if image_uid(outline.ContentSequence[0]) in series.instance_uids)
    key = slice_of(outline.ContentSequence[0], series)
    extent = [slice_of(image, series) for image in children(comment, codes.DCM.SourceOfMeasurement)] or [key, key]
    corners = np.rint(np.reshape(np.asarray(outline.GraphicData, float), (-1, 2))).astype(int)
    left, top = corners.min(axis=0).tolist()
    right, bottom = corners.max(axis=0).tolist()
    box = Box((extent[0], top, left), (extent[-1] + 1, bottom, right))
    tracking_uid = str(child(group, codes.DCM.TrackingUniqueIdentifier).UID)
    return Region(
        series_uid=series.series_uid,
        box=box,
        mask=masks.find(tracking_uid, series, box),
        score=from_percent(number(comment, codes.DCM.CertaintyOfFeature)),
        tracking_uid=tracking_uid,
        read_slices=tuple(slice_of(image, series) for image in children(comment, codes.DCM.KeyImages)),
    )


class _Masks:
    """The segments of our Segmentations, found by Tracking UID."""

    def __init__(self, segmentations: Sequence[Dataset]) -> None:
        self._segments: dict[str, tuple[hd.seg.Segmentation, int]] = {}
        for dataset in segmentations:
            segmentation = hd.seg.Segmentation.from_dataset(dataset)
            for segment in segmentation.SegmentSequence:
                if "TrackingUID" in segment:  # the background of a label map has none
                    self._segments[str(segment.TrackingUID)] = (segmentation, int(segment.SegmentNumber))

    def find(self, tracking_uid: str, series: Series, box: Box) -> NDArray[np.bool_] | None:
        """Return the mask inside the box, boolean (slice, row, column), or None where there is none."""
        if tracking_uid not in self._segments:
            return None
        segmentation, number = self._segments[tracking_uid]
        slices, rows, columns = box.slices
        frames = series.frames[slices]
        options = {"segment_numbers": [number], "ignore_spatial_locations": True, "assert_missing_frames_are_empty": True}
        planes = [
            segmentation.get_pixels_by_source_instance([frame.uid for frame in same], **options)
            if same[0].number is None
            else segmentation.get_pixels_by_source_frame(uid, [frame.number for frame in same], **options)
            for uid, same in _of_one_instance(frames)
        ]
        return np.ascontiguousarray(np.concatenate(planes)[:, rows, columns, 0].astype(bool))


def _of_one_instance(frames: Sequence[Frame]) -> list[tuple[str, list[Frame]]]:
    """Group consecutive frames that can be asked for together: single-frame images, or the frames of one instance."""
    groups = groupby(frames, key=lambda frame: frame.uid if frame.number else "")
    return [(uid, list(same)) for uid, same in groups]
