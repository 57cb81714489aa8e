"""One slice of a series: a single-frame image, or one frame of a multi-frame one, with what holds for it in one header."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset

from radiology.claims import items, numbers, whole_number
from radiology.errors import UnsupportedImage

_MACROS = ("PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence", "PixelValueTransformationSequence")
_MOST_FRAMES = 1 << 14
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice.

    Attributes:
        header: the instance's header. That of a multi-frame instance has place, spacing and rescaling of this frame as its own
            attributes, as in a single-frame image, and no functional groups (PS3.3 C.7.6.16).
        number: Referenced Frame Number (0008,1160), counted from 1; None in a single-frame instance.
    """

    header: Dataset
    number: int | None = None

    @property
    def uid(self) -> str:
        """The SOP Instance UID, which all frames of an instance share."""
        return str(self.header.SOPInstanceUID)

    @classmethod
    def of(cls, instance: Dataset) -> Iterator[Frame]:
        """Yield the frames of an instance in its own order; one that it does not describe has no place.

        Raises:
            UnsupportedImage: it claims no frames, or more than any instance has.
        """
        count = whole_number(instance, "NumberOfFrames", 1)
        if not 1 <= count <= _MOST_FRAMES:
            raise UnsupportedImage(f"Instance {instance.SOPInstanceUID} claims {count} frames; from 1 to {_MOST_FRAMES} are read.")
        described = items(instance, "PerFrameFunctionalGroupsSequence")
        if count == 1 and not described:
            yield cls(instance)
            return
        common = _laid_over(instance, items(instance, "SharedFunctionalGroupsSequence")[:1])
        for keyword in _GROUPS:
            if keyword in common:
                delattr(common, keyword)
        for index in range(count):  # what is not described has nothing of its own, and takes no room
            yield cls(_laid_over(common, [described[index]]) if index < len(described) else common, index + 1)


def _laid_over(header: Dataset, groups: Iterable[Dataset]) -> Dataset:
    """Return a copy of a header that has what functional groups say as attributes of its own."""
    copy = Dataset({tag: header.get_item(tag, keep_deferred=True) for tag in header.keys()})  # noqa: SIM118 - Dataset has its own keys()
    for macro in _MACROS:
        for item in (item for group in groups for item in items(group, macro)):
            copy.update(item)
    if hasattr(header, "file_meta"):
        copy.file_meta = header.file_meta
    return copy


def in_slice_order(frames: Sequence[Frame]) -> list[Frame]:
    """Sort frames by position along the slice normal (PS3.3 C.7.6.2.1.1), or by Instance and frame number where they have none.

    What cannot be understood counts as missing: whoever needs it refuses it.
    """
    places = _positions(frames) or [(_understood(frame.header, "InstanceNumber", 1) or (0.0,))[0] for frame in frames]
    order = sorted(range(len(frames)), key=lambda index: (places[index], frames[index].uid, frames[index].number or 0))
    return [frames[index] for index in order]


def _positions(frames: Sequence[Frame]) -> list[float] | None:
    """Return where each frame lies along the normal of the first one; None where one of them does not say."""
    if not frames:
        return None
    positions = [_understood(frame.header, "ImagePositionPatient", 3) for frame in frames]
    orientations = [_understood(frame.header, "ImageOrientationPatient", 6) for frame in frames]
    if None in positions or None in orientations:
        return None
    row, column = np.reshape(np.asarray(orientations[0]), (2, 3))
    return [float(place) for place in np.asarray(positions) @ np.cross(row, column)]


def _understood(header: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    try:
        return numbers(header, keyword, count)
    except UnsupportedImage:
        return None
