"""Lesions put into a CT: nodules of real shapes, effusions under gravity, consolidation. Hounsfield units in, exact voxels out.

Each function returns the changed voxels and their new values; lungs are boolean ``(slice, row, column)``, slices from foot to head.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]


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


def consolidation(lung: Mask, spacing_mm: tuple[float, float, float], radius_mm: float, rng: np.random.Generator) -> Mask:
    """An irregular blob inside the lung: a ball whose radius wanders smoothly."""
    mask = np.zeros(lung.shape, bool)
    places = _some_places(lung, 1, rng)
    if len(places) == 0:
        return mask
    centre = places[0]
    reach = np.ceil(1.5 * radius_mm / np.asarray(spacing_mm)).astype(int)
    start, stop = np.maximum(centre - reach, 0), np.minimum(centre + reach + 1, lung.shape)
    grid = np.meshgrid(*(np.arange(low, high) for low, high in zip(start, stop, strict=True)), indexing="ij")
    distance = np.sqrt(sum(((axis - middle) * step) ** 2 for axis, middle, step in zip(grid, centre, spacing_mm, strict=True)))
    coarse = rng.normal(0, 1, (5, 5, 5))
    wander = ndimage.zoom(coarse, [size / 5 for size in distance.shape], order=1, grid_mode=True, mode="nearest")[
        tuple(slice(size) for size in distance.shape)
    ]
    where = tuple(slice(low, high) for low, high in zip(start, stop, strict=True))
    mask[where] = (distance < radius_mm * (1 + 0.25 * wander)) & lung[where]
    return mask
