"""Variation of a training image each time it is seen: field, angle, shape and greys. Never mirrored, so that sides stay true."""

from __future__ import annotations

import math

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
    """Zoom, stretch, shift, turn and bend image (row, column) and masks (mask, row, column) alike; ``outside`` fills what comes into view."""
    zoom = 1 + rng.uniform(-how.zoom, how.zoom)
    stretch = math.exp(rng.uniform(-how.stretch, how.stretch) / 2)
    angle = math.radians(rng.uniform(-how.turn_degrees, how.turn_degrees))
    right, down = 2 * rng.uniform(-how.shift, how.shift, 2)
    rows, columns = image.shape
    cosine, sine = math.cos(angle), math.sin(angle)
    # Where each pixel of the new image comes from, in halves of the sides; the turn is one of square pixels.
    theta = torch.tensor(
        [
            [zoom * stretch * cosine, -zoom * stretch * sine * rows / columns, right],
            [zoom / stretch * sine * columns / rows, zoom / stretch * cosine, down],
        ],
        dtype=torch.float32,
    )
    grid = functional.affine_grid(theta[None], [1, 1, rows, columns], align_corners=False)
    if how.bend:
        bend = torch.from_numpy(rng.normal(0, 2 * how.bend, (1, 2, _BENDS, _BENDS)).astype(np.float32))
        grid = grid + functional.interpolate(bend, (rows, columns), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    # Shifted so that the zeros outside become ``outside``.
    there = functional.grid_sample(torch.from_numpy(image - outside)[None, None], grid, align_corners=False)[0, 0].numpy() + outside
    if not len(masks):
        return there, masks
    seen = functional.grid_sample(torch.from_numpy(masks.astype(np.float32))[None], grid, align_corners=False)[0] > 0.5
    return there, seen.numpy()


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
