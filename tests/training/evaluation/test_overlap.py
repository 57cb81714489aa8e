import numpy as np
import pytest

from training.evaluation.overlap import box_iou, box_of, dice, surface_distance


def test_dice_of_known_masks() -> None:
    one, other = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    one[:2], other[1:3] = True, True
    assert dice(one, other) == pytest.approx(0.5)
    assert dice(one, one) == 1
    assert dice(np.zeros((4, 4), bool), one) == 0
    assert dice(np.zeros((4, 4), bool), np.zeros((4, 4), bool)) == 1


def test_box_iou_of_known_boxes() -> None:
    assert box_iou((0, 0, 4, 4), (2, 0, 6, 4)) == pytest.approx(1 / 3)
    assert box_iou((0, 0, 4, 4), (4, 4, 6, 6)) == 0
    assert box_iou(None, (0, 0, 2, 2)) == 0
    assert box_iou((1, 2, 3, 4), (1, 2, 3, 4)) == 1


def test_the_box_of_a_mask_is_half_open() -> None:
    mask = np.zeros((6, 8), bool)
    mask[2, 3] = mask[4, 6] = True
    assert box_of(mask) == (2, 3, 5, 7)
    assert box_of(np.zeros((2, 2), bool)) is None


def test_the_distance_of_two_lines_is_the_gap_between_them_in_the_unit_of_the_spacing() -> None:
    one, other = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    one[:, 3], other[:, 6] = True, True
    apart = surface_distance(one, other, (1.0, 2.0))
    assert apart is not None
    assert (apart.mean, apart.hd95) == (6.0, 6.0)


def test_the_distance_counts_the_pixels_of_both_outlines() -> None:
    point, line = np.zeros((3, 7), bool), np.zeros((3, 7), bool)
    point[1, 1], line[1, 1:6] = True, True
    apart = surface_distance(point, line)
    assert apart is not None
    assert apart.mean == pytest.approx((0 + 0 + 1 + 2 + 3 + 4) / 6)
    assert apart.hd95 == pytest.approx(3.8), "of the line's 0 1 2 3 4"


def test_only_outlines_count_and_a_missing_mask_has_no_distance() -> None:
    solid, ring = np.zeros((9, 9), bool), np.zeros((9, 9), bool)
    solid[2:7, 2:7] = ring[2:7, 2:7] = True
    ring[3:6, 3:6] = False
    ring[4, 4] = False
    apart = surface_distance(solid, solid)
    assert apart is not None
    assert (apart.mean, apart.hd95) == (0.0, 0.0)
    assert surface_distance(solid, np.zeros((9, 9), bool)) is None
    hollow = surface_distance(solid, ring)
    assert hollow is not None
    assert hollow.mean == 0, "a one pixel wide ring has the outline of the solid"
