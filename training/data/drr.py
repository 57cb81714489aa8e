"""Radiographs projected from a CT (digitally reconstructed radiographs), with masks projected along the same rays.

Beer-Lambert with parallel rays from back to front (PA): the line integral of attenuation is the sum over the row axis. The picture has
the head up and the patient's right on its left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage.exposure import equalize_adapthist

from training.data import lesions
from training.data.scene import SIZE, Scene
from training.data.sources import ABDOMEN, AIR_HU, GREAT_VESSELS, HEART, LEFT_LUNG, RIGHT_LUNG, Scan

MU_WATER = 0.02
"""Attenuation of water, 1/mm, at the mean energy of a chest radiograph."""
BONE_HU = 200.0
"""Above this, attenuation grows with the photoelectric share of bone or contrast."""
STEP_MM = (1.6, 3.2, 1.6)
"""Grid of a posed body: fine in the picture's plane, coarse along the rays."""
LEAST_PIXELS = 30
ABDOMEN_MM = 35.0
"""Rays through this much of the abdomen show no lung: on a film the lung ends at the dome, though it goes on behind."""
Mask = NDArray[np.bool_]
_DISC = np.hypot(*np.ogrid[-7:8, -7:8]) < 7.5
SIDES = {"right": RIGHT_LUNG, "left": LEFT_LUNG}
VISIBLE = 0.03
"""A lesion's truth is where it changes the line integral by this much."""
CONSPICUOUS = 0.15
"""A lesion that changes it by less than this everywhere (8 mm of water) is not there to be seen, and left out."""


@dataclass(frozen=True, eq=False)
class Body:
    """A CT posed in front of the detector, on the grid of ``STEP_MM``.

    Attributes:
        hounsfield: float32 ``(slice, row, column)``.
        lungs: boolean of the same shape by side.
        soft, excess: line integrals ``(row, column)`` without and with only what lies above :data:`BONE_HU`.
        shadows: masks of the normal structures on the picture, by label.
    """

    hounsfield: NDArray[np.float32]
    lungs: dict[str, NDArray[np.bool_]]
    soft: NDArray[np.float32]
    excess: NDArray[np.float32]
    shadows: dict[str, NDArray[np.bool_]]

    @classmethod
    def of(cls, hounsfield: NDArray[np.float32], labels: NDArray[np.uint8]) -> Body:
        """Project what stays the same in every scene of this pose."""
        lungs = {side: labels == value for side, value in SIDES.items()}
        domes = ndimage.binary_opening((labels == ABDOMEN).sum(axis=1)[::-1] * STEP_MM[1] > ABDOMEN_MM, _DISC)
        seen = {side: ndimage.binary_opening(project_mask(lung) & ~domes, _DISC) for side, lung in lungs.items()}
        shadows = {f"{side} lung": _largest(shadow) for side, shadow in seen.items()}
        shadows["mediastinum"] = _silhouette(labels)
        soft = project(attenuation(hounsfield, 0.0), STEP_MM[1])
        return cls(hounsfield, lungs, soft, project(attenuation(hounsfield, 1.0), STEP_MM[1]) - soft, shadows)


def _silhouette(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """The cardiomediastinal silhouette: heart and mediastinum, gaps closed, spurs of vessels cut off, one piece."""
    shadow = np.pad(project_mask(np.isin(labels, (HEART, GREAT_VESSELS))), 12)
    closed = ndimage.binary_closing(shadow, iterations=8)
    return _largest(ndimage.binary_opening(closed, _DISC)[12:-12, 12:-12])


def attenuation(hounsfield: NDArray[np.float32], bone: float = 1.0) -> NDArray[np.float32]:
    """Linear attenuation, 1/mm. ``bone`` scales what lies above :data:`BONE_HU`: low for a hard beam, high for a soft one."""
    excess = np.maximum(hounsfield - BONE_HU, 0)
    return np.asarray(MU_WATER * np.maximum(1 + (hounsfield - excess + bone * excess) / 1000, 0), np.float32)


def project(values: NDArray[np.float32], step_mm: float) -> NDArray[np.float32]:
    """Line integrals of ``(slice, row, column)`` values along the row axis: ``(row, column)`` with the head up."""
    return np.asarray(values.sum(axis=1)[::-1] * step_mm, np.float32)


def project_mask(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The shadow of a mask along the same rays."""
    shadow: NDArray[np.bool_] = np.any(mask, axis=1)
    return shadow[::-1]


def transmit(line: NDArray[np.float32], photons: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Beer-Lambert and quantum noise: what a detector makes of line integrals, as noisy line integrals (-log of transmission)."""
    counts = rng.poisson(photons * np.exp(-np.clip(line, 0, 12))).astype(np.float32)
    return np.asarray(-np.log((counts + 1) / photons), np.float32)


def pose(scan: Scan, rng: np.random.Generator, amount: float = 1.0) -> Body:
    """Turn, tilt, stretch and bend a body. ``amount`` 0 leaves it as it lay; 1 is what patients do."""
    angles = np.deg2rad(rng.uniform(-1, 1, 3) * (4, 5, 7) * amount)  # in the picture's plane, nodding, turning
    scale = np.exp(rng.uniform(-1, 1, 3) * 0.12 * amount)
    size_mm = np.asarray(scan.hounsfield.shape) * scan.spacing_mm
    shape = tuple(int(n) for n in np.round(size_mm / STEP_MM))
    axes = [torch.linspace(-1, 1, n) for n in shape]
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1) * torch.tensor(size_mm / 2, dtype=torch.float32)
    grid = grid @ torch.tensor((_rotation(angles) / scale).T, dtype=torch.float32)
    if amount:
        bend = torch.tensor(rng.normal(0, 5 * amount, (1, 3, 4, 4, 4)), dtype=torch.float32)
        grid += torch.nn.functional.interpolate(bend, shape, mode="trilinear", align_corners=True)[0].permute(1, 2, 3, 0)
    where = (grid / torch.tensor(size_mm / 2, dtype=torch.float32)).flip(-1)[None]  # grid_sample wants the last axis first
    # shifted by air's value, so that what lies outside the scan is air
    hounsfield = _sample(scan.hounsfield.astype(np.float32) - AIR_HU, where, "bilinear") + AIR_HU
    return Body.of(hounsfield, _sample(scan.labels.astype(np.float32), where, "nearest").astype(np.uint8))


def _sample(array: NDArray[np.float32], where: torch.Tensor, mode: str) -> NDArray[np.float32]:
    tensor = torch.from_numpy(array)[None, None]
    return np.asarray(torch.nn.functional.grid_sample(tensor, where, mode=mode, align_corners=True)[0, 0].numpy())


def _rotation(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation about the row, the column and the slice axis, of vectors (slice, row, column)."""
    (a, b, c), (x, y, z) = np.cos(angles), np.sin(angles)
    in_plane = np.asarray([[a, 0, x], [0, 1, 0], [-x, 0, a]])
    nod = np.asarray([[b, -y, 0], [y, b, 0], [0, 0, 1]])
    turn = np.asarray([[1, 0, 0], [0, c, -z], [0, z, c]])
    return np.asarray(in_plane @ nod @ turn)


@dataclass(frozen=True)
class Wanted:
    """What to put into a projection: per side, an effusion's height in mm; lists of sides for nodules and consolidations."""

    effusion_mm: dict[str, float]
    nodules: tuple[str, ...] = ()
    consolidations: tuple[str, ...] = ()


def draw_wanted(rng: np.random.Generator) -> Wanted:
    """A third normal; the rest one or two kinds of lesion."""
    sides = ("right", "left")
    kinds = rng.choice(
        ["none", "nodule", "effusion", "consolidation", "nodule+effusion", "effusion both"], p=[0.3, 0.28, 0.22, 0.1, 0.05, 0.05]
    )
    side = sides[rng.integers(2)]
    height = float(rng.uniform(40, 150))
    heights = {"effusion both": {"right": height, "left": float(rng.uniform(40, 150))}, "effusion": {side: height}}
    return Wanted(
        heights.get(kinds, {sides[rng.integers(2)]: height} if "+effusion" in kinds else {}),
        (side,) * int(rng.choice([1, 2], p=[0.8, 0.2])) if kinds.startswith("nodule") else (),
        (side,) if kinds == "consolidation" else (),
    )


def insert(
    body: Body, wanted: Wanted, shapes: list[NDArray[np.bool_]], rng: np.random.Generator
) -> list[tuple[str, Mask, NDArray[np.float32]]]:
    """Where the wanted lesions are in a posed body: label, voxels, and their new HU (one value a voxel)."""
    lesions_there: list[tuple[str, Mask, NDArray[np.float32]]] = []

    def add(label: str, mask: Mask | None, level: float, spread: float) -> None:
        for _, before, _ in lesions_there:  # what lies in fluid or in another lesion adds nothing
            mask = mask if mask is None else mask & ~before
        if mask is not None and mask.any():
            values = rng.normal(level, spread, int(mask.sum())).astype(np.float32)
            lesions_there.append((label, mask, np.maximum(values, body.hounsfield[mask])))

    for side, height in wanted.effusion_mm.items():
        add(f"{side} pleural effusion", lesions.effusion(body.lungs[side], STEP_MM, height, "upright"), 10, 8)
    for side in wanted.nodules:
        add(f"{side} nodule", lesions.nodule(body.lungs[side], shapes[rng.integers(len(shapes))], rng), rng.uniform(0, 80), 15)
    for side in wanted.consolidations:
        blob = lesions.consolidation(body.lungs[side], STEP_MM, float(rng.uniform(20, 45)), rng)
        add(f"{side} consolidation", blob, rng.uniform(-250, 0), 60)
    return lesions_there


def render(
    body: Body, wanted: Wanted, shapes: list[NDArray[np.bool_]], rng: np.random.Generator
) -> tuple[NDArray[np.float32], dict[str, Mask]]:
    """Project a posed body with the wanted lesions: line integrals ``(row, column)`` at ``STEP_MM`` and masks by label."""
    bone = float(rng.uniform(0.7, 1.6))
    line = body.soft + bone * body.excess
    masks = dict(body.shadows)
    for label, voxels, values in insert(body, wanted, shapes, rng):
        slices, _, columns = np.nonzero(voxels)
        change = np.zeros(line.shape, np.float32)
        more = attenuation(values, bone) - attenuation(body.hounsfield[voxels], bone)
        np.add.at(change, (line.shape[0] - 1 - slices, columns), more * STEP_MM[1])
        seen = (change > VISIBLE) & body.shadows[f"{label.split()[0]} lung"]
        if seen.sum() >= LEAST_PIXELS and change[seen].max() > CONSPICUOUS:
            line = line + change
            masks[label] = masks.get(label, np.zeros(line.shape, bool)) | seen
    return line, {label: mask for label, mask in masks.items() if mask.any()}


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    pieces, count = ndimage.label(mask)
    if count <= 1:
        return mask
    return np.asarray(pieces == 1 + np.argmax(ndimage.sum_labels(mask, pieces, np.arange(1, count + 1))))


def scene(body: Body, shapes: list[NDArray[np.bool_]], rng: np.random.Generator) -> Scene:
    """One radiograph as a department would store it: cropped, exposed, processed, marked."""
    line, masks = render(body, draw_wanted(rng), shapes, rng)
    line = transmit(line, photons=10 ** float(rng.uniform(4.6, 6)), rng=rng)
    names = list(masks)
    rows, columns = _crop(masks, line.shape, rng)
    # bilinear to the stored size; masks by the same map
    line = _resize(line[rows, columns], SIZE)
    masks = {name: _resize(masks[name][rows, columns].astype(np.float32), SIZE) > 0.5 for name in names}
    image = _process(line, rng)
    _mark(image, rng)
    return Scene("projection", image.astype(np.int16), {name: mask for name, mask in masks.items() if mask.sum() >= 12})


def _crop(masks: dict[str, NDArray[np.bool_]], shape: tuple[int, ...], rng: np.random.Generator) -> tuple[slice, slice]:
    """A field around the lungs with margins that vary, sometimes cutting them a little."""
    lungs = masks.get("right lung", np.zeros(shape, bool)) | masks.get("left lung", np.zeros(shape, bool))
    bounds = []
    for axis in (0, 1):
        where = np.flatnonzero(lungs.any(axis=1 - axis))
        low, high = (int(where[0]), int(where[-1]) + 1) if len(where) else (0, shape[axis])
        before, after = rng.uniform(-0.03, 0.4, 2) * (high - low)
        bounds.append(slice(max(0, int(low - before)), min(shape[axis], int(high + after))))
    return bounds[0], bounds[1]


def _resize(array: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Scale so that the longer side is ``size``."""
    height, width = array.shape
    factor = size / max(height, width)
    target = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(array.astype(np.float32)).resize(target, Image.Resampling.BICUBIC), np.float32)


def _process(line: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Line integrals to grey values: window, tone curve, local contrast, blur, sharpening."""
    low, high = np.percentile(line, [rng.uniform(0, 3), rng.uniform(82, 100)])
    haze = ndimage.zoom(
        rng.normal(0, rng.uniform(0, 0.1), (4, 4)), [size / 4 for size in line.shape], order=3, grid_mode=True, mode="nearest"
    )
    grey = np.clip((line - low) / max(high - low, 1e-3) + haze, 0, 1) ** float(rng.uniform(0.6, 1.6))
    if rng.random() < 0.5:
        local = equalize_adapthist(grey, kernel_size=int(rng.integers(32, 96)), clip_limit=float(rng.uniform(0.005, 0.03)))
        weight = rng.uniform(0.3, 1)
        grey = weight * local + (1 - weight) * grey
    grey = ndimage.gaussian_filter(grey, float(rng.uniform(0, 0.9)))
    if rng.random() < 0.3:
        grey = grey + rng.uniform(0.3, 1.0) * (grey - ndimage.gaussian_filter(grey, 4))
    if rng.random() < 0.5:
        steep = rng.uniform(3, 7)
        grey = 1 / (1 + np.exp(-steep * (grey - rng.uniform(0.4, 0.6))))
        grey = (grey - grey.min()) / max(float(np.ptp(grey)), 1e-3)
    return np.asarray(np.clip(grey * 255 + rng.normal(0, rng.uniform(0, 3), grey.shape), 0, 255), np.uint8)


def _mark(image: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Collimator edges, a side marker, cables: drawn in place."""
    height, width = image.shape
    if rng.random() < 0.3:
        edge = rng.integers(0, max(2, width // 14), 4)
        shade = int(rng.choice([0, 0, 0, 255]))
        image[: edge[0]] = shade
        image[height - edge[1] :] = shade
        image[:, : edge[2]] = shade
        image[:, width - edge[3] :] = shade
    picture = Image.fromarray(image)
    pen = ImageDraw.Draw(picture)
    if rng.random() < 0.5:
        right = rng.random() < 0.5
        column = rng.uniform(0.03, 0.15) * width
        at = (column if right else width - column - 12, rng.uniform(0.02, 0.2) * height)
        pen.text(at, "R" if right else "L", fill=255, font_size=float(rng.uniform(12, 24)))
    for _ in range(int(rng.choice([0, 1, 3], p=[0.7, 0.2, 0.1]))):
        points = rng.uniform(-0.1, 1.1, (4, 2)) * (width, height)
        curve = [tuple(_bezier(points, step)) for step in np.linspace(0, 1, 30)]
        pen.line(curve, fill=int(rng.integers(170, 255)), width=int(rng.integers(1, 3)))
    image[:] = np.asarray(picture)


def _bezier(points: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    weights = np.asarray([(1 - step) ** 3, 3 * step * (1 - step) ** 2, 3 * step**2 * (1 - step), step**3])
    return np.asarray(weights @ points)
