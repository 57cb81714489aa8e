"""Measuring masks: volume and area, the long and the short axis, and the cardiothoracic ratio.

A pixel is a rectangle of the image's spacing, so that an axis runs between outer corners of pixels and a mask of one pixel has
a length. On a radiograph, millimetres are those of Pixel Spacing or, where that is missing, of the detector, which shows
everything a little larger than it is; an image without spacing has no measurement but the ratio.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from radiology.finding import Finding, Presence, Region, Side
from radiology.image import Image, Projection, Volume
from radiology.measurement import Line, Measurement, Quantity
from radiology.terms import TERMS

_DECIMALS = 2
_RATIO_DECIMALS = 3
_STEPS_PER_PIXEL = 64
"""Places between pixels are kept in these steps, which single-precision coordinates hold exactly (PS3.3 C.18.6.1.2)."""


def measured(findings: Sequence[Finding], images: Sequence[Image]) -> tuple[Finding, ...]:
    """Return the findings with what can be measured on their masks.

    Volume in volumes and area on radiographs of every mask; axes of what is abnormal, in the slice where the long one is longest;
    the cardiothoracic ratio with the heart, on a PA radiograph on which both lungs are marked. What is stated absent is not measured.

    Args:
        findings: with regions in the images' own pixel matrices.
        images: the images that were read, in any order.
    """
    return tuple(
        replace(finding, regions=tuple(_with_measurements(region, finding, findings, images) for region in finding.regions))
        for finding in findings
    )


def measured_anew(findings: Sequence[Finding], images: Sequence[Image]) -> tuple[Finding, ...]:
    """Measure only where a place is new (it has no Tracking UID yet), and the heart where a lung is, as their ratio is of both.

    Args:
        findings: all of the report.
        images: of the series with new places; without pixels will do (:func:`radiology.image.outline`).
    """
    new = [any(not region.tracking_uid for region in finding.regions) for finding in findings]
    is_chest_new = any(is_new for finding, is_new in zip(findings, new, strict=True) if finding.name == "lung")
    return tuple(
        after if is_new or (is_chest_new and before.name == "heart") else before
        for before, after, is_new in zip(findings, measured(findings, images), new, strict=True)
    )


def _with_measurements(region: Region, finding: Finding, findings: Sequence[Finding], images: Sequence[Image]) -> Region:
    image = next((image for image in images if _shows(image, region)), None)
    if image is None or region.mask is None or not region.mask.any() or finding.presence is Presence.ABSENT:
        return region
    found: list[Measurement] = []
    spacing_mm = image.spacing_mm if isinstance(image, Projection) else image.spacing_mm[1:]
    if isinstance(image, Volume):
        voxel_mm3 = abs(float(np.linalg.det(image.affine[:3, :3])))
        found.append(Measurement(Quantity.VOLUME, round(int(region.mask.sum()) * voxel_mm3 / 1000, _DECIMALS)))
    elif spacing_mm is not None:
        found.append(Measurement(Quantity.AREA, round(int(region.mask.sum()) * spacing_mm[0] * spacing_mm[1], _DECIMALS)))
    is_abnormal = finding.name not in TERMS or TERMS[finding.name].kind == "finding"
    if spacing_mm is not None and is_abnormal:
        found += _axes(region, spacing_mm)
    if isinstance(image, Projection) and finding.name == "heart":
        found += _cardiothoracic_ratio(region, findings, image)
    return replace(region, measurements=tuple(found))


def _shows(image: Image, region: Region) -> bool:
    is_same_slice = not isinstance(image, Projection) or image.slice_index == region.box.start[0]
    return image.series_uid == region.series_uid and is_same_slice


def _axes(region: Region, spacing_mm: tuple[float, float]) -> list[Measurement]:
    """The largest diameter in a slice, and the largest in the same slice at right angles to it (RECIST)."""
    longest: tuple[float, int, NDArray[np.float64], NDArray[np.float64]] | None = None
    assert region.mask is not None
    for index, plane in enumerate(region.mask):
        if plane.any():
            hull = _hull(_corners(plane)) * spacing_mm
            squares = ((hull[:, None] - hull[None]) ** 2).sum(axis=-1)
            length = float(np.sqrt(squares.max()))
            if longest is None or length > longest[0]:
                first, last = np.unravel_index(int(squares.argmax()), squares.shape)
                longest = (length, index, hull[[first, last]], hull)
    if longest is None:
        return []
    length, index, ends, hull = longest
    across = _widest_across(hull, (ends[1] - ends[0]) / length)
    return [
        Measurement(quantity, round(float(np.linalg.norm(line[1] - line[0])), _DECIMALS), (_line(region, index, line / spacing_mm),))
        for quantity, line in ((Quantity.LONG_AXIS, ends), (Quantity.SHORT_AXIS, across))
    ]


def _corners(plane: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Corners (row, column) of the first and last pixel of each row."""
    rows = np.flatnonzero(plane.any(axis=1))
    first = plane[rows].argmax(axis=1)
    behind = plane.shape[1] - plane[rows, ::-1].argmax(axis=1)
    return np.asarray(
        [(row + down, column) for row, *ends in zip(rows, first, behind, strict=True) for column in ends for down in (0, 1)], float
    )


def _hull(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The convex hull of points (n, 2), in turn (Andrew's monotone chain)."""
    ordered = sorted({(float(row), float(column)) for row, column in points})
    chains: list[list[tuple[float, float]]] = []
    for way in (ordered, ordered[::-1]):
        chain: list[tuple[float, float]] = []
        for point in way:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
                chain.pop()
            chain.append(point)
        chains.append(chain[:-1])
    return np.asarray(chains[0] + chains[1])


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _widest_across(hull: NDArray[np.float64], along: NDArray[np.float64]) -> NDArray[np.float64]:
    """The longest chord of a convex polygon at right angles to a direction; it starts at a corner of the polygon."""
    across = np.asarray([-along[1], along[0]])
    places, heights = hull @ along, hull @ across
    best = np.zeros((2, 2))
    following = np.roll(np.arange(len(hull)), -1)
    for place in places:
        met = []
        for one, other in zip(range(len(hull)), following, strict=True):
            low, high = sorted((places[one], places[other]))
            if low <= place <= high:
                share = 0.0 if places[one] == places[other] else (place - places[one]) / (places[other] - places[one])
                met.append(heights[one] + share * (heights[other] - heights[one]))
                if places[one] == places[other]:
                    met.append(heights[other])
        chord = np.asarray([place * along + height * across for height in (min(met), max(met))])
        if np.linalg.norm(chord[1] - chord[0]) > np.linalg.norm(best[1] - best[0]):
            best = chord
    return best


def _line(region: Region, index: int, ends: NDArray[np.float64]) -> Line:
    """A line in one slice of the region, from the corner of the image; ``ends`` are (row, column) from the corner of the box."""
    plane, top, left = (float(start) for start in region.box.start)
    first, last = (np.round(ends * _STEPS_PER_PIXEL) / _STEPS_PER_PIXEL + (top, left)).tolist()
    return (plane + index, first[0], first[1]), (plane + index, last[0], last[1])


def _cardiothoracic_ratio(heart: Region, findings: Sequence[Finding], image: Projection) -> list[Measurement]:
    """The widest extent of the heart over the widest inner extent of the chest, both across the image."""
    lungs = [
        (finding.side, region) for finding in findings if finding.name == "lung" for region in finding.regions if _shows(image, region)
    ]
    if image.view != "PA" or not {side for side, _ in lungs} >= {Side.RIGHT, Side.LEFT}:
        return []
    chest: NDArray[np.bool_] = np.zeros(image.array.shape, bool)
    for _, region in lungs:
        if region.mask is not None:
            _, in_rows, in_columns = region.box.slices
            chest[in_rows, in_columns] |= region.mask[0]
    rows = np.flatnonzero(chest.any(axis=1))
    if not rows.size or _is_lying([region for _, region in lungs]):
        return []
    first = chest[rows].argmax(axis=1)
    behind = chest.shape[1] - chest[rows, ::-1].argmax(axis=1)
    widest = int((behind - first).argmax())
    plane, top, left = (float(value) for value in heart.box.start)
    _, bottom, right = (float(value) for value in heart.box.stop)
    middle = (top + bottom) / 2
    lines: list[Line] = [((plane, middle, left), (plane, middle, right))]
    row = float(rows[widest]) + 0.5
    lines.insert(0, ((plane, row, float(first[widest])), (plane, row, float(behind[widest]))))
    ratio = (right - left) / float(behind[widest] - first[widest])
    return [Measurement(Quantity.CARDIOTHORACIC_RATIO, round(ratio, _RATIO_DECIMALS), tuple(lines))]


def _is_lying(lungs: Sequence[Region]) -> bool:
    """Whether the lungs stand above each other in the file, as its rows then run along the body."""
    middles = np.asarray([np.add(region.box.start, region.box.stop)[1:] / 2 for region in lungs])
    apart = np.ptp(middles, axis=0)
    return bool(apart[0] >= apart[1])
