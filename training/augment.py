"""Variation of a training image each time it is seen: field, angle and greys. Never mirrored, so that sides stay true."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from ai_engine.model.images import Kind
from training.stages import Augmentation

AIR_HU = -1000.0
"""What lies outside the field of a turned or shrunken CT slice."""
_NOISE = np.random.default_rng(0).standard_normal(1 << 20, np.float32)
"""Noise to cut from, since drawing it anew for every image costs as much as the rest of the greys."""


def moved(
    image: NDArray[np.float32], masks: NDArray[np.bool_], outside: float, how: Augmentation, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Zoom, shift and turn image (row, column) and masks (mask, row, column) alike; ``outside`` fills what comes into view."""
    zoom = 1 + rng.uniform(-how.zoom, how.zoom)
    angle = math.radians(rng.uniform(-how.turn_degrees, how.turn_degrees))
    right, down = rng.uniform(-how.shift, how.shift, 2)
    rows, columns = image.shape
    cosine, sine = zoom * math.cos(angle), zoom * math.sin(angle)
    # Where each pixel of the new image comes from: a turn about the middle, in whole pixels so that proportions stay.
    from_column = (cosine, -sine, columns / 2 * (1 - cosine) + rows / 2 * sine + right * columns)
    from_row = (sine, cosine, rows / 2 * (1 - cosine) - columns / 2 * sine + down * rows)
    coefficients = (*from_column, *from_row)

    def transformed(plane: Image.Image, how_sampled: Image.Resampling, fill: float) -> Image.Image:
        return plane.transform((columns, rows), Image.Transform.AFFINE, coefficients, how_sampled, fillcolor=fill)

    there = np.asarray(transformed(Image.fromarray(image), Image.Resampling.BILINEAR, outside), np.float32)
    seen = [np.asarray(transformed(Image.fromarray(mask.view(np.uint8)), Image.Resampling.NEAREST, 0)) > 0 for mask in masks]
    return there, np.stack(seen) if seen else masks


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
