"""Images in real units: a Volume (CT, MR) or a Projection (CR, DX), loaded from DICOM instances."""

from __future__ import annotations

from collections.abc import Sequence
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
_LARGEST_FRAME = 1 << 27
"""Pixels of a frame; asked before a decoder makes room for what a header claims."""
_ORIENTATION_TOLERANCE = 1e-3
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
    by_uid = {str(instance.SOPInstanceUID): instance for instance in instances}
    missing = [uid for uid in series.instance_uids if uid not in by_uid]
    if missing:
        raise IncompleteStudy(
            f"{len(missing)} of {len(series.instances)} instances of series {series.series_uid} did not arrive; send them again."
        )
    # With their pixels, and with what a header from the archive leaves out for its size (a Modality LUT).
    whole = replace(series, instances=tuple(by_uid[uid] for uid in series.instance_uids))
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
    shapes = [(int(frame.header.Rows), int(frame.header.Columns)) for frame in series.frames]
    nothing = np.float32(np.nan)  # repeated without taking memory
    if series.modality in VOLUME_MODALITIES:
        affine = _affine(series)
        return (Volume(series.series_uid, np.broadcast_to(nothing, (len(shapes), *shapes[0])), affine),)
    _check_is_projection(series)
    return tuple(_projection(series, index, np.broadcast_to(nothing, shape)) for index, shape in enumerate(shapes))


def check_box(series: Series, box: Box) -> None:
    """Return if a box lies inside a series, and on one radiograph; ``StudyError`` otherwise."""
    count = len(series.frames)
    header = series.frames[min(box.start[0], count - 1)].header
    size = (count, int(header.Rows), int(header.Columns))
    if any(stop > length for stop, length in zip(box.stop, size, strict=True)):
        raise StudyError(f"A box ends at {box.stop}, outside series {series.series_uid} of {size} slices, rows and columns.")
    if series.modality not in VOLUME_MODALITIES and box.shape[0] > 1:
        raise StudyError(f"A box spans several radiographs of series {series.series_uid}; each needs its own.")


def _check_is_projection(series: Series) -> None:
    if series.modality not in PROJECTION_MODALITIES:
        raise UnsupportedImage(f"Modality {series.modality or '(none)'} of series {series.series_uid} is not read.")


def _pixels(frame: Frame) -> NDArray[np.float32]:
    """Decode one grey frame to modality units, float32 (row, column)."""
    header = frame.header
    if "PixelData" not in header:
        raise IncompleteStudy(f"Instance {frame.uid} has no pixel data; send it again.")
    if frame.number is not None and header.get("SOPClassUID") in _OF_ONE_FRAME:
        raise UnsupportedImage(f"Instance {frame.uid} has several frames, which its SOP class does not allow; send each as an image.")
    if int(header.get("SamplesPerPixel", 1)) != 1:
        raise UnsupportedImage(f"Instance {frame.uid} is a colour image; only grey images are read.")
    if int(header.get("Rows") or 0) * int(header.get("Columns") or 0) > _LARGEST_FRAME:
        raise UnsupportedImage(f"Instance {frame.uid} claims {header.Rows} x {header.Columns} pixels, more than is read.")
    try:
        stored = pixel_array(header, index=(frame.number or 1) - 1)
    except Exception as error:  # pydicom's decoders raise many unrelated types for bad or unknown encodings
        syntax = getattr(getattr(header, "file_meta", None), "TransferSyntaxUID", None)
        raise UnsupportedImage(f"The pixels of instance {frame.uid} (transfer syntax {syntax}) cannot be decoded: {error}") from error
    return np.asarray(apply_modality_lut(stored, header), np.float32)


def _affine(series: Series) -> NDArray[np.float64]:
    """The affine of a :class:`Volume`, from the headers of its slices."""
    headers = [frame.header for frame in series.frames]
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"):
        if not all(header.get(keyword) for header in headers):
            raise UnsupportedImage(f"Series {series.series_uid} has images without {keyword}; its slices cannot be placed.")
    orientations = np.asarray([header.ImageOrientationPatient for header in headers], float)
    if np.abs(orientations - orientations[0]).max() > _ORIENTATION_TOLERANCE:
        raise UnsupportedImage(f"Series {series.series_uid} mixes orientations (a localizer?); send each orientation by itself.")
    sizes = {(int(header.Rows), int(header.Columns), tuple(float(v) for v in header.PixelSpacing)) for header in headers}
    if len(sizes) > 1:
        raise UnsupportedImage(f"Series {series.series_uid} mixes image sizes or pixel spacings.")
    row_step, column_step = np.reshape(orientations[0], (2, 3))[::-1] * np.asarray(headers[0].PixelSpacing, float)[:, None]
    positions = np.asarray([header.ImagePositionPatient for header in headers], float)
    affine = np.eye(4)
    affine[:3, 0] = _slice_step(series, headers, positions)
    affine[:3, 1] = row_step
    affine[:3, 2] = column_step
    affine[:3, 3] = positions[0]
    return affine


def _slice_step(series: Series, headers: Sequence[Dataset], positions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Vector from one slice to the next, LPS millimetres. Raises where slices coincide or are unevenly spaced."""
    if len(headers) == 1:
        row, column = np.reshape(np.asarray(headers[0].ImageOrientationPatient, float), (2, 3))
        thickness = float(headers[0].get("SliceThickness") or 1.0)
        return np.asarray(np.cross(row, column) * thickness, float)
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
    if str(frame.header.get("PhotometricInterpretation", "")) == "MONOCHROME1":
        array = array.max() + array.min() - array
    return array


def _projection(series: Series, index: int, array: NDArray[np.float32]) -> Projection:
    header = series.frames[index].header
    return Projection(series.series_uid, index, array, projection_spacing(header), str(header.get("ViewPosition", "") or ""))


def projection_spacing(instance: Dataset) -> tuple[float, float] | None:
    """Pixel Spacing, else Imager Pixel Spacing (PS3.3 10.7.1.3); None where absent or not of this world (under 10 um)."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        value = instance.get(keyword)
        if value and len(value) == 2 and min(float(v) for v in value) >= 0.01:
            return float(value[0]), float(value[1])
    return None
