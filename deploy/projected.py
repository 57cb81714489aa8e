"""Four chest radiographs projected from one CT: without a lesion, with the patient's own nodule, an effusion, and a consolidation.

Beer-Lambert along parallel rays from back to front, at the CT's own resolution; masks by the same rays.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.data import drr, lesions, slices
from training.data.sources import RIGHT_LUNG, Scan, healed

_PHOTONS = 3e5
_MARGIN = 0.12
_EFFUSION_MM = 95.0
_EFFUSION_HU = 10
_CONSOLIDATION = drr.Opacity("consolidation", "right", "focal", 0.25)
_SEED = 1


@dataclass(frozen=True, eq=False)
class Radiograph:
    """One picture with exact truth.

    Attributes:
        pixels: uint16 ``(row, column)``, 12 bits, bright where more was absorbed, the patient's right at column 0.
        spacing_mm: distance of pixel centres.
        masks: boolean ``(row, column)`` by label, for example ``left nodule``.
    """

    pixels: NDArray[np.uint16]
    spacing_mm: float
    masks: dict[str, NDArray[np.bool_]]


def radiographs(scan: Scan) -> dict[str, Radiograph]:
    """Return the radiographs ``normal``, ``nodule``, ``effusion`` and ``opacity`` of one patient who has a nodule."""
    healthy = healed(scan)
    normal = _line_integrals(healthy)
    # Structures are the same on all four; drawn where the training draws them.
    structures = drr.pose(healthy, np.random.default_rng(_SEED), amount=0).shadows
    shadows = {label: _stretched(shadow.astype(np.float32), normal.shape) > 0.5 for label, shadow in structures.items()}
    rows, columns = _field(shadows)

    nodule_side = "left" if np.median(np.nonzero(scan.lesion)[2]) > scan.lesion.shape[2] / 2 else "right"
    fluid = lesions.effusion(healthy.labels == RIGHT_LUNG, healthy.spacing_mm, _EFFUSION_MM, "upright")
    wet = replace(healthy, hounsfield=np.where(fluid, np.int16(_EFFUSION_HU), healthy.hounsfield))

    filled, hounsfield = slices.opacified(
        healthy.labels == RIGHT_LUNG, _CONSOLIDATION, healthy.hounsfield, healthy.spacing_mm, np.random.default_rng(_SEED)
    )
    dense = replace(healthy, hounsfield=healthy.hounsfield.copy())
    dense.hounsfield[filled] = hounsfield

    pictures = {}
    for name, patient, label in (
        ("normal", healthy, ""),
        ("nodule", scan, f"{nodule_side} nodule"),
        ("effusion", wet, "right pleural effusion"),
        ("opacity", dense, "right consolidation"),
    ):
        line = normal if patient is healthy else _line_integrals(patient)
        masks = dict(shadows)
        if label:
            change = line - normal
            masks[label] = change > (max(drr.LEAST_HAZE, drr.HAZE * float(change.max())) if patient is dense else drr.VISIBLE)
        noisy = drr.transmit(line, _PHOTONS, np.random.default_rng(_SEED))
        pictures[name] = Radiograph(
            _processed(noisy[rows, columns]), scan.spacing_mm[2], {name: mask[rows, columns] for name, mask in masks.items()}
        )
    return pictures


def _line_integrals(scan: Scan) -> NDArray[np.float32]:
    """Line integrals ``(row, column)`` with square pixels as wide as the CT's columns."""
    line = drr.project(drr.attenuation(scan.hounsfield.astype(np.float32)), scan.spacing_mm[1])
    slices, columns = line.shape
    return _stretched(line, (round((slices - 1) * scan.spacing_mm[0] / scan.spacing_mm[2]) + 1, columns), order=3)


def _stretched(picture: NDArray[np.float32], shape: tuple[int, ...], order: int = 1) -> NDArray[np.float32]:
    """Interpolate so that the centres of the corner pixels stay where they are."""
    factors = [new / old for new, old in zip(shape, picture.shape, strict=True)]
    return np.asarray(ndimage.zoom(picture, factors, order=order), np.float32)


def _field(shadows: dict[str, NDArray[np.bool_]]) -> tuple[slice, slice]:
    """A field around the lungs, as a radiographer would collimate."""
    lungs = shadows["right lung"] | shadows["left lung"]
    fields = []
    for axis in (0, 1):
        where = np.flatnonzero(lungs.any(axis=1 - axis))
        margin = int(_MARGIN * (where[-1] - where[0]))
        fields.append(slice(max(0, int(where[0]) - margin), min(lungs.shape[axis], int(where[-1]) + margin)))
    return fields[0], fields[1]


def _processed(line: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Line integrals to 12 bits, between the least and the most that is worth seeing."""
    low, high = np.percentile(line, [0.5, 99.5])
    return np.asarray(np.clip((line - low) / (high - low), 0, 1) * 4095, np.uint16)
