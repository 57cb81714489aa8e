"""The standard view: how an image is turned before the model sees it. A turn is its own inverse, so masks go back the same way.

The model knows one way up: the patient's right on the image's left, head (radiograph) or front (axial slice) on top.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from radiology.errors import UnsupportedImage
from radiology.image import Projection, Volume

_FRONTAL = frozenset({"", "PA", "AP"})
_AXIAL_COSINE = 0.8
"""Rows and columns may be turned by up to acos(0.8) = 37 degrees against the patient (a tilted gantry, a turned patient)."""

_Pixels = TypeVar("_Pixels", bound=np.generic)


@dataclass(frozen=True)
class Turn:
    """Which axes of an image are reversed in the standard view."""

    rows: bool = False
    columns: bool = False

    def apply(self, array: NDArray[_Pixels]) -> NDArray[_Pixels]:
        """Turn an image or a mask (row, column); its own inverse."""
        return np.ascontiguousarray(array[:: -1 if self.rows else 1, :: -1 if self.columns else 1])

    def apply_to_box(self, box: tuple[int, int, int, int], shape: tuple[int, int]) -> tuple[int, int, int, int]:
        """Turn a half-open box (row0, column0, row1, column1) inside an image of ``shape``; its own inverse."""
        top, left, bottom, right = box
        if self.rows:
            top, bottom = shape[0] - bottom, shape[0] - top
        if self.columns:
            left, right = shape[1] - right, shape[1] - left
        return top, left, bottom, right


def turn_of_volume(volume: Volume) -> Turn:
    """Return how the slices of an axial volume are turned; ``UnsupportedImage`` where they are not axial."""
    rows, columns = (volume.affine[:3, axis] / np.linalg.norm(volume.affine[:3, axis]) for axis in (1, 2))
    if abs(columns[0]) < _AXIAL_COSINE or abs(rows[1]) < _AXIAL_COSINE:
        raise UnsupportedImage(f"The slices of series {volume.series_uid} are not axial; send the axial series.")
    return Turn(rows=bool(rows[1] < 0), columns=bool(columns[0] < 0))


def turn_of_projection(projection: Projection, header: Dataset) -> Turn:
    """Return how a frontal radiograph is turned, by its Patient Orientation (PS3.3 C.7.6.1.1.1); as usual where it has none.

    Raises ``UnsupportedImage`` for a lateral or oblique view, and for one that lies on its side.
    """
    where = f"Image {header.SOPInstanceUID}"
    if projection.view.upper() not in _FRONTAL:
        raise UnsupportedImage(f"{where} is a {projection.view} view; only frontal views (PA, AP) are read.")
    # Each value may name up to three directions, the main one first.
    along_columns, along_rows = (str(value)[:1] for value in header.get("PatientOrientation") or ("L", "F"))
    if along_columns in ("A", "P"):
        raise UnsupportedImage(f"{where} is a lateral view; only frontal views (PA, AP) are read.")
    if along_columns not in ("L", "R") or along_rows not in ("F", "H"):
        raise UnsupportedImage(f"{where} does not stand upright (Patient Orientation); only upright frontal views are read.")
    return Turn(rows=along_rows == "H", columns=along_columns == "R")
