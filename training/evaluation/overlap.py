"""How well a mask or a box lies on another one: Dice, intersection over union, distance between outlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from radiology.finding import Box

Mask = NDArray[np.bool_]


def dice(mine: Mask, truth: Mask) -> float:
    """Dice of two masks; 1 where both are empty."""
    both = int(mine.sum()) + int(truth.sum())
    return 2 * int((mine & truth).sum()) / both if both else 1.0


def box_of(mask: Mask) -> tuple[int, int, int, int] | None:
    """(row0, column0, row1, column1), half-open, around a mask; None around an empty one."""
    if not mask.any():
        return None
    box = Box.around(mask[None])
    return box.start[1], box.start[2], box.stop[1], box.stop[2]


def box_iou(mine: Sequence[float] | None, truth: Sequence[float] | None) -> float:
    """Intersection over union of two boxes (row0, column0, row1, column1); 0 where one is missing or has no area."""
    if mine is None or truth is None:
        return 0.0
    height = min(mine[2], truth[2]) - max(mine[0], truth[0])
    width = min(mine[3], truth[3]) - max(mine[1], truth[1])
    common = max(0.0, height) * max(0.0, width)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (mine, truth))
    return common / (areas - common) if areas > common else 0.0


@dataclass(frozen=True)
class SurfaceDistance:
    """Distance between two outlines, in the unit of the spacing.

    Attributes:
        mean: over the pixels of both outlines, of the distance to the nearest pixel of the other one.
        hd95: the 95th percentile of those distances, of the outline for which it is larger (robust Hausdorff distance).
    """

    mean: float
    hd95: float


def surface_distance(mine: Mask, truth: Mask, spacing: tuple[float, float] = (1.0, 1.0)) -> SurfaceDistance | None:
    """Distance between the outlines of two masks (row, column) whose pixels are ``spacing`` apart; None where one is empty."""
    window = box_of(mine | truth)
    if window is None or not mine.any() or not truth.any():
        return None
    rows, columns = slice(window[0], window[2]), slice(window[1], window[3])
    outlines = [_outline(mask[rows, columns]) for mask in (mine, truth)]
    there = [ndimage.distance_transform_edt(~outline, sampling=spacing) for outline in outlines]
    distances = there[1][outlines[0]], there[0][outlines[1]]
    return SurfaceDistance(float(np.concatenate(distances).mean()), max(float(np.percentile(each, 95)) for each in distances))


def _outline(mask: Mask) -> Mask:
    """The pixels of a mask that have a neighbour outside it; outside the array there is nothing."""
    inner: Mask = ndimage.binary_erosion(mask)
    return mask & ~inner
