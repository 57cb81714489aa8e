"""SR-C, the measurements: TID 1500 with one TID 1411 group per measured region, apart from the findings for OHIF's sake.

    Measurement Report
      Image Library
      Imaging Measurements     per region: its Tracking UID, the segment that was measured, area or volume, the axes and the
                               cardiothoracic ratio with their lines, and the certainty of the finding in percent

OHIF drops every box of a document that has a group without a region on an image; here nothing of the findings is lost by it.
Lines are more than TID 1411 asks for, as a measurement of TID 1501 has them; but groups of both templates in one document are
taken for errors by PixelMed's validator, which judges all by the template of the first.
A label map is no segmentation yet to dicom3tools and DCMTK, which refuse a reference to its segments. Beside one all groups are
of TID 1501, which needs none, and the Tracking UID alone leads to the segment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from highdicom.sr import (
    ContentItem,
    ContentSequence,
    CoordinatesForMeasurement,
    GraphicTypeValues,
    MeasurementsAndQualitativeEvaluations,
    ReferencedSegment,
    SourceImageForMeasurementGroup,
    SourceImageForSegmentation,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from highdicom.sr import Measurement as MeasurementItem
from pydicom import Dataset
from pydicom.sr.codedict import codes

from dicom_sr.codes import QUANTITY_CODES, UNIT_CODES, means, to_dicom
from dicom_sr.content import child, contained, slice_of, value
from dicom_sr.document import algorithm_of, build, container, image_library, sites
from dicom_sr.findings import source_image
from dicom_sr.identity import Maker, to_percent, tracking_identifier
from dicom_sr.kinds import LABEL_MAP_SEGMENTATION_STORAGE, MEASUREMENTS
from radiology.finding import Finding, Region
from radiology.frame import Frame
from radiology.measurement import UNITS, Line, Measurement
from radiology.report import Report
from radiology.study import Series, Study
from radiology.terms import TERMS


def build_measurements(study: Study, maker: Maker, segmentations: Sequence[Dataset]) -> list[Dataset]:
    """Return the document on the segments of these Segmentations; none where nothing was measured."""
    groups = list(_groups(study, maker.report, segmentations))
    if not groups:
        return []
    items = [image_library(study, maker.report), container(codes.DCM.ImagingMeasurements, groups)]
    return [build(MEASUREMENTS, codes.DCM.ImagingMeasurementReport, items, study, maker, segmentations)]


def _groups(study: Study, report: Report, segmentations: Sequence[Dataset]) -> Iterator[ContentItem]:
    segments = {
        str(segment.TrackingUID): (segmentation, int(segment.SegmentNumber))
        for segmentation in segmentations
        for segment in segmentation.SegmentSequence
        if "TrackingUID" in segment
    }
    for finding in report.findings:
        for place, region in enumerate(finding.regions, 1):
            if region.measurements and region.tracking_uid in segments:
                frames = study.find_series(region.series_uid).frames
                yield _group(report, finding, region, place, segments[region.tracking_uid], frames)


def _group(report: Report, finding: Finding, region: Region, place: int, segment: tuple[Dataset, int], frames: Sequence[Frame]) -> Dataset:
    term = TERMS.get(finding.name)
    certainty = MeasurementItem(codes.DCM.CertaintyOfFinding, to_percent(finding.confidence), codes.UCUM.Percent)
    items = {
        "tracking_identifier": TrackingIdentifier(uid=region.tracking_uid, identifier=tracking_identifier(finding.number, place)),
        "finding_type": to_dicom(term.code) if term else None,
        "finding_sites": sites(finding),
        "algorithm_id": algorithm_of(finding, report.model),
        "measurements": [*(_item(measurement) for measurement in region.measurements), certainty],
    }
    marked = {frame.uid: str(frame.header.SOPClassUID) for frame in frames[region.box.slices[0]]}
    segmentation, number = segment
    if segmentation.SOPClassUID == LABEL_MAP_SEGMENTATION_STORAGE:
        images = [SourceImageForMeasurementGroup(sop_class, uid) for uid, sop_class in marked.items()]
        group = MeasurementsAndQualitativeEvaluations(source_images=images, **items)
    else:
        sources = [SourceImageForSegmentation(sop_class, uid) for uid, sop_class in marked.items()]
        reference = ReferencedSegment(str(segmentation.SOPClassUID), str(segmentation.SOPInstanceUID), number, source_images=sources)
        group = VolumetricROIMeasurementsAndQualitativeEvaluations(referenced_segment=reference, **items)
    container: Dataset = group[0]
    numbers = [item for item in container.ContentSequence if item.ValueType == "NUM"]
    for measurement, item in zip(region.measurements, numbers, strict=False):
        if measurement.lines:
            item.ContentSequence = ContentSequence([_line(line, frames) for line in measurement.lines])
    return container


def _item(measurement: Measurement) -> MeasurementItem:
    """TID 300."""
    return MeasurementItem(QUANTITY_CODES[measurement.quantity], float(measurement.value), UNIT_CODES[UNITS[measurement.quantity]])


def _line(line: Line, frames: Sequence[Frame]) -> CoordinatesForMeasurement:
    """TID 320: a line on one image; 0\\0 is the outer corner of the first pixel in both ways to count (PS3.3 C.18.6.1.1)."""
    points = np.asarray([[column, row] for _, row, column in line], float)
    return CoordinatesForMeasurement(GraphicTypeValues.POLYLINE, points, source_image(frames[int(line[0][0])]))


def with_measurements(region: Region, document: Dataset, study: Study) -> Region:
    """Return a region with what the document says was measured on it."""
    found = [
        measurement
        for group in contained(document, codes.DCM.ImagingMeasurements)
        if str(child(group, codes.DCM.TrackingUniqueIdentifier).UID) == region.tracking_uid
        for measurement in _measurements(group, study.find_series(region.series_uid))
    ]
    return replace(region, measurements=tuple(found))


def _measurements(group: Dataset, series: Series) -> Iterator[Measurement]:
    for item in group.ContentSequence:
        for quantity, code in QUANTITY_CODES.items():
            if item.ValueType == "NUM" and means(item.ConceptNameCodeSequence[0], code):
                yield Measurement(quantity, value(item), tuple(_read_line(line, series) for line in item.get("ContentSequence", [])))


def _read_line(item: Dataset, series: Series) -> Line:
    index = float(slice_of(item.ContentSequence[0], series))
    left, top, right, bottom = (float(each) for each in item.GraphicData)
    return (index, top, left), (index, bottom, right)
