"""The Segmentation: one per cross-sectional series and one per radiograph, in the pixel matrix of its source.

It is BINARY, one bit a pixel. Where Rows x Columns is no multiple of 16, frames of bits end inside a byte (or the last in the
middle of a word), which OHIF's reader refuses or shifts and archives cannot cut into frames; there it is FRACTIONAL with a
byte a pixel and no value but 0 and 1, which says the same and is read alike.

A radiograph has no frame of reference, and without one OHIF, dcmqi and DCMTK do not open its segmentation. It gets a
plain frame of its own: a UID made from the image's UID, so that it can never be laid over another image, origin 0\\0\\0,
axes along rows and columns, and the image's own pixel spacing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import highdicom as hd
import numpy as np
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationFractionalTypeValues, SegmentationTypeValues, SegmentDescription
from pydicom import Dataset
from pydicom.sr.codedict import codes

from dicom_sr.codes import CATEGORY_CODES, to_dicom
from dicom_sr.identity import MANUFACTURER, Maker, changed, derive_uid, tracking_identifier, without_identity
from radiology.finding import Finding, Region
from radiology.image import VOLUME_MODALITIES, projection_spacing
from radiology.study import Series, Study
from radiology.terms import SIDE_CODES, TERMS

FIRST_SERIES_NUMBER = 9101
_COLOUR_WITHOUT_TERM = (200, 200, 200)


@dataclass(frozen=True)
class Source:
    """The images of one Segmentation, and what is marked in them.

    Attributes:
        series: the series of the images.
        first, stop: its slices from the first to behind the last that has a mask.
        places: Tracking Identifier, finding and region, one segment each.
    """

    series: Series
    first: int
    stop: int
    places: tuple[tuple[str, Finding, Region], ...]

    @property
    def uid(self) -> str:
        """What is segmented: the UID of the cross-sectional series, or of the one radiograph."""
        return self.series.series_uid if self.series.modality in VOLUME_MODALITIES else self.series.instance_uids[self.first]


def sources(study: Study, findings: tuple[Finding, ...]) -> Iterator[Source]:
    """Group the regions that have a mask by the Segmentation they go to; none for an empty set."""
    for series in study.series:
        places = [
            (tracking_identifier(number, place), finding, region)
            for number, finding in enumerate(findings, 1)
            for place, region in enumerate(finding.regions, 1)
            if region.series_uid == series.series_uid and region.mask is not None and region.mask.any()
        ]
        if series.modality in VOLUME_MODALITIES:
            groups = [places]
        else:
            groups = [[place for place in places if place[2].box.start[0] == index] for index in range(len(series.instances))]
        for group in groups:
            if group:
                first = min(region.box.start[0] for *_, region in group)
                stop = max(region.box.stop[0] for *_, region in group)
                yield Source(series, first, stop, tuple(group))


def build(source: Source, series_number: int, maker: Maker) -> hd.seg.Segmentation:
    """Return the Segmentation of one source; frames without any marked pixel are left out."""
    headers = source.series.instances[source.first : source.stop]
    images = [_placed(header, source.series) for header in headers]
    rows, columns = int(headers[0].Rows), int(headers[0].Columns)
    masks = np.zeros((len(headers), rows, columns, len(source.places)), np.uint8)
    for index, (*_, region) in enumerate(source.places):
        slices, in_rows, in_columns = region.box.slices
        masks[slices.start - source.first : slices.stop - source.first, in_rows, in_columns, index] = np.asarray(region.mask)
    segmentation = hd.seg.Segmentation(
        source_images=[without_identity(images[0]), *images[1:]],
        pixel_array=masks,
        segmentation_type=SegmentationTypeValues.BINARY if rows * columns % 16 == 0 else SegmentationTypeValues.FRACTIONAL,
        fractional_type=SegmentationFractionalTypeValues.OCCUPANCY,
        max_fractional_value=1,
        segment_descriptions=[_segment(number, *place, maker) for number, place in enumerate(source.places, 1)],
        content_label="AI_SEGMENTATION",
        content_description="AI segmentation, not verified",
        content_creator_name="",
        **maker.attributes(f"SEG {source.uid}", series_number, "AI segmentation - research, not verified, not for diagnosis"),
    )
    maker.stamp(segmentation)
    _name_dimensions(segmentation)
    return segmentation


def _segment(number: int, identifier: str, finding: Finding, region: Region, maker: Maker) -> SegmentDescription:
    term = TERMS.get(finding.name)
    side = to_dicom(SIDE_CODES[finding.side]) if finding.side else None
    model = maker.report.model
    if term is None:
        # LO: one line of 64 characters, and a backslash would make it two values (PS3.5 6.2).
        label = " ".join(finding.sentence.replace("\\", " ").split())[:64]
    else:
        label = f"{side.meaning} {term.name}" if side else term.name.capitalize()
    segment = SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=CATEGORY_CODES[term.kind if term else ""],
        segmented_property_type=to_dicom(term.code) if term else codes.SCT.Tissue,
        algorithm_type=SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=model.name, family=codes.DCM.ArtificialIntelligence, version=model.version, source=MANUFACTURER
        ),
        tracking_uid=region.tracking_uid,
        tracking_id=identifier,
        anatomic_regions=[to_dicom(term.site)] if term and term.site else None,
        display_color=hd.color.CIELabColor.from_rgb(*(term.colour if term else _COLOUR_WITHOUT_TERM)),
    )
    if region.read_slices:
        numbers = ", ".join(str(index + 1) for index in region.read_slices)
        segment.SegmentDescription = f"Read on slices {numbers} along the series; inferred on the others."
    if side is not None:
        modifier = [hd.sr.CodedConcept.from_code(side)]
        if term is not None and term.site is not None:
            segment.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = modifier
        else:
            segment.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = modifier
    return segment


def _placed(header: Dataset, series: Series) -> Dataset:
    """Return the header with a frame of reference, made up where it has none (see the module)."""
    added: dict[str, Any] = {}
    if series.modality in VOLUME_MODALITIES:
        if not header.get("FrameOfReferenceUID"):
            added["FrameOfReferenceUID"] = derive_uid("frame of reference", series.series_uid)
    elif not all(header.get(keyword) for keyword in ("FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient")):
        added = {
            "FrameOfReferenceUID": derive_uid("frame of reference", str(header.SOPInstanceUID)),
            "PositionReferenceIndicator": "",
            "ImagePositionPatient": [0, 0, 0],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "PixelSpacing": list(projection_spacing(header) or (1.0, 1.0)),
        }
    if not header.get("SliceThickness"):
        added["SliceThickness"] = _slice_distance_mm(series)
    return changed(header, added) if added else header


def _slice_distance_mm(series: Series) -> float:
    """Distance of the first two slices; 1 where there is only one, as readers of a Segmentation want a thickness."""
    if series.modality not in VOLUME_MODALITIES or len(series.instances) == 1:
        return 1.0
    first, second = (np.asarray(header.ImagePositionPatient, float) for header in series.instances[:2])
    return round(float(np.linalg.norm(second - first)), 6)


def _name_dimensions(segmentation: hd.seg.Segmentation) -> None:
    """Derive the Dimension Organization UID, which highdicom draws by lot."""
    uid = derive_uid("dimensions", str(segmentation.SOPInstanceUID))
    for item in (*segmentation.DimensionOrganizationSequence, *segmentation.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid
