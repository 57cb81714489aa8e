"""Where pixels are in millimetres, told from headers alone: nothing of the code that is tested."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset


def place_mm(header: Dataset, row: float, column: float) -> NDArray[np.float64]:
    """Where the centre of a pixel is (PS3.3 equation C.7.6.2.1-1); in a radiograph from its own first pixel."""
    origin = np.asarray(header.get("ImagePositionPatient", [0, 0, 0]), float)
    across, down = np.reshape(np.asarray(header.get("ImageOrientationPatient", [1, 0, 0, 0, 1, 0]), float), (2, 3))
    row_mm, column_mm = (float(value) for value in header.get("PixelSpacing") or header.ImagerPixelSpacing)
    return np.asarray(origin + across * column_mm * column + down * row_mm * row)


def in_order(places: Sequence[Sequence[float] | NDArray[np.float64]]) -> NDArray[np.float64]:
    """The places sorted, so that two sets of them can be compared."""
    array = np.asarray(places, float)
    return array[np.lexsort((np.round(array, 2) + 0.0).T)]
