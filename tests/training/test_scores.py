import numpy as np
import pytest

from tests.training.phantom import chest, with_nodule
from training.scores import Measured, Said, Tally, Truth, baseline, box_iou, dice


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


def truth(case_seed: int = 0, nodule: bool = False) -> Truth:
    case = with_nodule(40, 66) if nodule else chest(case_seed)
    return Truth(case.name, case.image.astype(np.float32), case.kind, case.masks)


def test_a_perfect_answer_scores_one_and_silence_scores_zero() -> None:
    base = baseline([chest(seed) for seed in range(6)], "projection", 112)
    exact, silent = Measured(base, 112), Measured(base, 112)
    seen = truth(nodule=True)
    boxes = dict.fromkeys(seen.masks, (0, 0, 1, 1))
    exact.add(seen, Said(frozenset(seen.masks), seen.masks, boxes))
    silent.add(seen, None)
    best, worst = exact.score(), silent.score()
    assert {figures["dice_mean"] for figures in best["masks"].values()} == {1.0}
    assert {figures["dice_mean"] for figures in worst["masks"].values()} == {0.0}
    assert (best["findings"]["left nodule"]["recall"], worst["findings"]["left nodule"]["recall"]) == (1.0, 0.0)
    assert (best["unreadable_share"], worst["unreadable_share"]) == (0.0, 1.0)


def test_the_baseline_knows_where_lungs_usually_are_and_never_calls_a_rare_finding() -> None:
    elsewhere = [with_nodule(row, column) for row, column in ((20, 60), (40, 76), (60, 60))]
    base = baseline([*(chest(seed) for seed in range(6)), *elsewhere], "projection", 112)
    measured = Measured(base, 112)
    measured.add(truth(9, nodule=True), None)
    score = measured.score()
    assert score["masks"]["right lung"]["baseline_dice_mean"] > 0.6
    assert score["masks"]["left nodule"]["baseline_dice_mean"] == 0
    assert score["findings"]["left nodule"]["baseline_f1"] == 0
    assert score["boxes"]["right lung"]["baseline_iou_mean"] > 0.4


def test_a_finding_without_a_side_in_the_truth_is_met_on_either_side() -> None:
    base = baseline([chest(seed) for seed in range(3)], "projection", 112)
    measured = Measured(base, 112)
    seen = truth(nodule=True)
    unsided = Truth(seen.name, seen.image, seen.kind, {"nodule": seen.masks["left nodule"]})
    measured.add(unsided, Said(frozenset({"left nodule"}), {"left nodule": seen.masks["left nodule"]}, {}), sided=False)
    score = measured.score()
    assert score["masks"]["nodule"]["dice_mean"] == 1
    assert score["findings"]["nodule"]["recall"] == 1
