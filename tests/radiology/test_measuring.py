"""Numbers of masks whose size is known by hand."""

from __future__ import annotations

from dataclasses import replace
from math import hypot

import numpy as np
import pytest

from radiology.finding import Finding, Presence, Region, Side
from radiology.image import Projection, Volume
from radiology.measurement import Quantity
from radiology.measuring import measured, measured_anew


def film(spacing_mm: tuple[float, float] | None = (0.5, 0.25), view: str = "PA", shape: tuple[int, int] = (40, 60)) -> Projection:
    return Projection("1.2", 0, np.zeros(shape, np.float32), spacing_mm, view)


def scan(spacing_mm: tuple[float, float, float] = (2.0, 0.5, 0.5), tilt: float = 0.0) -> Volume:
    """A volume of 5 slices; ``tilt``: how far each slice is shifted along its rows, in millimetres."""
    affine = np.diag([*spacing_mm, 1.0])
    affine[1, 0] = tilt
    return Volume("1.2", np.zeros((5, 40, 60), np.float32), affine)


def region(rows: slice, columns: slice, slices: slice = slice(0, 1), shape: tuple[int, int, int] = (5, 40, 60)) -> Region:
    mask = np.zeros(shape, bool)
    mask[slices, rows, columns] = True
    return Region.from_mask("1.2", mask)


def numbers(finding: Finding) -> dict[Quantity, float]:
    (place,) = finding.regions
    return {each.quantity: each.value for each in place.measurements}


def test_a_rectangle_on_a_film_has_area_diagonal_and_width_across_it() -> None:
    (mass,) = measured([Finding("mass", "A mass.", regions=(region(slice(10, 16), slice(20, 36)),))], [film()])
    found = numbers(mass)
    assert found[Quantity.AREA] == 6 * 0.5 * 16 * 0.25
    assert found[Quantity.LONG_AXIS] == 5.0, "3 mm by 4 mm"
    assert found[Quantity.SHORT_AXIS] == pytest.approx(3 * 5 / 4, abs=0.005), "the chord through a corner, at right angles to the diagonal"


def test_a_single_pixel_is_as_long_as_its_diagonal() -> None:
    (nodule,) = measured([Finding("nodule", "A nodule.", regions=(region(slice(3, 4), slice(5, 6)),))], [film((0.3, 0.4))])
    assert numbers(nodule)[Quantity.LONG_AXIS] == 0.5
    (place,) = nodule.regions
    assert {place.measurements[1].lines} <= {(((0.0, 3.0, 5.0), (0.0, 4.0, 6.0)),), (((0.0, 3.0, 6.0), (0.0, 4.0, 5.0)),)}


def test_a_disc_is_as_long_as_it_is_wide() -> None:
    rows, columns = np.mgrid[:41, :41] - 20
    disc = Region.from_mask("1.2", (np.hypot(rows, columns) <= 15)[None])
    (mass,) = measured([Finding("mass", "A mass.", regions=(disc,))], [film((1.0, 1.0), shape=(41, 41))])
    found = numbers(mass)
    assert found[Quantity.LONG_AXIS] == pytest.approx(31, abs=0.6)
    assert found[Quantity.SHORT_AXIS] == pytest.approx(31, abs=1.2)


def test_a_block_in_a_volume_has_a_volume_and_axes_in_its_widest_slice() -> None:
    mask = np.zeros((5, 40, 60), bool)
    mask[1:4, 10:16, 20:28] = True
    mask[2, 10:16, 20:30] = True
    (nodule,) = measured([Finding("nodule", "A nodule.", regions=(Region.from_mask("1.2", mask),))], [scan()])
    found = numbers(nodule)
    assert found[Quantity.VOLUME] == round((2 * 6 * 8 + 6 * 10) * 2 * 0.5 * 0.5 / 1000, 2)
    assert found[Quantity.LONG_AXIS] == round(hypot(3, 5), 2)
    lines = [line for each in nodule.regions[0].measurements for line in each.lines]
    assert {end[0] for line in lines for end in line} == {2.0}


def test_a_tilted_gantry_changes_no_volume() -> None:
    lung = Finding("lung", "The lung.", regions=(region(slice(0, 40), slice(0, 50), slice(0, 5)),))
    straight, tilted = (numbers(measured([lung], [scan((5.0, 1.0, 1.0), tilt)])[0]) for tilt in (0.0, 2.0))
    assert straight == tilted == {Quantity.VOLUME: 5 * 40 * 50 * 5 / 1000}


def test_the_cardiothoracic_ratio_is_of_the_widest_extents_on_a_pa_film() -> None:
    findings = [
        Finding("lung", "Right.", side=Side.RIGHT, regions=(region(slice(2, 30), slice(5, 20)),)),
        Finding("lung", "Left.", side=Side.LEFT, regions=(region(slice(2, 30), slice(40, 55)),)),
        Finding("heart", "The heart.", regions=(region(slice(15, 28), slice(20, 42)),)),
    ]
    *_, heart = measured(findings, [film(spacing_mm=None)])
    assert numbers(heart) == {Quantity.CARDIOTHORACIC_RATIO: 0.44}
    assert numbers(measured(findings, [film(view="AP")])[-1]).keys() == {Quantity.AREA}
    assert Quantity.CARDIOTHORACIC_RATIO not in numbers(measured(findings[1:], [film()])[-1])


def test_what_is_absent_or_unmarked_or_on_a_film_without_spacing_has_no_size() -> None:
    place = region(slice(3, 4), slice(5, 6))
    absent = Finding("nodule", "No nodule.", Presence.ABSENT, regions=(place,))
    boxed = Finding("nodule", "A nodule.", regions=(Region("1.2", place.box),))
    assert measured([absent, boxed], [film()]) == (absent, boxed)
    seen = Finding("nodule", "A nodule.", regions=(place,))
    assert measured([seen], [film(spacing_mm=None)]) == (seen,)


def test_only_what_is_drawn_anew_is_measured_anew_and_the_heart_with_the_lungs() -> None:
    stored = {"tracking_uid": "2.25.1"}
    heart = Finding("heart", "", regions=(replace(region(slice(20, 30), slice(20, 40)), **stored),))
    left, right = (
        Finding("lung", "", side=side, regions=(replace(region(slice(5, 35), columns), **stored),))
        for side, columns in ((Side.LEFT, slice(32, 55)), (Side.RIGHT, slice(5, 28)))
    )
    mass = Finding("mass", "", regions=(region(slice(10, 16), slice(20, 36)),))
    same = measured_anew([heart, left, right, mass], [film()])
    assert same[:3] == (heart, left, right)
    assert Quantity.AREA in numbers(same[3])
    redrawn = replace(left, regions=(region(slice(5, 35), slice(32, 57)),))
    assert numbers(measured_anew([heart, redrawn, right], [film()])[0])[Quantity.CARDIOTHORACIC_RATIO] == pytest.approx(20 / 52, abs=1e-3)
