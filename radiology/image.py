"""Images in real units: a Volume (CT, MR) or a Projection (CR, DX), loaded from DICOM instances."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.processing import apply_modality_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    MRImageStorage,
)

from radiology.claims import numbers, text, whole_number
from radiology.errors import IncompleteStudy, StudyError, UnsupportedImage
from radiology.finding import Box
from radiology.frame import Frame
from radiology.study import Series

VOLUME_MODALITIES = frozenset({"CT", "MR"})
PROJECTION_MODALITIES = frozenset({"CR", "DX"})
_OF_ONE_FRAME = frozenset(
    {
        CTImageStorage,
        MRImageStorage,
        ComputedRadiographyImageStorage,
        DigitalXRayImageStorageForPresentation,
        DigitalXRayImageStorageForProcessing,
    }
)
"""SOP classes without the Multi-frame module (PS3.3 A.1.4): a reference to an image of theirs cannot name a frame."""
_LARGEST_FRAME, _LARGEST_SERIES = 1 << 27, 1 << 30
"""Pixels of a frame, and of all that is decoded at once; asked before a decoder makes room for what headers claim."""
_PLACE = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}
"""What places a slice, and how many numbers that is."""
_ORIENTATION_TOLERANCE, _SKEW_TOLERANCE = 1e-3, 1e-2
_SAME_POSITION_MM = 1e-3
_UNEVEN_MM = 0.05
_UNEVEN_FRACTION = 0.01


@dataclass(frozen=True, eq=False)
class Volume:
    """A cross-sectional series.

    Attributes:
        series_uid: the series; slice ``k`` is its ``frames[k]``.
        array: float32 ``(slice, row, column)``; Hounsfield units for CT.
        affine: 4 x 4, maps an index ``(slice, row, column, 1)`` to LPS millimetres (the centre of the voxel).
    """

    series_uid: str
    array: NDArray[np.float32]
    affine: NDArray[np.float64]

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance between voxel centres along slice, row index and column index."""
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(lengths[0]), float(lengths[1]), float(lengths[2])


@dataclass(frozen=True, eq=False)
class Projection:
    """One radiograph.

    Attributes:
        series_uid: the series.
        slice_index: which of the series' ``frames`` it is.
        array: float32 ``(row, column)``, bright where more radiation was absorbed (MONOCHROME2), whatever the file's polarity.
        spacing_mm: row and column spacing, None where the file does not say or cannot be believed.
        view: View Position as the file has it, for example ``PA``; empty where it does not say.
    """

    series_uid: str
    slice_index: int
    array: NDArray[np.float32]
    spacing_mm: tuple[float, float] | None
    view: str = ""


Image = Volume | Projection


def load(series: Series, instances: Sequence[Dataset]) -> tuple[Image, ...]:
    """Decode one series.

    Args:
        series: the headers; decides the order of slices.
        instances: the same instances with pixels, in any order.

    Returns:
        One :class:`Volume`, or one :class:`Projection` per image; each frame of a multi-frame instance is one image.

    Raises:
        IncompleteStudy: an instance of the series is missing, or has no pixels.
        UnsupportedImage: a modality, geometry, encoding or pixel format that is not read; the message says which.
    """
    by_uid = {text(instance, "SOPInstanceUID"): instance for instance in instances}
    missing = [uid for uid in series.instance_uids if uid not in by_uid]
    if missing:
        raise IncompleteStudy(
            f"{len(missing)} of {len(series.instances)} instances of series {series.series_uid} did not arrive; send them again."
        )
    # With their pixels, and with what a header from the archive leaves out for its size (a Modality LUT).
    whole = replace(series, instances=tuple(by_uid[uid] for uid in series.instance_uids))
    _check_size(whole)
    if series.modality in VOLUME_MODALITIES:
        affine = _affine(whole)
        return (Volume(series.series_uid, np.stack([_pixels(frame) for frame in whole.frames]), affine),)
    _check_is_projection(series)
    return tuple(_projection(whole, index, _film(frame)) for index, frame in enumerate(whole.frames))


def outline(series: Series) -> tuple[Image, ...]:
    """Return what :func:`load` does, but from headers alone: places and spacings, and not a number in any pixel.

    Raises:
        UnsupportedImage: a modality or geometry that is not read.
    """
    shapes = [_shape(frame) for frame in series.frames]
    nothing = np.float32(np.nan)  # repeated without taking memory
    if series.modality in VOLUME_MODALITIES:
        affine = _affine(series)
        return (Volume(series.series_uid, np.broadcast_to(nothing, (len(shapes), *shapes[0])), affine),)
    _check_is_projection(series)
    return tuple(_projection(series, index, np.broadcast_to(nothing, shape)) for index, shape in enumerate(shapes))


def check_box(series: Series, box: Box) -> None:
    """Return if a box lies inside a series, and on one radiograph; ``StudyError`` otherwise."""
    count = len(series.frames)
    size = (count, *_shape(series.frames[min(box.start[0], count - 1)]))
    if any(stop > length for stop, length in zip(box.stop, size, strict=True)):
        raise StudyError(f"A box ends at {box.stop}, outside series {series.series_uid} of {size} slices, rows and columns.")
    if series.modality not in VOLUME_MODALITIES and box.shape[0] > 1:
        raise StudyError(f"A box spans several radiographs of series {series.series_uid}; each needs its own.")


def _check_is_projection(series: Series) -> None:
    if series.modality not in PROJECTION_MODALITIES:
        raise UnsupportedImage(f"Modality {series.modality or '(none)'} of series {series.series_uid} is not read.")


def _shape(frame: Frame) -> tuple[int, int]:
    """Rows and columns; 0 where the header does not say."""
    return whole_number(frame.header, "Rows", 0), whole_number(frame.header, "Columns", 0)


def _check_size(series: Series) -> None:
    """Raise ``UnsupportedImage`` where headers claim more pixels than is read."""
    claimed = 0
    for frame in series.frames:
        rows, columns = _shape(frame)
        claimed += rows * columns
        if rows * columns > _LARGEST_FRAME:
            raise UnsupportedImage(f"Instance {frame.uid} claims {rows} x {columns} pixels, more than is read.")
    if claimed > _LARGEST_SERIES:
        raise UnsupportedImage(f"Series {series.series_uid} claims {claimed} pixels, more than is read at once.")


def _pixels(frame: Frame) -> NDArray[np.float32]:
    """Decode one grey frame to modality units, float32 (row, column)."""
    header = frame.header
    if "PixelData" not in header:
        raise IncompleteStudy(f"Instance {frame.uid} has no pixel data; send it again.")
    if frame.number is not None and text(header, "SOPClassUID") in _OF_ONE_FRAME:
        raise UnsupportedImage(f"Instance {frame.uid} has several frames, which its SOP class does not allow; send each as an image.")
    if whole_number(header, "SamplesPerPixel", 1) != 1:
        raise UnsupportedImage(f"Instance {frame.uid} is a colour image; only grey images are read.")
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        numbers(header, keyword, 1)
    try:
        stored = pixel_array(header, index=(frame.number or 1) - 1)
        return np.asarray(apply_modality_lut(stored, header), np.float32)
    except Exception as error:  # pydicom's decoders raise many unrelated types for bad or unknown encodings
        syntax = getattr(getattr(header, "file_meta", None), "TransferSyntaxUID", None)
        raise UnsupportedImage(f"The pixels of instance {frame.uid} (transfer syntax {syntax}) cannot be decoded: {error}") from error


def _affine(series: Series) -> NDArray[np.float64]:
    """The affine of a :class:`Volume`, from the headers of its slices."""
    headers = [frame.header for frame in series.frames]
    positions, orientations, spacings = (_of_all(series, keyword, count) for keyword, count in _PLACE.items())
    if np.abs(orientations - orientations[0]).max() > _ORIENTATION_TOLERANCE:
        raise UnsupportedImage(f"Series {series.series_uid} mixes orientations (a localizer?); send each orientation by itself.")
    row, column = np.reshape(orientations[0], (2, 3))
    if not np.allclose([row @ row, column @ column, row @ column], [1, 1, 0], atol=_SKEW_TOLERANCE) or spacings.min() <= 0:
        raise UnsupportedImage(f"Series {series.series_uid} has no orientation or pixel spacing that can be; its slices cannot be placed.")
    if len(set(map(_shape, series.frames))) > 1 or np.any(spacings != spacings[0]):
        raise UnsupportedImage(f"Series {series.series_uid} mixes image sizes or pixel spacings.")
    row_step, column_step = np.stack([column, row]) * spacings[0][:, None]
    affine = np.eye(4)
    affine[:3, 0] = _slice_step(series, headers, positions)
    affine[:3, 1] = row_step
    affine[:3, 2] = column_step
    affine[:3, 3] = positions[0]
    return affine


def _of_all(series: Series, keyword: str, count: int) -> NDArray[np.float64]:
    """So many numbers of every slice, float64 ``(slice, number)``."""
    found = [numbers(frame.header, keyword, count) for frame in series.frames]
    if None in found:
        raise UnsupportedImage(f"Series {series.series_uid} has images without {keyword}; its slices cannot be placed.")
    return np.asarray(found, np.float64)


def _slice_step(series: Series, headers: Sequence[Dataset], positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vector from one slice to the next, LPS millimetres. Raises where slices coincide or are unevenly spaced."""
    if len(headers) == 1:
        row, column = np.reshape(np.asarray(headers[0].ImageOrientationPatient, float), (2, 3))
        (thickness,) = numbers(headers[0], "SliceThickness", 1) or (1.0,)
        return np.asarray(np.cross(row, column) * (thickness or 1.0), float)
    steps = np.diff(positions, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    if lengths.min() < _SAME_POSITION_MM:
        raise UnsupportedImage(f"Series {series.series_uid} has several images at one position; send each acquisition by itself.")
    step = steps.mean(axis=0)
    # Compared as vectors, so that a tilted gantry (positions sheared against the normal) is even and a missing slice is not.
    if np.linalg.norm(steps - step, axis=1).max() > max(_UNEVEN_MM, _UNEVEN_FRACTION * float(np.linalg.norm(step))):
        raise UnsupportedImage(
            f"Series {series.series_uid} has unevenly spaced slices ({lengths.min():.2f} to {lengths.max():.2f} mm); is a slice missing?"
        )
    return np.asarray(step, float)


def _film(frame: Frame) -> NDArray[np.float32]:
    """Decode one radiograph, whatever its polarity."""
    array = _pixels(frame)
    if text(frame.header, "PhotometricInterpretation") == "MONOCHROME1":
        array = array.max() + array.min() - array
    return array


def _projection(series: Series, index: int, array: NDArray[np.float32]) -> Projection:
    header = series.frames[index].header
    return Projection(series.series_uid, index, array, projection_spacing(header), text(header, "ViewPosition"))


def projection_spacing(instance: Dataset) -> tuple[float, float] | None:
    """Pixel Spacing, else Imager Pixel Spacing (PS3.3 10.7.1.3); None where absent or not of this world (under 10 um)."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        with suppress(UnsupportedImage):
            value = numbers(instance, keyword, 2)
            if value and min(value) >= 0.01:
                return value[0], value[1]
    return None
