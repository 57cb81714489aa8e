"""One slice of a series: a single-frame image, or one frame of a multi-frame one, with what holds for it in one header."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset

_MACROS = ("PixelMeasuresSequence", "PlanePositionSequence", "PlaneOrientationSequence", "PixelValueTransformationSequence")
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
        """Yield the frames of an instance in its own order; one that it does not describe has no place."""
        count = int(instance.get("NumberOfFrames") or 1)
        described = instance.get("PerFrameFunctionalGroupsSequence") or ()
        if count == 1 and not described:
            yield cls(instance)
            return
        shared = instance.get("SharedFunctionalGroupsSequence") or ()
        for index in range(count):
            header = Dataset({tag: instance.get_item(tag) for tag in instance.keys()})  # noqa: SIM118 - Dataset has its own keys()
            for keyword in _GROUPS:
                if keyword in header:
                    delattr(header, keyword)
            for groups in (*shared[:1], *described[index : index + 1]):
                for macro in _MACROS:
                    for item in groups.get(macro) or ():
                        header.update(item)
            if hasattr(instance, "file_meta"):
                header.file_meta = instance.file_meta
            yield cls(header, index + 1)


def in_slice_order(frames: Sequence[Frame]) -> list[Frame]:
    """Sort frames by position along the slice normal (PS3.3 C.7.6.2.1.1), or by Instance and frame number where they have none."""
    headers = [frame.header for frame in frames]
    if headers and all(header.get("ImagePositionPatient") and header.get("ImageOrientationPatient") for header in headers):
        row, column = np.reshape(np.asarray(headers[0].ImageOrientationPatient, float), (2, 3))
        normal = np.cross(row, column)
        places = [float(np.dot(normal, np.asarray(header.ImagePositionPatient, float))) for header in headers]
    else:
        places = [float(header.get("InstanceNumber") or 0) for header in headers]
    order = sorted(range(len(frames)), key=lambda index: (places[index], frames[index].uid, frames[index].number or 0))
    return [frames[index] for index in order]
