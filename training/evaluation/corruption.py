"""Images made worse in five ways, each at five severities, to see how fast the figures fall."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.evaluation.truth import Truth

Corruption = Literal["noise", "blur", "gamma", "inversion", "rotation"]
SEVERITIES: dict[Corruption, tuple[float, float, float, float, float]] = {
    "noise": (0.02, 0.05, 0.1, 0.15, 0.25),
    "blur": (0.002, 0.004, 0.008, 0.012, 0.02),
    "gamma": (1.25, 1.6, 2.0, 2.5, 3.2),
    "inversion": (0.9, 0.75, 0.6, 0.3, 0.0),
    "rotation": (3.0, 6.0, 10.0, 15.0, 25.0),
}
"""What grows from severity 1 to 5: the noise's standard deviation as a share of the grey range; the blur's as a share of the image's
diagonal; the exponent of the greys; the grey above which all is inverted (0: the whole image, as where MONOCHROME1 is mistaken for
MONOCHROME2); degrees."""


def corrupted(truth: Truth, how: Corruption, severity: int) -> Truth:
    """The same image made worse, its masks turned along with it; ``severity`` 1 to 5. Noise is the same each time."""
    amount = SEVERITIES[how][severity - 1]
    if how == "rotation":
        return _turned(truth, amount)
    low, high = float(truth.image.min()), float(truth.image.max())
    share = (truth.image - low) / max(high - low, 1e-6)
    return replace(truth, image=(low + (high - low) * _GREYS[how](share, amount)).astype(np.float32))


def _noisy(share: NDArray[np.float32], deviation: float) -> NDArray[np.float32]:
    return np.clip(share + deviation * np.random.default_rng(0).standard_normal(share.shape, np.float32), 0, 1)


def _blurred(share: NDArray[np.float32], deviation: float) -> NDArray[np.float32]:
    return np.asarray(ndimage.gaussian_filter(share, deviation * float(np.hypot(*share.shape))), np.float32)


def _inverted(share: NDArray[np.float32], above: float) -> NDArray[np.float32]:
    return np.where(share >= above, 1 - share, share)


_GREYS: dict[Corruption, Callable[[NDArray[np.float32], float], NDArray[np.float32]]] = {
    "noise": _noisy,
    "blur": _blurred,
    "gamma": lambda share, exponent: share**exponent,
    "inversion": _inverted,
}


def _turned(truth: Truth, degrees: float) -> Truth:
    """Turned about the middle; what comes into view is as dark as the darkest pixel."""
    image = ndimage.rotate(truth.image, degrees, reshape=False, order=1, cval=float(truth.image.min()))
    masks = {label: ndimage.rotate(mask.view(np.uint8), degrees, reshape=False, order=0) > 0 for label, mask in truth.masks.items()}
    return replace(truth, image=image.astype(np.float32), masks=masks)
