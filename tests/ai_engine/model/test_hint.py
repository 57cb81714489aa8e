"""What is pointed at reaches the segmenter where it is in the picture, and a correction reaches no further than it was asked to."""

import numpy as np
import pytest
import torch

from ai_engine.model.hint import Hint, corrected, prompts_of
from ai_engine.model.images import Letterbox
from ai_engine.model.segmenter import FIRST_CORNER, LAST_CORNER, NEGATIVE, NO_POINT, POSITIVE
from radiology.question import Point
from tests.ai_engine.sentences import block

SHAPE = (100, 200)
LIKE = torch.zeros(1)


def test_points_and_boxes_are_placed_on_the_segmenters_picture_with_true_proportions() -> None:
    frame = Letterbox.fit(SHAPE, 64, (2.0, 1.0))  # 200 mm square: the picture is filled
    prompts = prompts_of(Hint([Point(49, 99), Point(0, 0, False)], (10, 20, 50, 100)), frame, 16, LIKE)
    assert prompts.points is not None
    assert prompts.kinds is not None
    assert prompts.kinds[0].tolist() == [POSITIVE, NEGATIVE, FIRST_CORNER, LAST_CORNER]
    assert prompts.points[0].numpy() == pytest.approx(np.array([(31.68, 31.84), (0.32, 0.16), (6.4, 6.4), (32, 32)]), abs=1e-4)
    assert prompts.masks is None


def test_a_mask_to_correct_is_ten_where_it_is_and_minus_ten_where_not() -> None:
    prompts = prompts_of(Hint(before=block((64, 64), (0, 0, 32, 64))), Letterbox.fit((64, 64), 64), 16, LIKE)
    assert prompts.masks is not None
    assert prompts.kinds is not None
    assert prompts.kinds.tolist() == [[NO_POINT]]
    assert prompts.masks[0, :8].eq(10).all()
    assert prompts.masks[0, 8:].eq(-10).all()


def test_a_correction_brings_in_the_piece_that_was_clicked_and_leaves_the_rest() -> None:
    before = block(SHAPE, (10, 10, 50, 50))
    drawn = (before | block(SHAPE, (50, 10, 70, 50)) | block(SHAPE, (10, 120, 40, 150))) & ~block(SHAPE, (10, 10, 20, 50))
    assert np.array_equal(corrected(before, drawn, [Point(60, 30)]), block(SHAPE, (10, 10, 70, 50)))
    assert np.array_equal(corrected(before, drawn, [Point(12, 30, False)]), block(SHAPE, (20, 10, 50, 50)))
    assert np.array_equal(corrected(before, drawn, [Point(30, 30)]), before), "it was right there"


@pytest.mark.parametrize(("point", "area"), [(Point(60, 30), 113), (Point(30, 30, False), -113)])
def test_where_the_segmenter_leaves_a_place_as_it_was_the_reader_is_right_within_a_disc(point: Point, area: int) -> None:
    before = block(SHAPE, (10, 10, 50, 50))
    mask = corrected(before, before, [point])
    assert mask[point.row, point.column] == point.is_positive
    assert int(mask.sum()) - int(before.sum()) == area
