import numpy as np
import pytest

from ai_engine.consistency import Checked
from ai_engine.model.reading import ReadSentence
from radiology.finding import Presence, Side
from tests.ai_engine.sentences import place, sentence
from tests.training.evaluation.films import block
from tests.training.phantom import chest
from training.evaluation.facts import judge, radfact
from training.evaluation.shown import Shown
from training.evaluation.truth import Truth

OPACITY = block(40, 60, 60, 76)
CASE = chest(0)
TRUTH = Truth(
    "a",
    "a",
    CASE.image.astype(np.float32),
    "projection",
    CASE.masks | {"left consolidation": OPACITY},
    frozenset({"consolidation", "pleural effusion"}),
)
CONSOLIDATION = sentence("Consolidation [SEG].", "consolidation", place(OPACITY, side=Side.LEFT), side=Side.LEFT)
NO_EFFUSION = sentence("No pleural effusion.", "pleural effusion", presence=Presence.ABSENT)


def scored(*sentences: ReadSentence) -> dict[str, float | int | None]:
    return radfact([judge(Shown(TRUTH, None, tuple(Checked(each) for each in sentences)))])


def test_a_report_that_says_all_and_only_what_is_there() -> None:
    result = scored(CONSOLIDATION, NO_EFFUSION)
    assert (result["precision"], result["recall"], result["f1"], result["grounded"]) == (1, 1, 1, 1)
    assert (result["claims"], result["facts"], result["pointing"]) == (2, 2, 1)


def test_a_false_claim_costs_precision_and_a_missing_one_recall() -> None:
    effusion = sentence("Left pleural effusion.", "pleural effusion", place(OPACITY), side=Side.LEFT)
    result = scored(CONSOLIDATION, effusion)
    assert (result["precision"], result["recall"]) == (0.5, 0.5)
    assert result["f1"] == pytest.approx(0.5)


def test_the_wrong_side_is_a_false_claim() -> None:
    result = scored(sentence("Consolidation.", "consolidation", place(block(40, 20, 60, 36)), side=Side.RIGHT))
    assert (result["precision"], result["recall"]) == (0, 0)


def test_a_true_claim_that_points_elsewhere_is_not_grounded() -> None:
    result = scored(sentence("Consolidation.", "consolidation", place(block(0, 80, 9, 90)), side=Side.LEFT))
    assert (result["precision"], result["grounded"]) == (1, 0)


def test_the_counts_of_several_images_are_joined_before_they_are_divided() -> None:
    elsewhere = sentence("Consolidation.", "consolidation", place(block(0, 80, 9, 90)), side=Side.LEFT)
    images = [(CONSOLIDATION, NO_EFFUSION), (elsewhere,), ()]
    result = radfact([judge(Shown(TRUTH, None, tuple(Checked(each) for each in said))) for said in images])
    assert (result["precision"], result["recall"], result["grounded"]) == (1, 0.5, 0.5)
    assert (result["claims"], result["facts"], result["pointing"]) == (3, 6, 2)


def test_what_is_not_known_is_not_judged_and_doubt_claims_nothing() -> None:
    nodule = sentence("A left nodule.", "nodule", place(OPACITY), side=Side.LEFT)
    doubt = sentence("Possible effusion.", "pleural effusion", place(OPACITY), side=Side.LEFT, presence=Presence.UNDETERMINED)
    result = scored(nodule, doubt)
    assert (result["claims"], result["precision"], result["recall"]) == (0, None, 0)


@pytest.mark.parametrize(
    ("text", "side", "true"),
    [
        ("The right lung is clear.", Side.RIGHT, True),
        ("The left lung is abnormal.", Side.LEFT, True),
        ("The left lung is clear.", Side.LEFT, False),
        ("The left lung is not clear.", Side.LEFT, True),
    ],
)
def test_a_lung_is_clear_where_none_of_its_findings_is_there(text: str, side: Side, true: bool) -> None:
    result = scored(sentence(text, "lung", place(TRUTH.masks[f"{side} lung"]), side=side))
    assert result["precision"] == float(true)
