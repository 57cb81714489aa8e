"""Radiographs projected from a CT (digitally reconstructed radiographs), with masks projected along the same rays.

Beer-Lambert with parallel rays from back to front (PA): the line integral of attenuation is the sum over the row axis. The picture has
the head up and the patient's right on its left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from training.data import film, lesions
from training.data.lesions import Mask, Pattern
from training.data.scene import Scene
from training.data.sources import ABDOMEN, AIR_HU, GREAT_VESSELS, HEART, LEFT_LUNG, RIBS, RIGHT_LUNG, Scan

MU_WATER = 0.02
"""Attenuation of water, 1/mm, at the mean energy of a chest radiograph."""
BONE_HU = 200.0
"""Above this, attenuation grows with the photoelectric share of bone or contrast."""
STEP_MM = (1.6, 4.8, 1.6)
"""Grid of a posed body: fine in the picture's plane, coarse along the rays."""
LEAST_PIXELS = 30
ABDOMEN_MM = 35.0
"""Rays through this much of the abdomen show no lung: on a film the lung ends at the dome, though it goes on behind."""
RECESS_MM = 45.0
"""Within the mediastinum's shadow, rays through less lung than this show none: its thin recesses beside the heart are not drawn."""
_DISC = np.hypot(*np.ogrid[-7:8, -7:8]) < 7.5
_SMALL_DISC = np.hypot(*np.ogrid[-2:3, -2:3]) < 2.5
SIDES = {"right": RIGHT_LUNG, "left": LEFT_LUNG}
VISIBLE = 0.03
"""A lesion's truth is where it changes the line integral by this much."""
CONSPICUOUS, CONSPICUOUS_OPACITY = 0.15, 0.25
"""A lesion that changes it by less than this everywhere (8 mm of water) is not there to be seen, and left out; an opacity, whose edges
are soft, must change it by more."""
HAZE, LEAST_HAZE = 0.3, 0.1
"""An opacity's truth is where it changes the line integral by this share of what it does at its densest, and by no less than this."""
LARGE_HEART, NORMAL_HEART = 0.55, 0.5
"""Cardiothoracic ratio from which a heart is called large, and up to which normal; nothing is said of hearts between."""
_HEART_REACH_MM = 70.0


@dataclass(frozen=True, eq=False)
class Body:
    """A CT posed in front of the detector, on the grid of ``STEP_MM``.

    Attributes:
        hounsfield: float32 ``(slice, row, column)``, cut to the box around both lungs: lesions are put in there.
        corner: slice and column of that box in the whole body.
        lungs: boolean of the same shape by side.
        depths: distance to the lung's surface as a share of the largest, on each lung's box, by side.
        soft, excess: line integrals ``(row, column)`` without and with only what lies above :data:`BONE_HU`.
        shadows: masks of the structures on the picture by label; "cardiomegaly" among them where the heart is large.
    """

    hounsfield: NDArray[np.float32]
    corner: tuple[int, int]
    lungs: dict[str, Mask]
    depths: dict[str, NDArray[np.float32]]
    soft: NDArray[np.float32]
    excess: NDArray[np.float32]
    shadows: dict[str, Mask]

    @classmethod
    def of(cls, hounsfield: NDArray[np.float32], labels: NDArray[np.uint8], has_organs: bool = False) -> Body:
        """Project what stays the same in every scene of this pose; heart and ribs only of a scan that ``has_organs``."""
        lungs = {side: labels == value for side, value in SIDES.items()}
        domes = ndimage.binary_opening((labels == ABDOMEN).sum(axis=1)[::-1] * STEP_MM[1] > ABDOMEN_MM, _DISC)
        silhouette = _silhouette(labels)
        covered = ndimage.binary_dilation(silhouette, _DISC)
        seen = {side: lung.sum(axis=1)[::-1] * STEP_MM[1] > np.where(covered, RECESS_MM, 0) for side, lung in lungs.items()}
        shadows = {f"{side} lung": smooth(shadow & ~domes) for side, shadow in seen.items()}
        shadows["mediastinum"] = silhouette
        if has_organs:
            shadows |= _heart(_largest(ndimage.binary_opening(project_mask(labels == HEART), _DISC)), shadows)
            shadows["ribs"] = project_mask(labels == RIBS)
        soft = project(attenuation(hounsfield, 0.0), STEP_MM[1])
        excess = project(attenuation(hounsfield, 1.0), STEP_MM[1]) - soft
        chest = _box(lungs["right"] | lungs["left"])
        lungs = {side: lung[chest] for side, lung in lungs.items()}
        depths = {side: _depth(lung[_box(lung)]) for side, lung in lungs.items() if lung.any()}
        return cls(hounsfield[chest], (chest[0].start, chest[2].start), lungs, depths, soft, excess, shadows)

    def cast(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """The shadow on the whole picture of values (slice, row, column) on the lungs' box: line integrals, or any other sum."""
        slices, _, columns = values.shape
        bottom, left = self.soft.shape[0] - self.corner[0], self.corner[1]
        whole = np.zeros(self.soft.shape, np.float32)
        whole[bottom - slices : bottom, left : left + columns] = values.sum(axis=1)[::-1]
        return whole


def _silhouette(labels: NDArray[np.uint8]) -> Mask:
    """The cardiomediastinal silhouette: heart and mediastinum, gaps closed, spurs of vessels cut off, one piece."""
    shadow = np.pad(project_mask(np.isin(labels, (HEART, GREAT_VESSELS))), 12)
    closed = ndimage.binary_closing(shadow, iterations=8)
    return _largest(ndimage.binary_opening(closed, _DISC)[12:-12, 12:-12])


def _heart(heart: Mask, shadows: dict[str, Mask]) -> dict[str, Mask]:
    """The heart's shadow where its size can be told, and again as cardiomegaly where it is large (cardiothoracic ratio)."""
    chest = np.flatnonzero((shadows["right lung"] | shadows["left lung"]).any(axis=0))
    across = np.flatnonzero(heart.any(axis=0))
    if not len(chest) or not len(across):
        return {}
    ratio = np.ptp(across) / np.ptp(chest)
    if ratio >= LARGE_HEART:
        return {"heart": heart, "cardiomegaly": heart}
    return {"heart": heart} if ratio <= NORMAL_HEART else {}


def _box(mask: Mask) -> tuple[slice, slice, slice]:
    if not mask.any():
        return slice(0, 0), slice(0, 0), slice(0, 0)
    first, second, third = ndimage.find_objects(mask.view(np.uint8))[0]
    return first, second, third


def _depth(lung: Mask) -> NDArray[np.float32]:
    coarse = np.pad(lung[::3, ::2, ::3], 1)
    depth = ndimage.distance_transform_edt(coarse, (3 * STEP_MM[0], 2 * STEP_MM[1], 3 * STEP_MM[2]))[1:-1, 1:-1, 1:-1]
    tensor = torch.from_numpy((depth / max(depth.max(), 1e-3)).astype(np.float32))[None, None]
    return np.asarray(torch.nn.functional.interpolate(tensor, lung.shape, mode="trilinear")[0, 0].numpy())


def attenuation(hounsfield: NDArray[np.float32], bone: float = 1.0) -> NDArray[np.float32]:
    """Linear attenuation, 1/mm. ``bone`` scales what lies above :data:`BONE_HU`: low for a hard beam, high for a soft one."""
    excess = np.maximum(hounsfield - BONE_HU, 0)
    return np.asarray(MU_WATER * np.maximum(1 + (hounsfield - excess + bone * excess) / 1000, 0), np.float32)


def project(values: NDArray[np.float32], step_mm: float) -> NDArray[np.float32]:
    """Line integrals of ``(slice, row, column)`` values along the row axis: ``(row, column)`` with the head up."""
    return np.asarray(values.sum(axis=1)[::-1] * step_mm, np.float32)


def project_mask(mask: Mask) -> Mask:
    """The shadow of a mask along the same rays."""
    shadow: Mask = np.any(mask, axis=1)
    return shadow[::-1]


def transmit(line: NDArray[np.float32], photons: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Beer-Lambert and quantum noise: what a detector makes of line integrals, as noisy line integrals (-log of transmission)."""
    counts = rng.poisson(photons * np.exp(-np.clip(line, 0, 12))).astype(np.float32)
    return np.asarray(-np.log((counts + 1) / photons), np.float32)


def pose(scan: Scan, rng: np.random.Generator, amount: float = 1.0, turned: float = 1.0) -> Body:
    """Turn, tilt, stretch and bend a body, and grow or shrink its heart. ``amount`` 0 leaves it as it lay; 1 is how patients differ.

    ``turned`` widens the angles of nodding and turning alone.
    """
    angles = np.deg2rad(rng.uniform(-1, 1, 3) * (4, 7 * turned, 8 * turned) * amount)  # in the picture's plane, nodding, turning
    scale = np.exp(rng.uniform(-1, 1, 3) * (0.2, 0.15, 0.15) * amount)
    growth = rng.uniform(-0.1, 0.4) * amount
    size_mm = np.asarray(scan.hounsfield.shape) * scan.spacing_mm
    shape = tuple(int(n) for n in np.round(size_mm / STEP_MM))
    axes = [torch.linspace(-1, 1, n) for n in shape]
    half = torch.tensor(size_mm / 2, dtype=torch.float32)
    grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1) * half
    grid = grid @ torch.tensor((_rotation(angles) / scale).T, dtype=torch.float32)
    if amount:
        bend = torch.tensor(rng.normal(0, 7 * amount, (1, 3, 5, 4, 5)), dtype=torch.float32)
        grid += torch.nn.functional.interpolate(bend, shape, mode="trilinear", align_corners=True)[0].permute(1, 2, 3, 0)
        middle = _heart_middle(scan) * torch.tensor(scan.spacing_mm) - half
        away = grid - middle
        near = torch.exp(-away.square().sum(-1, keepdim=True) / (2 * (_HEART_REACH_MM / 1.5) ** 2))
        grid -= growth * near * away * torch.tensor([0.5, 0.5, 1.0])
    where = (grid / half).flip(-1)[None]  # grid_sample wants the last axis first
    # shifted by air's value, so that what lies outside the scan is air
    hounsfield = _sample(scan.hounsfield.astype(np.float32) - AIR_HU, where, "bilinear") + AIR_HU
    return Body.of(hounsfield, _sample(scan.labels.astype(np.float32), where, "nearest").astype(np.uint8), scan.has_organs)


def _heart_middle(scan: Scan) -> torch.Tensor:
    """Where the heart is, in voxels; without a label of its own, the lower half of what lies between the lungs."""
    voxels = np.argwhere(scan.labels[::4, ::4, ::4] == (HEART if scan.has_organs else GREAT_VESSELS)) * 4
    if not scan.has_organs and len(voxels):
        voxels = voxels[voxels[:, 0] <= np.median(voxels[:, 0])]
    return torch.tensor(voxels.mean(0) if len(voxels) else np.asarray(scan.labels.shape) / 2, dtype=torch.float32)


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
class Opacity:
    """One opacity that is wanted: ``name`` "consolidation" or "ground glass opacity", and the share of the lung it takes."""

    name: str
    side: str
    pattern: Pattern
    extent: float


@dataclass(frozen=True)
class Wanted:
    """What to put into a chest: nodules by side; an effusion's height in mm and the share of a lung that collapses, by side; opacities."""

    effusion_mm: dict[str, float]
    nodules: tuple[str, ...] = ()
    opacities: tuple[Opacity, ...] = ()
    collapse: dict[str, float] | None = None


def draw_wanted(rng: np.random.Generator) -> Wanted:
    """Two fifths without a lesion; of the rest most have an opacity, on both sides as often as on one."""
    if rng.random() < 0.4:
        return Wanted({})
    has_opacity, has_fluid, has_nodule, has_air = rng.random(4) < (0.6, 0.25, 0.2, 0.12)
    if not (has_opacity or has_fluid or has_nodule or has_air):
        has_opacity = True

    def sides(both: float) -> tuple[str, ...]:
        first = tuple(SIDES)[rng.integers(2)]
        return tuple(SIDES) if rng.random() < both else (first,)

    wanted: list[Opacity] = []
    if has_opacity:
        pattern = lesions.PATTERNS[rng.choice(5, p=[0.35, 0.2, 0.25, 0.1, 0.1])]
        name = "consolidation" if rng.random() < 0.3 else "ground glass opacity"
        for side in sides(0.0 if pattern == "focal" else 0.65):
            largest = 0.3 if pattern == "focal" else 0.7
            wanted.append(Opacity(name, side, pattern, float(rng.uniform(0.12, largest))))
            if rng.random() < 0.15:
                other = "consolidation" if name == "ground glass opacity" else "ground glass opacity"
                wanted.append(Opacity(other, side, "focal", float(rng.uniform(0.08, 0.25))))
    return Wanted(
        {side: float(rng.uniform(40, 130)) for side in sides(0.3)} if has_fluid else {},
        sides(0.0) * int(rng.choice([1, 2], p=[0.8, 0.2])) if has_nodule else (),
        tuple(wanted),
        {side: float(rng.uniform(0.1, 0.5)) for side in sides(0.0)} if has_air else {},
    )


def insert(body: Body, wanted: Wanted, shapes: list[Mask], rng: np.random.Generator) -> list[tuple[str, Mask, NDArray[np.float32]]]:
    """Where the wanted lesions are in a posed body: label, voxels, and their new HU (one value a voxel), in the order they were put in."""
    there: list[tuple[str, Mask, NDArray[np.float32]]] = []
    taken = np.zeros(body.hounsfield.shape, bool)  # what lies in fluid, in air or in another lesion adds nothing

    def add(label: str, mask: Mask, values: NDArray[np.float32]) -> None:
        free = ~taken[mask]
        if free.any():
            voxels = np.zeros_like(mask)
            voxels[mask] = free
            there.append((label, voxels, values[free]))
            taken[voxels] = True

    def solid(label: str, mask: Mask | None, level: float, spread: float) -> None:
        if mask is not None and mask.any():
            values = rng.normal(level, spread, int(mask.sum())).astype(np.float32)
            add(label, mask, np.maximum(values, body.hounsfield[mask]))

    for side, height in wanted.effusion_mm.items():
        solid(f"{side} pleural effusion", lesions.effusion(body.lungs[side], STEP_MM, height, "upright"), 10, 8)
    for side, share in (wanted.collapse or {}).items():
        if side in body.depths:
            _collapse(body, side, share, add, rng)
    for side in wanted.nodules:
        solid(f"{side} nodule", lesions.nodule(body.lungs[side], shapes[rng.integers(len(shapes))], rng), float(rng.uniform(0, 80)), 15)
    for each in sorted(wanted.opacities, key=lambda opacity: opacity.name):  # consolidation before the ground glass around it
        if each.side not in body.depths:
            continue
        box = _box(body.lungs[each.side])
        dense = each.name == "consolidation"
        weight = np.zeros(body.hounsfield.shape, np.float32)
        weight[box] = lesions.opacity(
            body.lungs[each.side][box], body.depths[each.side], each.pattern, each.extent, 0.06 if dense else 0.2, rng
        )
        mask = weight > 0.05
        old = body.hounsfield[mask]
        level = rng.uniform(600, 900) if dense else rng.uniform(200, 500)
        add(f"{each.side} {each.name}", mask, np.maximum(old, np.minimum(old + level * weight[mask], 60)).astype(np.float32))
    return there


def _collapse(body: Body, side: str, share: float, add: object, rng: np.random.Generator) -> None:
    assert callable(add)
    lung = body.lungs[side]
    box = _box(lung)
    left_over = np.zeros_like(lung)
    left_over[box] = lesions.collapsed(lung[box], "right" if side == "right" else "left", share, STEP_MM)
    air = lung & ~left_over
    add(f"{side} pneumothorax", air, np.full(int(air.sum()), AIR_HU, np.float32))
    # The lung's edge is seen as a thin line, and what is left of it is denser than it was.
    edge = left_over & ndimage.binary_dilation(air)
    rest = left_over & ~edge
    add("", edge, np.maximum(body.hounsfield[edge], -300).astype(np.float32))
    add("", rest, (body.hounsfield[rest] + 800 * share * rng.uniform(0.2, 0.4)).astype(np.float32))


def render(body: Body, wanted: Wanted, shapes: list[Mask], rng: np.random.Generator) -> tuple[NDArray[np.float32], dict[str, Mask]]:
    """Project a posed body with the wanted lesions: line integrals ``(row, column)`` at ``STEP_MM`` and masks by label."""
    bone = float(rng.uniform(0.6, 1.8))
    line = body.soft + bone * body.excess
    masks = dict(body.shadows)
    for label, voxels, values in insert(body, wanted, shapes, rng):
        more = np.zeros(voxels.shape, np.float32)
        more[voxels] = attenuation(values, bone) - attenuation(body.hounsfield[voxels], bone)
        change = body.cast(more) * STEP_MM[1]
        if not label:  # what a pneumothorax does to the lung beside it
            line = line + change
            continue
        lung = body.shadows[f"{label.split()[0]} lung"]
        seen, enough = _seen(label, change, voxels, body, lung)
        if enough:
            line = line + change
            masks[label] = masks.get(label, np.zeros(line.shape, bool)) | seen
    return line, {label: mask for label, mask in masks.items() if mask.any()}


def _seen(label: str, change: NDArray[np.float32], voxels: Mask, body: Body, lung: Mask) -> tuple[Mask, bool]:
    """The part of the picture where a lesion is seen, and whether that is enough to be called."""
    if label.endswith("pneumothorax"):
        whole = body.lungs[label.split()[0]]
        shown = (body.cast(voxels.astype(np.float32)) > 0) & (body.cast((whole & ~voxels).astype(np.float32)) == 0)
        seen = ndimage.binary_opening(lung & shown, _SMALL_DISC)
        return seen, bool(seen.sum() >= 4 * LEAST_PIXELS)
    hazy = label.endswith(("opacity", "consolidation"))
    seen = (change > (max(LEAST_HAZE, HAZE * float(change.max())) if hazy else VISIBLE)) & lung
    if hazy:
        seen = ndimage.binary_opening(ndimage.binary_closing(seen, _SMALL_DISC) & lung, _SMALL_DISC)
    enough = CONSPICUOUS_OPACITY if hazy else CONSPICUOUS
    return seen, bool(seen.sum() >= LEAST_PIXELS and change[seen].max() > enough)


def smooth(shadow: Mask) -> Mask:
    """A lung's shadow without its spurs, in one piece."""
    return _largest(ndimage.binary_opening(shadow, _DISC))


def _largest(mask: Mask) -> Mask:
    pieces, count = ndimage.label(mask)
    if count <= 1:
        return mask
    return np.asarray(pieces == 1 + np.argmax(ndimage.sum_labels(mask, pieces, np.arange(1, count + 1))))


def scene(body: Body, shapes: list[Mask], rng: np.random.Generator) -> Scene:
    """One radiograph as a department would store it."""
    line, masks = render(body, draw_wanted(rng), shapes, rng)
    return taken(line, masks, rng)


def taken(line: NDArray[np.float32], masks: dict[str, Mask], rng: np.random.Generator, mimics: tuple[str, ...] = ()) -> Scene:
    """The stored film of line integrals with their masks; ``mimics`` names what is on it and looks like fluid."""
    line = film.surroundings(line, masks["right lung"] | masks["left lung"], STEP_MM[0], rng)
    line = transmit(line, photons=10 ** float(rng.uniform(4.4, 6)), rng=rng)
    image, masks = film.developed(line, masks, rng)
    return Scene("projection", image, {name: mask for name, mask in masks.items() if mask.sum() >= 12}, mimics)
