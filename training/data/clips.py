"""Clips: neighbouring slices of one CT with the same lesions in them, for learning and measuring how masks are carried along."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from training.data.cases import scan_of, shapes_on
from training.data.slices import HALF_SLAB, LEAST_PIXELS, cut, draw_slice
from training.data.sources import Scan


@dataclass(frozen=True, eq=False)
class Clip:
    """Slices of one volume, the key slice first.

    Attributes:
        patient: whose CT it is.
        images: int16 ``(slice, row, column)`` in HU, patient's right on the left.
        masks: boolean, of the same shape, by label: what is to be seen on the key slice, on all slices.
        step_mm: distance from slice to slice.
        kind: of the images.
        unjudged: nothing, as whoever put the findings in knows all of them.
    """

    patient: str
    images: NDArray[np.int16]
    masks: dict[str, NDArray[np.bool_]]
    step_mm: float
    kind: Literal["ct"] = "ct"
    unjudged: frozenset[str] = frozenset()


def clip(scan: Scan, shapes: list[NDArray[np.bool_]], length: int, rng: np.random.Generator, longest_step: int = 1) -> Clip:
    """Cut a clip of ``length`` slices from anywhere in the lungs, towards head or foot, every slice or up to every ``longest_step``-th."""
    if (length - 1) * longest_step > HALF_SLAB:
        raise ValueError(
            f"{length} slices at steps of {longest_step} reach further than the {HALF_SLAB} slices in which lesions are shaped."
        )
    while True:
        chosen, step = draw_slice(scan, rng), int(rng.integers(1, longest_step + 1)) * int(rng.choice((-1, 1)))
        if 0 <= chosen + step * (length - 1) < len(scan.labels):
            break
    images, masks = cut(scan, shapes, chosen, range(0, step * length, step), rng)
    seen = {label: mask for label, mask in masks.items() if mask[0].sum() >= LEAST_PIXELS}
    return Clip(scan.name, images, seen, abs(step) * scan.spacing_mm[0])


def clips_of(patient: str, sources: Path, length: int, rng: np.random.Generator, longest_step: int = 1) -> Iterator[Clip]:
    """Clips of one patient without end; ``sources`` keeps the downloaded packages."""
    scan = scan_of(patient, "ct", sources)
    shapes = shapes_on(scan.spacing_mm, sources)
    while True:
        yield clip(scan, shapes, length, rng, longest_step)
