import numpy as np

from radiology.finding import Presence, Side
from tests.training.phantom import chest, with_nodule
from training.evaluation.blind import Blind
from training.evaluation.drawn import Drawn, reading_of
from training.evaluation.measured import measure
from training.evaluation.shown import read
from training.evaluation.truth import Truth


def test_one_who_never_looks_knows_where_lungs_usually_are_and_never_calls_a_rare_finding() -> None:
    blind = Blind.of([*(chest(seed) for seed in range(6)), with_nodule(20, 60)])
    case = with_nodule(40, 66)
    truth = Truth("a", "a", case.image.astype(np.float32), "projection", case.masks, frozenset({"nodule"}))
    (shown,) = read(blind, [truth])
    measured = measure(shown.passed_on())
    assert measured.structures["right_lung"].dice > 0.6
    assert measured.structures["right_lung"].dice == measure(shown).structures["right_lung"].dice, "the check has nothing against it"
    assert (measured.findings["nodule"].stated, measured.findings["nodule"].true_boxes) == (Presence.ABSENT, (False,))


def test_what_is_drawn_becomes_sentences() -> None:
    lung, nothing = np.ones((4, 4), bool), np.zeros((4, 4), bool)
    reading = reading_of(
        {
            "right lung": Drawn(lung, 0.9),
            "left lung": Drawn(nothing, 0.2),
            "right consolidation": Drawn(nothing, 0.1),
            "left consolidation": Drawn(lung, 0.7),
            "right nodule": Drawn(nothing, 0.3),
            "left nodule": Drawn(nothing, 0.2),
        }
    )
    assert [(each.name, each.side, each.presence, round(each.confidence, 2)) for each in reading.sentences] == [
        ("lung", Side.RIGHT, Presence.PRESENT, 0.9),
        ("consolidation", Side.LEFT, Presence.PRESENT, 0.7),
        ("nodule", None, Presence.ABSENT, 0.7),
    ]
    assert reading.impression == "Left consolidation."
