"""Hand-computed scores of answers that are known beforehand."""

import numpy as np
import pytest

from ai_engine.model.reading import Located, Mask, Reply
from radiology.errors import UnreadableAnswer
from tests.training.evaluation.films import block
from training.evaluation.answers import answered
from training.evaluation.truth import Truth

LUNG = block(10, 60, 50, 90)
OPACITY = block(20, 64, 40, 84)


class Rote:
    """Draws the left lung without its lower half, boxes it whole, draws every consolidation in its place and calls all findings present."""

    def segment(self, array: np.ndarray, kind: str, target: str) -> Reply:
        if target == "nodule":
            raise UnreadableAnswer("no sentence", "?")
        masks = {"left lung": [block(10, 60, 30, 90)], "consolidation": [block(20, 64, 30, 84), block(30, 64, 40, 84)]}
        return Reply("", 1.0, tuple(Located(target, Mask(mask, 1.0)) for mask in masks.get(target, [])))

    def detect(self, array: np.ndarray, kind: str, target: str) -> Reply:
        boxes = {"left lung": [(10, 60, 50, 90)], "consolidation": [(20, 64, 24, 84), (36, 64, 40, 70)], "pneumothorax": [(0, 0, 5, 5)]}
        return Reply("", 1.0, tuple(Located(target, box=box) for box in boxes.get(target, [])))

    def ask(self, array: np.ndarray, kind: str, question: str) -> Reply:
        return Reply("yes", 1.0)


def film(name: str, **masks: np.ndarray) -> Truth:
    judged = frozenset({"consolidation", "pneumothorax", "nodule"})
    return Truth(
        name, name, np.zeros((96, 96), np.float32), "projection", {key.replace("_", " "): mask for key, mask in masks.items()}, judged
    )


def test_places_are_scored_where_something_is_and_counted_as_false_where_nothing_is() -> None:
    scores = answered(Rote(), [film("a", left_lung=LUNG, consolidation=OPACITY), film("b")])
    # Half of the lung: 2 * 600 / (600 + 1200). The two parts of the consolidation are one place.
    assert scores["segmentation"] == {"left_lung": {"dice": pytest.approx(2 / 3), "n": 1}, "consolidation": {"dice": 1.0, "n": 1}}
    assert scores["detection"] == {"left_lung": {"p_at_50": 1.0, "n": 1}, "consolidation": {"p_at_50": 1.0, "n": 1}}
    # Absent are nodule and pneumothorax on both films, and consolidation on the second: drawn there once, boxed there three times.
    assert (scores["absent_n"], scores["absent_drawn"], scores["absent_boxed"]) == (5, 1 / 5, 3 / 5)


def test_what_has_no_form_is_counted_and_a_yes_to_all_is_no_knowledge() -> None:
    scores = answered(Rote(), [film("a", consolidation=OPACITY), film("b")])
    assert scores["unreadable"] == {"segmentation": 2 / 6, "detection": 0.0, "questions": 0.0}
    assert (scores["questions"]["consolidation"]["recall"], scores["questions"]["consolidation"]["false_positive_rate"]) == (1.0, 1.0)
    assert scores["questions"]["nodule"]["recall"] is None


def test_what_nobody_judged_and_what_the_engine_refuses_is_not_asked_for() -> None:
    unknown = Truth("c", "c", np.zeros((96, 96), np.float32), "projection", {"left lung": LUNG}, frozenset())
    scores = answered(Rote(), [unknown])
    assert (list(scores["segmentation"]), scores["questions"], scores["absent_n"]) == (["left_lung"], {}, 0)
    scores = answered(Rote(), [film("a", consolidation=OPACITY)], unreliable=["consolidation", "nodule"])
    assert (list(scores["segmentation"]), list(scores["questions"]), scores["absent_n"]) == ([], ["pneumothorax"], 1)
