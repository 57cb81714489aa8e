"""Films on which something looks like fluid and is none, and films with so little fluid that only its shape gives it away.

What a base needs to turn white is tissue, not fluid: a raised dome, a breast, a heavy patient's flank, an old thickened pleura, fat beside
the heart, an electrode over the angle, a grid that cuts off one side. Each is put in where a body has it, as line integrals; none of them
has the meniscus that climbs the chest wall, and none is in the truth. :func:`scene` is :func:`training.data.drr.scene` with these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.data import drr
from training.data.drr import ABDOMEN_MM, LEAST_PIXELS, MU_WATER, SIDES, STEP_MM, Body, Wanted, attenuation
from training.data.film import Picture
from training.data.lesions import Mask
from training.data.scene import Scene

FLUID_SHARE = 0.35
"""How many of these films have fluid, half of them little."""
LITTLE_MM, MUCH_MM = (30, 75), (40, 130)
"""Heights of an effusion above the lowest part of the pleural space."""
TWO_SHARE, BOTH_SHARE = 0.25, 0.4
"""How often two things look like fluid on one film, and how often one of them does on both sides."""
TURNED = 2.0
"""Half of these bodies are turned and tilted by up to so many times the usual angles: a rotated patient, a lordotic view."""
TISSUE_HU = 40.0
PITCH_MM = STEP_MM[0]


@dataclass(frozen=True, eq=False)
class Base:
    """The base of one lung on the picture.

    Attributes:
        side: right or left.
        shadow: the lung's, (row, column).
        bottom: the row where it ends under its middle.
        height: rows that it takes.
        inner, outer: columns of the medial and the lateral end of its lower third.
    """

    side: str
    shadow: Mask
    bottom: float
    height: float
    inner: float
    outer: float

    @classmethod
    def of(cls, side: str, shadow: Mask) -> Base:
        """Measure a shadow, which must not be empty."""
        rows = np.flatnonzero(shadow.any(1))
        height = float(np.ptp(rows)) + 1
        columns = np.flatnonzero(shadow[int(rows[-1] - height / 3) :].any(0))
        inner, outer = (columns[-1], columns[0]) if side == "right" else (columns[0], columns[-1])
        middle = np.flatnonzero(shadow[:, (inner + outer) // 2])
        return cls(side, shadow, float(middle[-1] if len(middle) else rows[-1]), height, float(inner), float(outer))

    def grid(self) -> tuple[Picture, Picture]:
        """Of every pixel: millimetres above :attr:`bottom`, and how far out it is: 0 at the medial end, 1 at the lateral one."""
        rows, columns = np.indices(self.shadow.shape, np.float32)
        span = self.outer - self.inner
        return np.asarray((self.bottom - rows) * PITCH_MM, np.float32), np.asarray((columns - self.inner) / (span or 1), np.float32)

    @property
    def width_mm(self) -> float:
        """From the medial to the lateral end."""
        return (abs(self.outer - self.inner) + 1) * PITCH_MM


def scene(body: Body, shapes: list[Mask], rng: np.random.Generator) -> Scene:
    """One radiograph on which something looks like fluid, on sides without any."""
    line, masks = drr.render(body, draw_wanted(rng), shapes, rng)
    wanted = rng.choice(list(MIMICS), 1 + int(rng.random() < TWO_SHARE), replace=False).tolist()
    there = tuple(name for name in wanted if _put(name, body, line, masks, rng))
    return drr.taken(line, masks, rng, there)


def draw_wanted(rng: np.random.Generator) -> Wanted:
    """What :func:`training.data.drr.draw_wanted` draws, but with fluid on :data:`FLUID_SHARE` of the films, on one side."""
    wanted = drr.draw_wanted(rng)
    if rng.random() >= FLUID_SHARE:
        return replace(wanted, effusion_mm={})
    height = rng.uniform(*(LITTLE_MM if rng.random() < 0.5 else MUCH_MM))
    return replace(wanted, effusion_mm={tuple(SIDES)[rng.integers(2)]: float(height)})


def bases(masks: dict[str, Mask]) -> list[Base]:
    """The bases that hold no fluid."""
    lungs = {side: masks.get(f"{side} lung") for side in SIDES if f"{side} pleural effusion" not in masks}
    return [Base.of(side, lung) for side, lung in lungs.items() if lung is not None and lung.any()]


def _put(name: str, body: Body, line: Picture, masks: dict[str, Mask], rng: np.random.Generator) -> bool:
    """Add one thing to ``line`` on one base without fluid or on all, and say whether there is any; a raised dome cuts ``masks``, too."""
    dry = bases(masks)
    for base in dry if rng.random() < BOTH_SHARE else dry[(first := int(rng.integers(2)) % max(1, len(dry))) : first + 1]:
        more = MIMICS[name](body, base, rng)
        line += more
        if name == DOME:
            hide(masks, base.side, more > ABDOMEN_MM * MU_WATER)
    return bool(dry)


def raised_dome(body: Body, base: Base, rng: np.random.Generator) -> Picture:
    """The diaphragm stands higher: tissue instead of lung up to a dome, highest in its middle, low at the wall; the lung above crowded."""
    lung = body.lungs[base.side]
    where = [np.flatnonzero(lung.any(tuple(axis for axis in range(3) if axis != kept))) for kept in (1, 2)]
    depth, across = (
        (np.arange(size) - (each[0] + each[-1]) / 2) / max(1, np.ptp(each) / 2) for size, each in zip(lung.shape[1:], where, strict=True)
    )
    lowest = body.soft.shape[0] - 1 - base.bottom - body.corner[0]  # the slice of the lung's box where its shadow ends
    top = lowest * PITCH_MM + rng.uniform(18, 60)
    fall = rng.uniform(35, 70)
    dome = top - fall * (0.6 * depth[:, None] ** 2 + across[None, :] ** 2)
    level = np.arange(lung.shape[0])[:, None, None] * PITCH_MM
    under = lung & (level < dome)
    values = np.zeros(lung.shape, np.float32)
    values[under] = attenuation(np.full(1, TISSUE_HU, np.float32)) - attenuation(body.hounsfield[under])
    crowded = np.where(lung & ~under, np.exp(-np.maximum(level - dome, 0) / 20), 0).astype(np.float32)
    return body.cast(np.maximum(values, 0) + np.float32(rng.uniform(0, 0.12) * MU_WATER) * crowded) * np.float32(STEP_MM[1])


def breast(body: Body, base: Base, rng: np.random.Generator) -> Picture:
    """A breast hangs over the base and over the chest wall beside it; its fold is a sharp edge, bowed downwards."""
    up, out = base.grid()
    high, wide = rng.uniform(50, 100), rng.uniform(0.45, 0.75)
    fold = rng.uniform(-25, 45)
    reach = ((up - fold - 0.35 * high) / high) ** 2 + ((out - rng.uniform(0.55, 0.95)) / wide) ** 2
    disc = np.sqrt(np.clip(1 - reach, 0, None)) * np.clip(1.1 - 0.6 * (up - fold) / high, 0.2, 1.3)
    return _tissue(disc, rng.uniform(20, 60), rng.uniform(0.8, 2.5))


def deep_tissue(body: Body, base: Base, rng: np.random.Generator) -> Picture:
    """A heavy patient: the lower, the more tissue in front and behind, out to the skin. The base is under-penetrated."""
    up, out = base.grid()
    rise = 1 / (1 + np.exp((up - rng.uniform(10, 60)) / rng.uniform(12, 35)))
    return _tissue(rise / (1 + np.exp(-(out + 0.1) / 0.08)), rng.uniform(25, 80), 1.0)


def thick_pleura(body: Body, base: Base, rng: np.random.Generator) -> Picture:
    """An old thickened pleura: a thin layer along the wall that thins out upwards and blunts the angle, without a level."""
    up, _ = base.grid()
    wall = _from_wall(base)
    width = rng.uniform(3, 7) * np.clip(1.2 - up / rng.uniform(50, 130), 0, 1)
    return _tissue(np.where(base.shadow, np.clip((width - wall) / 2 + 0.5, 0, 1), 0), rng.uniform(15, 45), 0.8)


def fat_beside_the_heart(body: Body, base: Base, rng: np.random.Generator) -> Picture:
    """A pad of fat fills the medial angle; the lateral one is free."""
    up, out = base.grid()
    reach = (up / rng.uniform(18, 45)) ** 2 + (out * base.width_mm / rng.uniform(20, 45)) ** 2
    return _tissue(np.sqrt(np.clip(1 - reach, 0, None)), rng.uniform(20, 60), rng.uniform(1, 3))


def electrode(body: Body, base: Base, rng: np.random.Generator) -> Picture:
    """A pad, with its button, lies over the lateral angle."""
    up, out = base.grid()
    away = np.hypot(up - rng.uniform(-10, 30), (out - rng.uniform(0.7, 1.05)) * base.width_mm)
    pad, button = rng.uniform(12, 26), rng.uniform(2, 5)
    return _tissue((away < pad) * rng.uniform(0.3, 1) + 2.5 * (away < button), rng.uniform(8, 25), 0.7)


def cut_off(body: Body, base: Base, rng: np.random.Generator) -> Picture:
    """The grid takes more of the beam towards one side, from the lung's middle on."""
    _, out = base.grid()
    return _tissue(np.clip(out + 0.2, 0, 2), rng.uniform(8, 25), 1.0)


DOME = "raised dome"
MIMICS: dict[str, Callable[[Body, Base, np.random.Generator], Picture]] = {
    DOME: raised_dome,
    "breast": breast,
    "deep tissue": deep_tissue,
    "thick pleura": thick_pleura,
    "fat beside the heart": fat_beside_the_heart,
    "electrode": electrode,
    "cut-off": cut_off,
}
"""What looks like fluid, by name: what it adds to the line integrals (row, column) over one base of a body."""


def _tissue(share: NDArray[np.floating], thickness_mm: float, blur: float) -> Picture:
    return np.asarray(ndimage.gaussian_filter(np.asarray(share, np.float32), blur) * (thickness_mm * MU_WATER), np.float32)


def _from_wall(base: Base) -> NDArray[np.float32]:
    """Of every pixel of a lung's shadow, how many millimetres it lies from the lateral wall along its row."""
    columns = np.arange(base.shadow.shape[1], dtype=np.float32)
    lateral = base.shadow.argmax(1) if base.side == "right" else base.shadow.shape[1] - 1 - base.shadow[:, ::-1].argmax(1)
    return np.abs(columns[None] - lateral[:, None].astype(np.float32)) * np.float32(PITCH_MM)


def hide(masks: dict[str, Mask], side: str, covered: Mask) -> None:
    """A lung ends where tissue covers it, and so does what is seen in it; what is left of less than it takes to be seen is not there."""
    for label in [label for label in masks if label.startswith(f"{side} ")]:
        left = drr.smooth(masks[label] & ~covered) if label == f"{side} lung" else masks[label] & ~covered
        if left.sum() >= LEAST_PIXELS:
            masks[label] = left
        else:
            del masks[label]
