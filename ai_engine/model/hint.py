"""What somebody points at in a picture, and how the segmenter is told so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ai_engine.model.images import Box, Letterbox
from ai_engine.model.segmenter import FIRST_CORNER, LAST_CORNER, NEGATIVE, POSITIVE, Prompts, sure
from radiology.question import Point


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
