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
DRAWN = {"left lung": [block(10, 60, 30, 90)], "left consolidation": [block(20, 64, 30, 84), block(30, 64, 40, 84)]}
BOXED = {
    "left lung": [(10, 60, 50, 90)],
    "left consolidation": [(20, 64, 24, 84), (36, 64, 40, 70)],
    "right consolidation": [(20, 10, 40, 30)],
    "left pneumothorax": [(0, 0, 5, 5)],
}


class Rote:
    """Says the same of every image: what it draws, what it boxes, and that every finding is there."""

    def segment(self, array: np.ndarray, kind: str, target: str) -> Reply:
        if target.endswith("nodule"):
            raise UnreadableAnswer("no sentence", "?")
        return Reply("", 1.0, tuple(Located(target, Mask(mask, 1.0)) for mask in DRAWN.get(target, [])))

    def detect(self, array: np.ndarray, kind: str, target: str) -> Reply:
        return Reply("", 1.0, tuple(Located(target, box=box) for box in BOXED.get(target, [])))

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
    # Absent on the first film are both sides of nodule and pneumothorax and the right consolidation, on the second the left one too. The
    # left consolidation is drawn on both; each film has a box for the right consolidation and one for the pneumothorax.
    assert (scores["absent_n"], scores["absent_drawn"], scores["absent_boxed"]) == (11, 1 / 11, 5 / 11)


def test_what_has_no_form_is_counted_and_a_yes_to_all_is_no_knowledge() -> None:
    scores = answered(Rote(), [film("a", consolidation=OPACITY), film("b")])
    assert scores["unreadable"] == {"segmentation": 4 / 12, "detection": 0.0, "questions": 0.0}
    consolidation = scores["questions"]["consolidation"]
    assert (consolidation["with"], consolidation["without"]) == (1, 3)
    assert (consolidation["recall"], consolidation["false_positive_rate"]) == (1.0, 1.0)
    assert scores["questions"]["nodule"]["recall"] is None


def test_what_nobody_judged_and_what_the_engine_refuses_is_not_asked_for() -> None:
    unknown = Truth("c", "c", np.zeros((96, 96), np.float32), "projection", {"left lung": LUNG}, frozenset())
    scores = answered(Rote(), [unknown])
    assert (list(scores["segmentation"]), scores["questions"], scores["absent_n"]) == (["left_lung"], {}, 0)
    scores = answered(Rote(), [film("a", consolidation=OPACITY)], unreliable=["consolidation", "nodule"])
    assert (list(scores["segmentation"]), list(scores["questions"]), scores["absent_n"]) == ([], ["pneumothorax"], 2)
