"""From line integrals to a stored film: what else is in the field, collimation, processing, markers, tubes and cables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from skimage.exposure import equalize_adapthist

from training.data.scene import SIZE

Mask = NDArray[np.bool_]
Picture = NDArray[np.float32]
Point = tuple[float, float]

_MU_WATER = 0.02
_WORDS = ("R", "L", "R", "L", "D", "I", "PORTABLE", "AP", "ERECT", "SUPINE", "MOBILE AP", "R  PA")


def surroundings(line: Picture, lungs: Mask, step_mm: float, rng: np.random.Generator) -> Picture:
    """Add what a chest CT with raised arms lacks, or what varies from patient to patient, as line integrals.

    Shoulders, arms, collar bones, shoulder blades, breasts and the stomach's bubble. ``line`` and ``lungs`` (row, column).
    """
    where = np.argwhere(lungs)
    if not len(where):
        return line
    (top, left), (bottom, right) = where.min(0), where.max(0)
    height, width = float(bottom - top), float(right - left)
    middle = (left + right) / 2
    field = _Field(line.copy(), step_mm, rng)
    air = ndimage.gaussian_filter((line < 0.3).astype(np.float32), 3)
    for towards in (-1, 1):
        edge = middle + towards * width / 2
        neck = (top - rng.uniform(0.25, 0.4) * height, middle + towards * rng.uniform(0.1, 0.2) * width)
        base = (top - rng.uniform(0.02, 0.15) * height, middle + towards * rng.uniform(0.25, 0.4) * width)
        joint = (top + rng.uniform(-0.08, 0.15) * height, edge + towards * rng.uniform(0.1, 0.3) * width)
        if rng.random() < 0.85:
            far = edge + towards * width
            arm = (top + rng.uniform(0.6, 1.6) * height, edge + towards * rng.uniform(0.12, 0.35) * width)
            field.add_water([neck, base, joint, arm, (arm[0], far), (neck[0], far)], rng.uniform(50, 130), 6, air)
        if rng.random() < 0.6:  # collar bone: a bowed bar
            inner = (top + rng.uniform(0.02, 0.14) * height, middle + towards * rng.uniform(0.05, 0.1) * width)
            bow = ((inner[0] + joint[0]) / 2 + rng.uniform(-0.1, 0.02) * height, (inner[1] + joint[1]) / 2)
            field.add_bar([inner, bow, joint], rng.uniform(5, 9) / step_mm, rng.uniform(0.12, 0.45))
        if rng.random() < 0.5:  # shoulder blade
            tip = (top + rng.uniform(0.4, 0.6) * height, edge + towards * rng.uniform(-0.12, 0.1) * width)
            inner = (top + rng.uniform(0.05, 0.15) * height, edge + towards * rng.uniform(-0.15, 0.05) * width)
            field.add_water([inner, tip, (joint[0] + 0.05 * height, joint[1])], rng.uniform(4, 14), 1.5)
        if rng.random() < 0.35:
            centre = (top + rng.uniform(0.7, 0.95) * height, middle + towards * rng.uniform(0.2, 0.32) * width)
            field.add_disc(centre, (rng.uniform(0.18, 0.3) * height, rng.uniform(0.18, 0.28) * width), rng.uniform(8, 35), 4)
    if rng.random() < 0.4:
        centre = (bottom + rng.uniform(0.0, 0.15) * height, middle + rng.uniform(0.15, 0.4) * width)
        field.add_disc(centre, (rng.uniform(0.05, 0.12) * height, rng.uniform(0.06, 0.16) * width), -rng.uniform(15, 50), 2)
    return np.maximum(field.line, 0)


class _Field:
    """Line integrals that grow by shapes; points are (row, column)."""

    def __init__(self, line: Picture, step_mm: float, rng: np.random.Generator) -> None:
        self.line, self.step_mm, self.rng = line, step_mm, rng

    def _add(self, drawn: Image.Image, amount: float, blur: float, only: Picture | None) -> None:
        shape = ndimage.gaussian_filter(np.asarray(drawn, np.float32), blur)
        self.line += amount * shape * (1.0 if only is None else only)

    def _sheet(self) -> Image.Image:
        return Image.new("L", (self.line.shape[1], self.line.shape[0]))

    def add_water(self, corners: list[Point], thickness_mm: float, blur: float, only: Picture | None = None) -> None:
        """A plate of soft tissue between ``corners``; ``only`` weighs where it counts."""
        sheet = self._sheet()
        ImageDraw.Draw(sheet).polygon([(column, row) for row, column in corners], fill=1)
        self._add(sheet, thickness_mm * _MU_WATER, blur, only)

    def add_disc(self, centre: Point, radii: Point, thickness_mm: float, blur: float) -> None:
        """An ellipsoid of soft tissue; a negative thickness is gas."""
        rows, columns = np.ogrid[: self.line.shape[0], : self.line.shape[1]]
        reach = ((rows - centre[0]) / radii[0]) ** 2 + ((columns - centre[1]) / radii[1]) ** 2
        disc = np.sqrt(np.clip(1 - reach, 0, None)).astype(np.float32)
        self.line += thickness_mm * _MU_WATER * ndimage.gaussian_filter(disc, blur)

    def add_bar(self, points: list[Point], width: float, amount: float) -> None:
        """A bone along a bowed line."""
        sheet = self._sheet()
        path = [tuple(reversed(bezier([points[0], points[1], points[1], points[2]], step))) for step in np.linspace(0, 1, 24)]
        ImageDraw.Draw(sheet).line(path, fill=1, width=max(2, round(width)), joint="curve")
        self._add(sheet, amount, 0.8, None)


def developed(line: Picture, masks: dict[str, Mask], rng: np.random.Generator) -> tuple[NDArray[np.int16], dict[str, Mask]]:
    """Crop, resize, process and mark. Returns the stored image, 0 to 255, and the masks, those of the tubes among them."""
    rows, columns = _crop(masks, line.shape, rng)
    line = _resize(line[rows, columns], SIZE)
    masks = {name: _resize(mask[rows, columns].astype(np.float32), SIZE) > 0.5 for name, mask in masks.items()}
    grey = _processed(line, rng)
    grey, tubes = _with_tubes(grey, masks, rng)
    image = np.clip(grey * 255 + rng.normal(0, rng.uniform(0, 3), grey.shape), 0, 255).astype(np.uint8)
    _mark(image, rng)
    return image.astype(np.int16), masks | tubes


def _crop(masks: dict[str, Mask], shape: tuple[int, ...], rng: np.random.Generator) -> tuple[slice, slice]:
    """A field around the lungs with margins that vary, sometimes cutting them a little."""
    lungs = masks.get("right lung", np.zeros(shape, bool)) | masks.get("left lung", np.zeros(shape, bool))
    bounds = []
    for axis, most in ((0, 0.45), (1, 0.3)):
        where = np.flatnonzero(lungs.any(axis=1 - axis))
        low, high = (int(where[0]), int(where[-1]) + 1) if len(where) else (0, shape[axis])
        before, after = rng.uniform(-0.03, most, 2) * (high - low)
        bounds.append(slice(max(0, int(low - before)), min(shape[axis], int(high + after))))
    return bounds[0], bounds[1]


def _resize(array: Picture, size: int) -> Picture:
    """Scale so that the longer side is ``size``; bilinear for masks and cubic for the picture differ by less than a pixel."""
    height, width = array.shape
    factor = size / max(height, width)
    target = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(Image.fromarray(array.astype(np.float32)).resize(target, Image.Resampling.BICUBIC), np.float32)


def _processed(line: Picture, rng: np.random.Generator) -> Picture:
    """Line integrals to grey values, 0 to 1: window, tone curve, local contrast, blur, sharpening."""
    low, high = np.percentile(line, [rng.uniform(0, 3), rng.uniform(86, 100)])
    haze = ndimage.zoom(
        rng.normal(0, rng.uniform(0, 0.1), (4, 4)), [size / 4 for size in line.shape], order=3, grid_mode=True, mode="nearest"
    )
    grey = np.clip((line - low) / max(high - low, 1e-3) + haze, 0, 1) ** float(rng.uniform(0.6, 1.6))
    if rng.random() < 0.5:
        local = equalize_adapthist(grey, kernel_size=int(rng.integers(32, 96)), clip_limit=float(rng.uniform(0.005, 0.03)))
        weight = rng.uniform(0.3, 1)
        grey = weight * local + (1 - weight) * grey
    if rng.random() < 0.4:
        grey = ndimage.gaussian_filter(grey, float(rng.uniform(0, 0.9)))
    if rng.random() < 0.5:  # unsharp masking, as digital systems do
        grey = grey + rng.uniform(0.3, 1.5) * (grey - ndimage.gaussian_filter(grey, rng.uniform(2, 6)))
    if rng.random() < 0.5:
        steep = rng.uniform(3, 7)
        grey = 1 / (1 + np.exp(-steep * (grey - rng.uniform(0.4, 0.6))))
        grey = (grey - grey.min()) / max(float(np.ptp(grey)), 1e-3)
    return np.clip(grey, 0, 1).astype(np.float32)


def _with_tubes(grey: Picture, masks: dict[str, Mask], rng: np.random.Generator) -> tuple[Picture, dict[str, Mask]]:
    """Draw tubes where they lie in intensive care, a patient having none, some or all; and cables, which are not labelled."""
    lungs = masks.get("right lung", np.zeros(grey.shape, bool)) | masks.get("left lung", np.zeros(grey.shape, bool))
    where = np.argwhere(lungs)
    tubes: dict[str, Mask] = {}
    if not len(where):
        return grey, tubes
    (top, left), (bottom, right) = where.min(0).astype(float), where.max(0).astype(float)
    height, width, middle = bottom - top, right - left, (left + right) / 2
    if rng.random() < 0.2:
        wobble = rng.normal(0, 0.015, 8) * width
        if rng.random() < 0.7:
            end = top + rng.uniform(0.05, 0.3) * height
            path = [(-5, middle + wobble[0]), (end / 3, middle + wobble[1]), (2 * end / 3, middle + wobble[2]), (end, middle + wobble[3])]
            tubes["endotracheal tube"] = _draw(grey, path, rng, walls=rng.uniform(1.5, 2.5))
        if rng.random() < 0.6:
            start = [(-5, middle - 0.15 * width), (top + rng.uniform(0, 0.12) * height, left - 5)][rng.integers(2)]
            end = (top + rng.uniform(0.3, 0.5) * height, middle - rng.uniform(0.04, 0.1) * width)
            turn = (top + 0.1 * height, middle - rng.uniform(0.08, 0.2) * width)
            tubes["central venous catheter"] = _draw(grey, [start, turn, (turn[0], end[1]), end], rng)
        if rng.random() < 0.5:
            low = bottom + rng.uniform(0.0, 0.2) * height
            path = [(-5, middle + wobble[4]), (top + height / 2, middle + wobble[5]), (low, middle), (low, middle + 0.25 * width)]
            tubes["nasogastric tube"] = _draw(grey, path, rng)
    if rng.random() < 0.25:
        for _ in range(int(rng.integers(1, 4))):
            path = [tuple(point) for point in rng.uniform(-0.1, 1.1, (4, 2)) * grey.shape]
            _draw(grey, path, rng)
            if rng.random() < 0.6:  # an electrode at its end
                rows, columns = np.ogrid[: grey.shape[0], : grey.shape[1]]
                disc = np.hypot(rows - path[3][0], columns - path[3][1]) < rng.uniform(2, 5)
                grey[disc] = np.clip(grey[disc] + rng.uniform(0.1, 0.4), 0, 1)
    return grey, {name: mask for name, mask in tubes.items() if mask.sum() > 20}


def _draw(grey: Picture, points: list[Point], rng: np.random.Generator, walls: float = 0.0) -> Mask:
    """Draw a line in place, or two at a distance of ``walls`` on either side; return where it lies, as wide as a hand would mark it."""
    path = np.asarray([bezier(points, step) for step in np.linspace(0, 1, 40)])
    strength = float(rng.uniform(0.08, 0.3))
    for offset in (-walls, walls) if walls else (0.0,):
        grey += strength * _line(grey.shape, path + np.asarray((0.0, offset)), 1)
    np.clip(grey, 0, 1, out=grey)
    return _line(grey.shape, path, 5 if walls else 3) > 0


def _line(shape: tuple[int, ...], path: NDArray[np.float64], width: int) -> Picture:
    sheet = Image.new("L", (shape[1], shape[0]))
    ImageDraw.Draw(sheet).line([(column, row) for row, column in path], fill=1, width=width, joint="curve")
    return np.asarray(sheet, np.float32)


def bezier(points: list[Point], step: float) -> Point:
    """The point (row, column) of a cubic curve at ``step``, 0 to 1."""
    weights = np.asarray([(1 - step) ** 3, 3 * step * (1 - step) ** 2, 3 * step**2 * (1 - step), step**3])
    row, column = weights @ np.asarray(points)
    return float(row), float(column)


def _mark(image: NDArray[np.uint8], rng: np.random.Generator) -> None:
    """Collimator edges and markers: drawn in place."""
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
    for _ in range(int(rng.choice([0, 1, 2], p=[0.4, 0.45, 0.15]))):
        at = (rng.choice([rng.uniform(0.02, 0.15), rng.uniform(0.75, 0.93)]) * width, rng.uniform(0.01, 0.2) * height)
        size = float(rng.uniform(7, 20))
        pen.text(at, str(rng.choice(_WORDS)), fill=int(rng.integers(200, 256)), font_size=size)
        if rng.random() < 0.3:
            pen.ellipse((at[0] - 0.4 * size, at[1] - 0.1 * size, at[0] + 1.1 * size, at[1] + 1.4 * size), outline=255)
    image[:] = np.asarray(picture)
