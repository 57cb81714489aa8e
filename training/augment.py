"""Variation of a training image each time it is seen: field, angle, shape and greys. Never mirrored, so that sides stay true."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch.nn import functional

from ai_engine.model.images import Kind
from training.stages import Augmentation

AIR_HU = -1000.0
"""What lies outside the field of a turned or shrunken CT slice."""
_BENDS = 5
"""Points along each side that are displaced by themselves when an image is bent."""
_NOISE = np.random.default_rng(0).standard_normal(1 << 20, np.float32)
"""Noise to cut from, since drawing it anew for every image costs as much as the rest of the greys."""


def moved(
    image: NDArray[np.float32], masks: NDArray[np.bool_], outside: float, how: Augmentation, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Zoom, stretch, shift, turn and bend image (row, column) and masks (mask, row, column) alike; ``outside`` fills what comes in."""
    zoom = 1 + rng.uniform(-how.zoom, how.zoom)
    stretch = math.exp(rng.uniform(-how.stretch, how.stretch) / 2)
    angle = math.radians(rng.uniform(-how.turn_degrees, how.turn_degrees))
    right, down = 2 * rng.uniform(-how.shift, how.shift, 2)
    rows, columns = image.shape
    cosine, sine = math.cos(angle), math.sin(angle)
    # Where each pixel of the new image comes from, in halves of the sides, as a product of what depends on its row and on its column:
    # the place itself (the turn is one of square pixels), one, and the curves that bend it.
    across, along = (torch.zeros(2 + _BENDS, 2 + _BENDS) for _ in range(2))
    across[1, 0], across[0, 1], across[1, 1] = zoom * stretch * cosine, -zoom * stretch * sine * rows / columns, right
    along[1, 0], along[0, 1], along[1, 1] = zoom / stretch * sine * columns / rows, zoom / stretch * cosine, down
    if how.bend:
        across[2:, 2:], along[2:, 2:] = torch.from_numpy(rng.normal(0, 2 * how.bend, (2, _BENDS, _BENDS)).astype(np.float32))
    grid = torch.stack([_curves(rows) @ terms @ _curves(columns).T for terms in (across, along)], -1)
    # Image and masks in one; shifted so that the zeros outside become ``outside``.
    planes = np.concatenate([(image - np.float32(outside))[None], masks.astype(np.float32)])
    there = functional.grid_sample(torch.from_numpy(planes)[None], grid[None], align_corners=False)[0].numpy()
    return there[0] + np.float32(outside), there[1:] > 0.5


@lru_cache(maxsize=512)
def _curves(length: int) -> torch.Tensor:
    """[length, 2 + bends]: the centre of each pixel, -1 to 1; one; and how much each displaced point bends it (bicubic)."""
    centres = (torch.arange(length) + 0.5) * 2 / length - 1
    points = torch.eye(_BENDS)[None, :, :, None]
    bends = functional.interpolate(points, (length, 1), mode="bicubic", align_corners=True)[0, :, :, 0].T
    return torch.cat([centres[:, None], torch.ones(length, 1), bends], 1)


def regreyed(image: NDArray[np.float32], kind: Kind, how: Augmentation, rng: np.random.Generator) -> NDArray[np.float32]:
    """Vary the greys of a projection (any monotone scale) or the HU of a slice, and add noise and, at times, blur."""
    low, high = (AIR_HU, 1000.0) if kind == "ct" else (float(image.min()), float(image.max()))
    span = max(high - low, 1e-6)
    if kind == "projection":
        share = np.clip((image - low) / span, 0, 1) ** math.exp(rng.uniform(-how.contrast, how.contrast) * 1.5)
        centre = rng.uniform(0.3, 0.7)
        steep = 8 * rng.uniform(0, how.contrast)
        bent = 1 / (1 + np.exp(-steep * (share - centre))) if steep > 0.5 else share
        image = (low + span * bent).astype(np.float32)
    else:
        image = image * np.float32(1 + rng.uniform(-how.contrast, how.contrast) * 0.1) + np.float32(
            rng.uniform(-how.contrast, how.contrast) * 50
        )
    if rng.random() < 0.3:
        image = gaussian_filter(image, rng.uniform(0.3, 1.2))
    noise = rng.uniform(0, how.noise) * span * (0.5 if kind == "ct" else 1)
    start = int(rng.integers(max(1, _NOISE.size - image.size)))
    grain = np.resize(_NOISE[start : start + image.size], image.shape)
    return np.asarray(image + np.float32(noise) * grain, np.float32)
