"""Axial CT slices with exact truth: a slab of a scan, lesions put in, slices cut out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from training.data import lesions
from training.data.drr import SIDES, Opacity, draw_wanted
from training.data.scene import SIZE, Scene
from training.data.sources import AIR_HU, GREAT_VESSELS, HEART, Scan

HALF_SLAB = 14
"""Slices on either side of the chosen one in which a lesion is shaped."""
LEAST_PIXELS = 25
_IN_PLANE = ndimage.generate_binary_structure(2, 1)[None]


def scene(scan: Scan, shapes: list[NDArray[np.bool_]], rng: np.random.Generator) -> Scene:
    """Cut one slice. ``shapes``: nodules as boolean blocks on the scan's own grid."""
    (image,), masks = cut(scan, shapes, draw_slice(scan, rng), (0,), rng)
    return Scene("ct", image, {name: mask[0] for name, mask in masks.items() if mask.sum() >= LEAST_PIXELS})


def draw_slice(scan: Scan, rng: np.random.Generator) -> int:
    """Any slice that shows a lung."""
    lungs = np.flatnonzero(np.isin(scan.labels, list(SIDES.values())).any(axis=(1, 2)))
    return int(rng.integers(lungs[0], lungs[-1] + 1))


def cut(
    scan: Scan, shapes: list[NDArray[np.bool_]], chosen: int, beside: Sequence[int], rng: np.random.Generator
) -> tuple[NDArray[np.int16], dict[str, NDArray[np.bool_]]]:
    """Put lesions into the slab around a slice, and cut out slices in one field of view.

    Args:
        scan: the patient.
        shapes: nodules as boolean blocks on the scan's own grid.
        chosen: index of the slice that nodules go through.
        beside: which slices to cut, counted from ``chosen``, at most ``HALF_SLAB`` away and inside the scan.
        rng: draws lesions, field of view and noise.

    Returns:
        The images (slice, row, column) in HU, and masks of the same shape by label.
    """
    first = max(0, chosen - HALF_SLAB)
    slab = slice(first, min(len(scan.labels), chosen + HALF_SLAB + 1))
    plane = chosen - first
    shown = [plane + offset for offset in beside]
    hounsfield, labels = scan.hounsfield[slab].copy(), scan.labels[slab]
    wanted = draw_wanted(rng)
    masks = {f"{side} lung": labels[shown] == value for side, value in SIDES.items()}
    if scan.has_organs:
        masks["mediastinum"] = (labels[shown] == HEART) | (labels[shown] == GREAT_VESSELS)
    found: dict[str, NDArray[np.bool_]] = {}
    for side in wanted.nodules:
        mask = _nodule_through(labels == SIDES[side], plane, shapes, rng)
        if mask is not None:
            hounsfield[mask] = rng.normal(rng.uniform(-20, 70), 15, int(mask.sum())).astype(np.int16)
            found[f"{side} nodule"] = found.get(f"{side} nodule", np.zeros_like(mask[shown])) | mask[shown]
    for each in wanted.opacities:
        mask, filled = opacified(labels == SIDES[each.side], each, hounsfield, scan.spacing_mm, rng)
        hounsfield[mask] = np.maximum(hounsfield[mask], filled)
        seen = ndimage.binary_opening(mask[shown], _IN_PLANE, iterations=2)
        others = np.logical_or.reduce([place for label, place in found.items() if label.startswith(each.side)] or [np.zeros_like(seen)])
        label = f"{each.side} {each.name}"
        found[label] = found.get(label, np.zeros_like(seen)) | (seen & ~others)
    for side, share in (wanted.collapse or {}).items():
        lung = labels == SIDES[side]
        air = _air(lung, side, share, scan.spacing_mm)
        hounsfield[air] = AIR_HU
        found = {label: place & ~air[shown] for label, place in found.items()}
        found[f"{side} pneumothorax"] = air[shown]
    for side, height in wanted.effusion_mm.items():
        mask = lesions.effusion(labels == SIDES[side], scan.spacing_mm, 0.6 * height, "supine")
        hounsfield[mask] = rng.normal(10, 10, int(mask.sum())).astype(np.int16)
        found = {label: place & ~mask[shown] for label, place in found.items()}  # nothing is seen in fluid
        found[f"{side} pleural effusion"] = mask[shown]
    return _framed(hounsfield[shown], masks | found, rng)


def _box(mask: NDArray[np.bool_]) -> tuple[slice, ...]:
    return tuple(ndimage.find_objects(mask.view(np.uint8))[0])


def opacified(
    lung: NDArray[np.bool_],
    wanted: Opacity,
    hounsfield: NDArray[np.int16],
    spacing_mm: tuple[float, float, float],
    rng: np.random.Generator,
) -> tuple[NDArray[np.bool_], NDArray[np.int16]]:
    """The voxels (slice, row, column) of ``lung`` that an opacity takes, and their new HU, in the mask's order."""
    mask = np.zeros_like(lung)
    if not lung.any():
        return mask, np.zeros(0, np.int16)
    box = _box(lung)
    depth = ndimage.distance_transform_edt(lung[box][:, ::2, ::2], (spacing_mm[0], 2 * spacing_mm[1], 2 * spacing_mm[2]))
    depth = np.repeat(np.repeat(depth, 2, 1), 2, 2)[:, : lung[box].shape[1], : lung[box].shape[2]]
    share = (depth / max(depth.max(), 1e-3)).astype(np.float32)
    dense = wanted.name == "consolidation"
    weight = lesions.opacity(lung[box], share, wanted.pattern, wanted.extent, 0.06 if dense else 0.1, rng)
    mask[box] = weight > 0.35
    level = rng.uniform(600, 900) if dense else rng.uniform(180, 400)
    filled = np.minimum(hounsfield[mask] + level * weight[weight > 0.35] + rng.normal(0, 20, int(mask.sum())), 60)
    return mask, filled.astype(np.int16)


def _air(lung: NDArray[np.bool_], side: str, share: float, spacing_mm: tuple[float, float, float]) -> NDArray[np.bool_]:
    """Air in the pleural space of a patient who lies on the back: the lung sinks away from the chest wall, in front most."""
    air = np.zeros_like(lung)
    if lung.any():
        box = _box(lung)
        upright = np.swapaxes(lung[box], 0, 1)[::-1]  # what is up for someone who stands is in front for someone who lies
        left_over = lesions.collapsed(upright, "right" if side == "right" else "left", share, (spacing_mm[1], spacing_mm[0], spacing_mm[2]))
        air[box] = lung[box] & ~np.swapaxes(left_over[::-1], 0, 1)
    return air


def _nodule_through(
    lung: NDArray[np.bool_], plane: int, shapes: list[NDArray[np.bool_]], rng: np.random.Generator
) -> NDArray[np.bool_] | None:
    """A nodule that the chosen plane cuts through its middle part."""
    for _ in range(4):
        shape = shapes[rng.integers(len(shapes))]
        half = max(1, shape.shape[0] // 4)
        low = max(0, plane - half)
        allowed = np.zeros_like(lung)
        allowed[low : plane + half + 1] = lung[low : plane + half + 1]
        centre = np.argwhere(allowed[plane])
        if len(centre) == 0:
            return None
        row, column = centre[rng.integers(len(centre))]
        start = np.asarray([plane - shape.shape[0] // 2, row - shape.shape[1] // 2, column - shape.shape[2] // 2])
        stop = start + shape.shape
        inner = np.maximum(-start, 0)
        outer = np.asarray(shape.shape) - np.maximum(stop - lung.shape, 0)
        where = tuple(slice(max(0, a), min(b, n)) for a, b, n in zip(start, stop, lung.shape, strict=True))
        block = shape[tuple(slice(a, b) for a, b in zip(inner, outer, strict=True))]
        mask = np.zeros_like(lung)
        mask[where] = block & lung[where]
        if mask[plane].sum() > 0.7 * shape[shape.shape[0] // 2].sum() > 0:
            return mask
    return None


def _framed(
    planes: NDArray[np.int16], masks: dict[str, NDArray[np.bool_]], rng: np.random.Generator
) -> tuple[NDArray[np.int16], dict[str, NDArray[np.bool_]]]:
    """Another field of view: the body shifted and scaled in the reconstruction circle, then stored at ``SIZE``; noise added."""
    whole = planes.shape[1]
    side = whole * float(rng.uniform(0.8, 1.1))
    centre = whole / 2 + rng.uniform(-0.06, 0.06, 2) * whole
    box = (centre[1] - side / 2, centre[0] - side / 2, centre[1] + side / 2, centre[0] + side / 2)

    def framed(array: NDArray[np.float32], outside: float) -> NDArray[np.float32]:
        pictures = [
            Image.fromarray(plane).transform((SIZE, SIZE), Image.Transform.EXTENT, box, Image.Resampling.BILINEAR)
            for plane in array - outside
        ]
        return np.stack([np.asarray(picture, np.float32) for picture in pictures]) + outside

    images = framed(planes.astype(np.float32), AIR_HU)
    noise = rng.normal(0, rng.uniform(0, 25), images.shape)
    return (images + noise).astype(np.int16), {name: framed(mask.astype(np.float32), 0) > 0.5 for name, mask in masks.items()}
