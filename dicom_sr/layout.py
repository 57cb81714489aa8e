"""Where the frames of a Segmentation stand.

highdicom lays out the frames of a Segmentation from its source images, and is given images of one pixel in their stead (see
:mod:`dicom_sr.seg`): each in the place of one slice, be that a single-frame image or a frame of a multi-frame one. References
to the true images are put in afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pydicom import Dataset
from pydicom.uid import UID, CTImageStorage

from dicom_sr.identity import changed, derive_uid
from radiology.frame import Frame
from radiology.image import VOLUME_MODALITIES, projection_spacing
from radiology.study import Series

_PLACE = ("FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
_LOSSY = ("LossyImageCompressionRatio", "LossyImageCompressionMethod")


def stand_ins(series: Series, first: int, stop: int) -> list[Dataset]:
    """Return images of one pixel in the places of the slices ``first`` to ``stop`` of a series, for highdicom.

    Raises:
        ValueError: the slices differ in size, so that no Segmentation can have the size of them all.
    """
    frames = series.frames[first:stop]
    if len({(int(frame.header.Rows), int(frame.header.Columns)) for frame in frames}) > 1:
        raise ValueError(f"the images of series {series.series_uid} are not of one size")
    thickness_mm = _slice_distance_mm(series)
    shared: dict[str, Any] = {"SOPClassUID": CTImageStorage, "Rows": 1, "Columns": 1}
    if lossy := next((frame.header for frame in frames if _is_lossy(frame.header)), None):
        shared |= {"LossyImageCompression": "01", **{keyword: lossy[keyword].value for keyword in _LOSSY if lossy.get(keyword)}}
    images = []
    for index, frame in enumerate(frames):
        place = _place(frame, series)
        if not frame.header.get("SliceThickness"):
            place["SliceThickness"] = thickness_mm
        # The orientations of a series agree within the tolerance of radiology.image; a Segmentation has one for all its frames.
        if index and series.modality in VOLUME_MODALITIES:
            place["ImageOrientationPatient"] = frames[0].header.ImageOrientationPatient
        image = changed(frame.header, {**shared, **place, "SOPInstanceUID": _stand_in_uid(index)})
        for keyword in _LOSSY:  # an empty value would be copied, and be an error there
            if keyword in image and not image.get(keyword):
                delattr(image, keyword)
        images.append(image)
    return images


def name_sources(segmentation: Dataset, frames: Sequence[Frame]) -> list[int]:
    """Put references to the true images in the place of those to the stand-ins; return the slice of each frame, counted from the first."""
    slices = {_stand_in_uid(index): index for index in range(len(frames))}
    sources = [item.DerivationImageSequence[0].SourceImageSequence[0] for item in segmentation.PerFrameFunctionalGroupsSequence]
    places = [slices[source.ReferencedSOPInstanceUID] for source in sources]
    # Frames of one slice share an item.
    for source, place in {id(source): (source, place) for source, place in zip(sources, places, strict=True)}.values():
        _refer(source, frames[place])
        if frames[place].number is not None:
            source.ReferencedFrameNumber = frames[place].number
    references = [_refer(Dataset(), frame) for frame in {frame.uid: frame for frame in frames}.values()]
    segmentation.SourceImageSequence = references
    segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence = references
    return places


def _refer(item: Dataset, frame: Frame) -> Dataset:
    item.ReferencedSOPClassUID = frame.header.SOPClassUID
    item.ReferencedSOPInstanceUID = frame.uid
    return item


def _stand_in_uid(index: int) -> UID:
    return UID(f"2.25.{index}")


def _place(frame: Frame, series: Series) -> dict[str, Any]:
    """What a header lacks of a place; a radiograph gets a plane of its own (see :mod:`dicom_sr.seg`)."""
    header = frame.header
    if series.modality in VOLUME_MODALITIES:
        return {} if header.get("FrameOfReferenceUID") else {"FrameOfReferenceUID": derive_uid("frame of reference", series.series_uid)}
    if all(header.get(keyword) for keyword in _PLACE):
        return {}
    number = () if frame.number is None else (str(frame.number),)
    return {
        "FrameOfReferenceUID": derive_uid("frame of reference", frame.uid, *number),
        "PositionReferenceIndicator": "",
        "ImagePositionPatient": [0, 0, 0],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelSpacing": list(projection_spacing(header) or (1.0, 1.0)),
    }


def _slice_distance_mm(series: Series) -> float:
    """Distance of the first two slices; 1 where there is only one, as readers of a Segmentation want a thickness."""
    if series.modality not in VOLUME_MODALITIES or len(series.frames) == 1:
        return 1.0
    first, second = (np.asarray(frame.header.ImagePositionPatient, float) for frame in series.frames[:2])
    return round(float(np.linalg.norm(second - first)), 6)


def _is_lossy(header: Dataset) -> bool:
    """Whether an image was once compressed with loss (PS3.3 C.7.6.1.1.5)."""
    return str(header.get("LossyImageCompression", "")) == "01"
