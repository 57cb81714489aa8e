"""Lesions put into a CT: nodules of real shapes, fluid and air in the pleural space, opacities of the lung.

Lungs are boolean ``(slice, row, column)``, slices from foot to head. Functions return the changed voxels; how dense they become is the
caller's to draw.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
Pattern = Literal["peripheral", "basal", "focal", "diffuse", "central"]
PATTERNS: tuple[Pattern, ...] = ("peripheral", "basal", "focal", "diffuse", "central")


def nodule(lung: Mask, shape: Mask, rng: np.random.Generator) -> Mask | None:
    """Put a nodule (a boolean block on the lung's grid) somewhere inside the lung; None where it does not fit."""
    if any(size >= whole for size, whole in zip(shape.shape, lung.shape, strict=True)):
        return None
    inside = _some_places(lung, 20, rng)
    for centre in inside:
        start = centre - np.asarray(shape.shape) // 2
        stop = start + shape.shape
        if (start < 0).any() or (stop > lung.shape).any():
            continue
        where = tuple(slice(low, high) for low, high in zip(start, stop, strict=True))
        placed = shape & lung[where]
        if placed.sum() > 0.8 * shape.sum():
            mask = np.zeros(lung.shape, bool)
            mask[where] = placed
            return mask
    return None


def _some_places(lung: Mask, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Up to ``count`` voxels of the lung, drawn at random, as indices ``(count, 3)``."""
    coarse = np.flatnonzero(lung[::2, ::2, ::2])
    if len(coarse) == 0:
        return np.zeros((0, 3), np.int64)
    shape = tuple(-(-size // 2) for size in lung.shape)
    return np.stack(np.unravel_index(coarse[rng.integers(len(coarse), size=count)], shape), 1) * 2


def effusion(lung: Mask, spacing_mm: tuple[float, float, float], height_mm: float, posture: Literal["upright", "supine"]) -> Mask:
    """Fluid of ``height_mm`` above the lowest part of the pleural space, with a meniscus that climbs the chest wall."""
    axis = 0 if posture == "upright" else 1
    distance = np.arange(lung.shape[axis], dtype=np.float32) * spacing_mm[axis]
    along = distance if posture == "upright" else distance[::-1]
    present = np.flatnonzero(lung.any(axis=tuple(other for other in range(3) if other != axis)))
    if len(present) == 0:
        return np.zeros(lung.shape, bool)
    lowest = along[present].min()
    level = (along - lowest).reshape([-1 if dimension == axis else 1 for dimension in range(3)])
    across = _from_middle(np.any(lung, axis=(0, 1)))[None, None, :] ** 2
    if posture == "upright":  # the meniscus climbs front and back, too: its upper edge is soft on a frontal film
        across = np.add(across, _from_middle(np.any(lung, axis=(0, 2)))[None, :, None] ** 2)
    return np.asarray(lung & (level < height_mm * (1 + 0.35 * across)))


def _from_middle(present: Mask) -> NDArray[np.float32]:
    """Distance of each index from the middle of what is present, in halves of its length."""
    where = np.flatnonzero(present)
    middle, half = (where[0] + where[-1]) / 2, max((where[-1] - where[0]) / 2, 1)
    return np.asarray((np.arange(len(present)) - middle) / half, np.float32)


def smooth_noise(shape: tuple[int, ...], cells: tuple[int, int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise of unit deviation that varies over ``cells`` cells along each axis."""
    coarse = torch.from_numpy(rng.standard_normal((1, 1, *cells), np.float32))
    return np.asarray(torch.nn.functional.interpolate(coarse, shape, mode="trilinear", align_corners=True)[0, 0].numpy())


def opacity(
    lung: Mask, depth: NDArray[np.float32], pattern: Pattern, extent: float, softness: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Where and how strongly a lung is opacified, 0 to 1.

    Args:
        lung: the voxels of one lung, cut to their box.
        depth: distance of each to the lung's surface as a share of the largest one.
        pattern: where it lies: under the pleura, at the base, in one place, everywhere, around the hilum.
        extent: share of the lung that is taken.
        softness: width of its border, in deviations of the field that shapes it: small for consolidation, large for ground glass.
        rng: draws the shape and the texture.
    """
    score = smooth_noise(lung.shape, (6, 4, 5), rng) * rng.uniform(0.3, 0.8)
    height = np.linspace(0, 1, lung.shape[0], dtype=np.float32)[:, None, None]
    if pattern == "peripheral":
        score -= 2.5 * depth + rng.uniform(0, 1.2) * height
    elif pattern == "central":
        score += 2.5 * depth
    elif pattern == "basal":
        score -= 2.5 * height
    elif pattern == "focal":
        centre = _some_places(lung, 1, rng)[0]
        grid = np.ogrid[tuple(slice(size) for size in lung.shape)]
        reach = sum(((axis - middle) / size) ** 2 for axis, middle, size in zip(grid, centre, lung.shape, strict=True))
        score -= 5 * np.sqrt(reach)
    inside = score[lung]
    threshold = np.quantile(inside[:: max(1, len(inside) // 20_000)], 1 - extent)
    weight = 1 / (1 + np.exp(np.clip((threshold - score) / softness, -30, 30)))
    texture = np.clip(0.75 + 0.3 * smooth_noise(lung.shape, (24, 10, 18), rng), 0.2, 1.3)
    return np.asarray(weight * texture * lung, np.float32)


def collapsed(lung: Mask, side: Literal["right", "left"], share: float, spacing_mm: tuple[float, float, float]) -> Mask:
    """What is left of a lung (cut to its box) when air has entered the pleural space: shrunken by ``share`` towards the hilum, sunken."""
    hilum = np.asarray([0.45, 0.55, 1.0 if side == "right" else 0.0]) * (np.asarray(lung.shape) - 1)
    scale = 1 - share * np.asarray([0.6, 0.35, 1.0])
    sunken = np.asarray([share * 25 / spacing_mm[0], 0, 0])
    smaller = ndimage.affine_transform(lung.astype(np.uint8), 1 / scale, hilum - (hilum - sunken) / scale, order=0)
    return np.asarray((smaller > 0) & lung)
