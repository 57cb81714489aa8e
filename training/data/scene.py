"""A scene: one image with exact truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ai_engine.model.images import Kind

SIZE = 256
"""Longer side of a scene's image, in pixels."""


@dataclass(frozen=True, eq=False)
class Scene:
    """One image and what is on it.

    Attributes:
        kind: a frontal radiograph, or an axial CT slice.
        image: int16 ``(row, column)``, patient's right on the left; grey values 0 to 255 for a projection (bright where dense), HU for CT.
        masks: boolean ``(row, column)`` by label: a term of the report with its side before it where it has one ("left nodule").
        mimics: what is on it and looks like fluid, by the names of :mod:`training.data.mimics`.
        unjudged: names of findings and devices of which nobody knows whether they are there.
    """

    kind: Kind
    image: NDArray[np.int16]
    masks: dict[str, NDArray[np.bool_]]
    mimics: tuple[str, ...] = ()
    unjudged: frozenset[str] = frozenset()
