"""Boxes and regions count in half-open array indices."""

import numpy as np
import pytest

from radiology.finding import Box, Region
from radiology.terms import Side, sides_in


def test_a_box_hugs_its_mask() -> None:
    mask = np.zeros((4, 5, 6), bool)
    mask[1:3, 2, 3:6] = True
    assert Box.around(mask) == Box((1, 2, 3), (3, 3, 6))


def test_a_region_keeps_the_mask_of_a_later_slice() -> None:
    mask = np.zeros((1, 5, 6), bool)
    mask[0, 2:4, 1:3] = True
    region = Region.from_mask("1.2", mask, first_slice=7)
    assert region.box == Box((7, 2, 1), (8, 4, 3))
    assert region.mask is not None
    assert region.mask.all()


def test_an_empty_mask_has_no_box() -> None:
    with pytest.raises(ValueError, match="empty"):
        Box.around(np.zeros((1, 2, 2), bool))


def test_overlap_of_halves() -> None:
    assert Box((0, 0, 0), (1, 2, 2)).iou(Box((0, 0, 1), (1, 2, 3))) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("text", "sides"),
    [
        ("Nodule in the left lower zone.", {Side.LEFT}),
        ("Both lungs are clear.", {Side.LEFT, Side.RIGHT}),
        ("The heart is normal.", set()),
        ("Leftward shift", set()),
    ],
)
def test_sides_named_by_a_sentence(text: str, sides: set[Side]) -> None:
    assert sides_in(text) == sides


def test_slices_that_were_read_lie_in_the_box() -> None:
    with pytest.raises(ValueError, match="Read slices"):
        Region("1.2", Box((2, 0, 0), (4, 5, 5)), read_slices=(1, 3))
