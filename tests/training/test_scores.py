import numpy as np
import pytest

from training.scores import Tally, box_iou, dice


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
    assert box_iou((0, 0, 0, 0), (0, 0, 2, 2)) == 0


def test_precision_and_recall_of_known_answers() -> None:
    tally = Tally()
    for mine, truth in [(True, True)] * 3 + [(True, False)] + [(False, True)] * 2 + [(False, False)] * 4:
        tally.add(mine, truth)
    score = tally.score()
    assert (score["precision"], score["recall"], score["f1"]) == (0.75, 0.6, pytest.approx(0.667))
    assert (score["false_positive_rate"], score["accuracy"]) == (0.2, 0.7)
    assert Tally().score()["precision"] is None
