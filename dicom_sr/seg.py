"""The Segmentation: one per cross-sectional series and one per radiograph, in the pixel matrix of its source.

It is BINARY, one bit a pixel. Where Rows x Columns is no multiple of 16, frames of bits end inside a byte (or the last in the
middle of a word), which OHIF's reader refuses or shifts and archives cannot cut into frames; there it is FRACTIONAL with a
byte a pixel and no value but 0 and 1, which says the same and is read alike. For a destination that wants it, and where no two
segments share a pixel, it is LABELMAP: a byte a pixel with the number of its segment.

highdicom lays out a Segmentation well and is slow to fill it: it wants all masks as one array of slices x rows x columns x
segments, nearly all of it empty. So it is given images of one pixel that say which segment shows on which slice
(:mod:`dicom_sr.layout`), and the pixels are packed from the masks in their boxes (:mod:`dicom_sr.planes`).

A radiograph has no frame of reference, and without one OHIF, dcmqi and DCMTK do not open its segmentation. It gets a
plain frame of its own: a UID made from the image's UID, so that it can never be laid over another image, origin 0\\0\\0,
axes along rows and columns, and the image's own pixel spacing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from highdicom.seg import SegmentAlgorithmTypeValues, SegmentationFractionalTypeValues, SegmentationTypeValues, SegmentDescription
from pydicom import Dataset
from pydicom.sr.codedict import codes

from dicom_sr.codes import CATEGORY_CODES, to_dicom
from dicom_sr.identity import MANUFACTURER, Maker, derive_uid, tracking_identifier, without_identity
from dicom_sr.kinds import SEGMENTATION
from dicom_sr.layout import name_sources, stand_ins
from dicom_sr.planes import any_overlap, bit_planes, byte_planes, label_planes, shown
from radiology.finding import Finding, Presence, Region
from radiology.frame import Frame
from radiology.image import VOLUME_MODALITIES
from radiology.judgement import Judgement
from radiology.study import Series, Study
from radiology.terms import COLOUR_WITHOUT_TERM, SIDE_CODES, TERMS

_ALGORITHM_TYPES: dict[Judgement | None, SegmentAlgorithmTypeValues] = {
    Judgement.EDITED: SegmentAlgorithmTypeValues.SEMIAUTOMATIC,
    Judgement.ADDED: SegmentAlgorithmTypeValues.MANUAL,
}
"""Where a radiologist had a hand in it; all else is the model's."""


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
    def frames(self) -> tuple[Frame, ...]:
        """Those slices."""
        return self.series.frames[self.first : self.stop]

    @property
    def uid(self) -> str:
        """What is segmented: the UID of the cross-sectional series, or of the one radiograph with its frame if it has several."""
        if self.series.modality in VOLUME_MODALITIES:
            return self.series.series_uid
        (frame,) = self.frames
        return frame.uid if frame.number is None else f"{frame.uid} frame {frame.number}"


def sources(study: Study, findings: tuple[Finding, ...]) -> Iterator[Source]:
    """Group the regions that have a mask by the Segmentation they go to; none for an empty set."""
    for series in study.series:
        places = [
            (tracking_identifier(finding.number, place), finding, region)
            for finding in findings
            for place, region in enumerate(finding.regions, 1)
            if region.series_uid == series.series_uid and region.mask is not None and region.mask.any()
        ]
        if series.modality in VOLUME_MODALITIES:
            groups = [places]
        else:
            films = sorted({region.box.start[0] for *_, region in places})
            groups = [[place for place in places if place[2].box.start[0] == film] for film in films]
        for group in groups:
            if group:
                first = min(region.box.start[0] for *_, region in group)
                stop = max(region.box.stop[0] for *_, region in group)
                yield Source(series, first, stop, tuple(group))


def build(source: Source, series_number: int, maker: Maker) -> hd.seg.Segmentation:
    """Return the Segmentation of one source; frames without any marked pixel are left out."""
    regions = [region for *_, region in source.places]
    images = stand_ins(source.series, source.first, source.stop)
    header = source.frames[0].header
    rows, columns = int(header.Rows), int(header.Columns)
    overlap = any_overlap(regions)
    kind = _kind(rows, columns, maker.settings.label_maps and not overlap)
    is_label_map = kind is SegmentationTypeValues.LABELMAP
    visible = shown(regions, source.first, source.stop)
    segmentation = hd.seg.Segmentation(
        source_images=[without_identity(images[0]), *images[1:]],
        pixel_array=visible.any(axis=-1).astype(np.uint8) if is_label_map else visible,
        segmentation_type=kind,
        fractional_type=SegmentationFractionalTypeValues.OCCUPANCY,
        max_fractional_value=1,
        segment_descriptions=[_segment(number, *place, maker) for number, place in enumerate(source.places, 1)],
        content_label="AI_SEGMENTATION",
        content_description="AI segmentation, not verified",
        content_creator_name="",
        **maker.attributes(_name(source.uid, kind.value), series_number, SEGMENTATION.description),
    )
    slices = [source.first + place for place in name_sources(segmentation, source.frames)]
    segmentation.Rows, segmentation.Columns = rows, columns
    segmentation.SegmentsOverlap = "YES" if overlap else "NO"
    if is_label_map:
        segmentation.PixelData = label_planes(regions, slices, rows, columns)
    else:
        places = list(zip(_segment_of_each_frame(segmentation), slices, strict=True))
        pack = bit_planes if kind is SegmentationTypeValues.BINARY else byte_planes
        segmentation.PixelData = pack(regions, places, rows, columns)
    maker.stamp(segmentation)
    _name_dimensions(segmentation)
    return segmentation


def name_of(source_uid: str, segmentation: Dataset) -> str:
    """Return the name by which a Maker knows the Segmentation of a source."""
    return _name(source_uid, str(segmentation.SegmentationType))


def _name(source_uid: str, kind: str) -> str:
    # A label map is of another SOP class, and so never a later version of one that is none.
    return f"SEG {source_uid}{' LABELMAP' if kind == SegmentationTypeValues.LABELMAP.value else ''}"


def _kind(rows: int, columns: int, label_map: bool) -> SegmentationTypeValues:
    if label_map:
        return SegmentationTypeValues.LABELMAP
    return SegmentationTypeValues.BINARY if rows * columns % 16 == 0 else SegmentationTypeValues.FRACTIONAL


def _segment_of_each_frame(segmentation: Dataset) -> list[int]:
    """Which segment each frame shows, from 0; highdicom says it once for all frames where there is only one."""
    (shared,) = segmentation.SharedFunctionalGroupsSequence
    return [
        int((frame if "SegmentIdentificationSequence" in frame else shared).SegmentIdentificationSequence[0].ReferencedSegmentNumber) - 1
        for frame in segmentation.PerFrameFunctionalGroupsSequence
    ]


def _segment(number: int, identifier: str, finding: Finding, region: Region, maker: Maker) -> SegmentDescription:
    # Where something is not, nothing of that kind is drawn; there and where no term fits, the segment is a part of the image.
    term = None if finding.presence is Presence.ABSENT else TERMS.get(finding.name)
    side = to_dicom(SIDE_CODES[finding.side]) if finding.side else None
    model = maker.report.model
    algorithm_type = _ALGORITHM_TYPES.get(finding.judgement, SegmentAlgorithmTypeValues.AUTOMATIC)
    if term is None:
        # LO: one line of 64 characters, and a backslash would make it two values (PS3.5 6.2).
        label = " ".join(finding.sentence.replace("\\", " ").split())[:64]
    else:
        label = f"{side.meaning} {term.name}" if side else term.name.capitalize()
        if finding.presence is Presence.UNDETERMINED:
            label = f"Possible {label[0].lower()}{label[1:]}"
    segment = SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=CATEGORY_CODES[term.kind if term else ""],
        segmented_property_type=to_dicom(term.code) if term else codes.DCM.ImageRegion,
        algorithm_type=algorithm_type,
        algorithm_identification=None
        if algorithm_type is SegmentAlgorithmTypeValues.MANUAL
        else hd.AlgorithmIdentificationSequence(
            name=model.name, family=codes.DCM.ArtificialIntelligence, version=model.version, source=MANUFACTURER
        ),
        tracking_uid=region.tracking_uid,
        tracking_id=identifier,
        anatomic_regions=[to_dicom(term.site)] if term and term.site else None,
        display_color=hd.color.CIELabColor.from_rgb(*(term.colour if term else COLOUR_WITHOUT_TERM)),
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


def _name_dimensions(segmentation: hd.seg.Segmentation) -> None:
    """Derive the Dimension Organization UID, which highdicom draws by lot."""
    uid = derive_uid("dimensions", str(segmentation.SOPInstanceUID))
    for item in (*segmentation.DimensionOrganizationSequence, *segmentation.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid
