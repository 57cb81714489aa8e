"""What somebody points at in a picture, how the segmenter is told so, and how far a correction reaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from ai_engine.model.images import Box, Letterbox
from ai_engine.model.segmenter import FIRST_CORNER, LAST_CORNER, NEGATIVE, POSITIVE, Prompts, sure
from radiology.question import Point

BRUSH_SHARE = 0.03
"""Radius of what a click alone changes, as a share of the picture's longer side."""


@dataclass(frozen=True, eq=False)
class Hint:
    """What is meant, in pixels of the source.

    Attributes:
        points: places that belong to it, and places that do not.
        box: drawn around it.
        before: (row, column), the mask that is to be corrected.
    """

    points: Sequence[Point] = ()
    box: Box | None = None
    before: NDArray[np.bool_] | None = None


def prompts_of(hint: Hint, frame: Letterbox, mask_size: int, like: torch.Tensor) -> Prompts:
    """Return a hint as one prompt of the segmenter.

    Args:
        frame: where the source lies on the segmenter's picture.
        mask_size: side of the mask's grid.
        like: decides device and type.
    """
    placed = [(*frame.to_picture(each.row + 0.5, each.column + 0.5), POSITIVE if each.is_positive else NEGATIVE) for each in hint.points]
    if hint.box is not None:
        top, left, bottom, right = hint.box
        placed += [(*frame.to_picture(top, left), FIRST_CORNER), (*frame.to_picture(bottom, right), LAST_CORNER)]
    prompts = Prompts.none(1, like)
    if placed:
        numbers = torch.tensor(placed, device=like.device)
        prompts = Prompts(points=numbers[None, :, :2].to(like.dtype), kinds=numbers[None, :, 2].int())
    return prompts if hint.before is None else replace(prompts, masks=sure(covered(hint.before, frame, mask_size, like)))


def covered(mask: NDArray[np.bool_], frame: Letterbox, mask_size: int, like: torch.Tensor) -> torch.Tensor:
    """Return which part of each cell of the mask's grid a mask (row, column) of the source covers, [1, row, column]."""
    return torch.from_numpy(frame.mask_to_model(mask, mask_size))[None].to(like.device, like.dtype)


def corrected(before: NDArray[np.bool_], drawn: NDArray[np.bool_], points: Sequence[Point]) -> NDArray[np.bool_]:
    """Return the mask ``before`` (row, column), changed where new ``points`` lie: what a reader left alone stays as it was.

    A point brings in the piece of what was ``drawn`` anew that it lies in. Where the segmenter left its place as it was, the reader is
    right all the same, and a disc around the point is changed.
    """
    pieces, _ = ndimage.label(before ^ drawn)
    rows, columns = np.indices(before.shape)
    radius = BRUSH_SHARE * max(before.shape)
    mask = before.copy()
    for point in points:
        here = point.row, point.column
        if drawn[here] != point.is_positive:
            mask[(rows - point.row) ** 2 + (columns - point.column) ** 2 <= radius**2] = point.is_positive
        elif pieces[here]:
            mask[pieces == pieces[here]] = point.is_positive
    return mask
