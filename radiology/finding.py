"""Box, Region and Finding: one statement about the study, and the places it is about.

Places are array indices ``(slice, row, column)``, zero-based and half-open, in the pixel matrix of the source images;
slice ``k`` is ``Series.frames[k]``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from radiology.judgement import Judged, Judgement
from radiology.measurement import Measurement


class Presence(StrEnum):
    """CID 240 Present-Absent-Undetermined."""

    PRESENT = "present"
    ABSENT = "absent"
    UNDETERMINED = "undetermined"


class Side(StrEnum):
    """The patient's side (CID 244 Laterality)."""

    RIGHT = "right"
    LEFT = "left"
    BILATERAL = "bilateral"


@dataclass(frozen=True)
class Box:
    """A half-open block of voxels: ``start <= index < stop`` on each axis, ``(slice, row, column)``."""

    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    def __post_init__(self) -> None:
        if any(low < 0 or low >= high for low, high in zip(self.start, self.stop, strict=True)):
            raise ValueError(f"A box must be non-empty and inside the image: {self.start} to {self.stop}.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of slices, rows and columns."""
        slices, rows, columns = (high - low for low, high in zip(self.start, self.stop, strict=True))
        return slices, rows, columns

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The box as an index into an array ``(slice, row, column)``."""
        first, second, third = (slice(low, high) for low, high in zip(self.start, self.stop, strict=True))
        return first, second, third

    @classmethod
    def around(cls, mask: NDArray[np.bool_], offset: tuple[int, int, int] = (0, 0, 0)) -> Box:
        """Return the smallest box around the true voxels of ``mask`` (slice, row, column); ``ValueError`` where it is empty."""
        places = [np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis))) for axis in range(3)]
        if any(place.size == 0 for place in places):
            raise ValueError("An empty mask has no box.")
        start = tuple(int(place[0]) + shift for place, shift in zip(places, offset, strict=True))
        stop = tuple(int(place[-1]) + 1 + shift for place, shift in zip(places, offset, strict=True))
        return cls((start[0], start[1], start[2]), (stop[0], stop[1], stop[2]))

    def iou(self, other: Box) -> float:
        """Intersection over union of the two blocks, 0 to 1."""
        low = np.maximum(self.start, other.start)
        high = np.minimum(self.stop, other.stop)
        common = float(np.prod(np.clip(high - low, 0, None)))
        union = float(np.prod(self.shape)) + float(np.prod(other.shape)) - common
        return common / union


@dataclass(frozen=True, eq=False)
class Region:
    """Where a finding is in one series.

    Attributes:
        series_uid: the series whose pixel matrix the indices count in.
        box: the place in that matrix.
        mask: boolean array of ``box.shape``: the pixels inside the box, or None where only a box is known.
        score: the model's own certainty of the mask, 0 to 1; not calibrated.
        tracking_uid: DICOM Tracking Unique Identifier, the same in SR and SEG; empty until the result is written.
        read_slices: the slices of the box that the model read; on the others the mask was inferred from these. Empty where
            nothing was inferred.
        measurements: what was measured on the mask.
    """

    series_uid: str
    box: Box
    mask: NDArray[np.bool_] | None = None
    score: float = 0.0
    tracking_uid: str = ""
    read_slices: tuple[int, ...] = ()
    measurements: tuple[Measurement, ...] = ()

    def __post_init__(self) -> None:
        if self.mask is not None and self.mask.shape != self.box.shape:
            raise ValueError(f"Mask {self.mask.shape} does not fit box {self.box.shape}.")
        if any(not self.box.start[0] <= index < self.box.stop[0] for index in self.read_slices):
            raise ValueError(f"Read slices {self.read_slices} lie outside the box from {self.box.start} to {self.box.stop}.")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Region):
            return NotImplemented
        if (self.mask is None) != (other.mask is None):
            return False
        same_mask = self.mask is None or other.mask is None or np.array_equal(self.mask, other.mask)
        return same_mask and all(
            getattr(self, name) == getattr(other, name)
            for name in ("series_uid", "box", "score", "tracking_uid", "read_slices", "measurements")
        )

    @property
    def key_slice(self) -> int:
        """The slice with most of the mask, the first of equals; the middle slice where there is no mask."""
        if self.mask is None or not self.mask.any():
            return (self.box.start[0] + self.box.stop[0]) // 2
        return self.box.start[0] + int(np.argmax(self.mask.sum(axis=(1, 2))))

    @classmethod
    def from_mask(cls, series_uid: str, mask: NDArray[np.bool_], score: float = 0.0, first_slice: int = 0) -> Region:
        """Crop a whole-image mask (slice, row, column) to its box. ``first_slice``: the index of the mask's slice 0."""
        box = Box.around(mask, (first_slice, 0, 0))
        local = Box((box.start[0] - first_slice, *box.start[1:]), (box.stop[0] - first_slice, *box.stop[1:]))
        return cls(series_uid, box, np.ascontiguousarray(mask[local.slices]), score)


@dataclass(frozen=True)
class Finding:
    """One sentence of the report, and the places it is about.

    Attributes:
        name: a name of :data:`radiology.terms.TERMS`; empty where no term fits (the sentence is then text only).
        sentence: the words that the radiologist reads.
        presence: what the sentence states about ``name``.
        side: the patient's side that the sentence states.
        confidence: 0 to 1, the model's own; not calibrated.
        regions: the places; a positive sentence has at least one, a negative one may have none.
        flags: reasons why this finding needs a second look, one sentence each; empty where all checks agreed.
        number: what the sentence is called in the report and all its later versions, from 1; 0 until the report is written.
        judged: what a radiologist decided about it; None where none has.
    """

    name: str
    sentence: str
    presence: Presence = Presence.PRESENT
    side: Side | None = None
    confidence: float = 0.0
    regions: tuple[Region, ...] = ()
    flags: tuple[str, ...] = ()
    number: int = 0
    judged: Judged | None = None

    @property
    def judgement(self) -> Judgement | None:
        """How a radiologist decided about it; None where none has."""
        return self.judged.judgement if self.judged else None
