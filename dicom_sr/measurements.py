"""SR-C, the measurements: TID 1500 with one TID 1411 group per measured segment, apart from the findings for OHIF's sake.

    Measurement Report
      Image Library
      Imaging Measurements     per region: its Tracking UID, the segment that was measured, area or volume, axes with their lines,
                               and the certainty of the finding in percent

OHIF drops every box of a document that has a group without a region on an image; here nothing of the findings is lost by it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from highdicom.sr import (
    ContentItem,
    ContentSequence,
    GraphicTypeValues,
    ReferencedSegment,
    RelationshipTypeValues,
    ScoordContentItem,
    SourceImageForSegmentation,
    TrackingIdentifier,
    VolumetricROIMeasurementsAndQualitativeEvaluations,
)
from highdicom.sr import Measurement as MeasurementItem
from pydicom import Dataset
from pydicom.sr.codedict import codes

from dicom_sr.codes import QUANTITY_CODES, UNIT_CODES, means, to_dicom
from dicom_sr.content import child, children, contained, slice_of, value
from dicom_sr.document import algorithm, build, container, image_library, sites
from dicom_sr.findings import source_image
from dicom_sr.identity import Maker, to_percent, tracking_identifier
from dicom_sr.kinds import MEASUREMENTS
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
                series = study.find_series(region.series_uid)
                identifier = tracking_identifier(finding.number, place)
                yield from _group(series, report, finding, region, identifier, *segments[region.tracking_uid])


def _group(
    series: Series, report: Report, finding: Finding, region: Region, identifier: str, segmentation: Dataset, segment: int
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    term = TERMS.get(finding.name)
    sources = {frame.uid: frame for frame in series.frames[region.box.slices[0]]}
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=region.tracking_uid, identifier=identifier),
        referenced_segment=ReferencedSegment(
            str(segmentation.SOPClassUID),
            str(segmentation.SOPInstanceUID),
            segment,
            source_images=[SourceImageForSegmentation(str(frame.header.SOPClassUID), uid) for uid, frame in sources.items()],
        ),
        finding_type=to_dicom(term.code) if term else None,
        finding_sites=sites(finding),
        algorithm_id=algorithm(report.model),
        measurements=[
            *(_item(measurement, series.frames) for measurement in region.measurements),
            MeasurementItem(codes.DCM.CertaintyOfFinding, to_percent(finding.confidence), codes.UCUM.Percent),
        ],
    )


def _item(measurement: Measurement, frames: Sequence[Frame]) -> MeasurementItem:
    """TID 300, inferred from the lines (TID 320)."""
    unit = UNIT_CODES[UNITS[measurement.quantity]]
    item = MeasurementItem(QUANTITY_CODES[measurement.quantity], float(measurement.value), unit)
    if measurement.lines:
        item[0].ContentSequence = ContentSequence([_line(line, frames) for line in measurement.lines])
    return item


def _line(line: Line, frames: Sequence[Frame]) -> ScoordContentItem:
    """A line on one image; 0\\0 is the outer corner of the first pixel in both ways to count (PS3.3 C.18.6.1.1)."""
    points = np.asarray([[column, row] for _, row, column in line], float)
    item = ScoordContentItem(codes.SCT.Source, GraphicTypeValues.POLYLINE, points, relationship_type=RelationshipTypeValues.INFERRED_FROM)
    item.ContentSequence = ContentSequence([source_image(frames[int(line[0][0])])])
    return item


def read_measurements(document: Dataset, study: Study) -> dict[str, tuple[Measurement, ...]]:
    """Return the measurements by Tracking UID."""
    return {
        str(child(group, codes.DCM.TrackingUniqueIdentifier).UID): tuple(_measurements(group, study))
        for group in contained(document, codes.DCM.ImagingMeasurements)
    }


def _measurements(group: Dataset, study: Study) -> Iterator[Measurement]:
    uid = str(children(group, codes.DCM.SourceImageForSegmentation)[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
    series = next(series for series in study.series if uid in series.instance_uids)
    for item in group.ContentSequence:
        for quantity, code in QUANTITY_CODES.items():
            if item.ValueType == "NUM" and means(item.ConceptNameCodeSequence[0], code):
                lines = tuple(_read_line(line, series) for line in item.get("ContentSequence", []))
                yield Measurement(quantity, value(item), lines)


def _read_line(item: Dataset, series: Series) -> Line:
    index = float(slice_of(item.ContentSequence[0], series))
    left, top, right, bottom = (float(each) for each in item.GraphicData)
    return (index, top, left), (index, bottom, right)
