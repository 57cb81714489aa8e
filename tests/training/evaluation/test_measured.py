"""One image, one finding, every way to be right or wrong about it."""

from collections.abc import Sequence

import numpy as np
import pytest

from ai_engine.model.reading import Reading, ReadSentence
from radiology.finding import Presence, Side
from tests.ai_engine.sentences import place, sentence
from tests.training.evaluation.films import block
from tests.training.phantom import chest
from training.evaluation.measured import Measured, measure
from training.evaluation.shown import Shown
from training.evaluation.truth import Truth

OPACITY = block(40, 60, 60, 76)
JUDGED = frozenset({"consolidation", "ground glass opacity", "pleural effusion"})


def truth(**masks: np.ndarray) -> Truth:
    case = chest(0)
    named = {label.replace("_", " "): mask for label, mask in masks.items()}
    return Truth("a", "a", case.image.astype(np.float32), "projection", case.masks | named, JUDGED, normal=not masks)


def measured(about: Truth, *sentences: ReadSentence, unreliable: Sequence[str] = ()) -> Measured:
    return measure(Shown(about, Reading((), sentences, "", ""), ()).passed_on(unreliable))


def consolidation(mask: np.ndarray, side: Side = Side.LEFT, confidence: float = 0.8) -> ReadSentence:
    return sentence("Consolidation.", "consolidation", place(mask, side=side), side=side, confidence=confidence)


def test_a_finding_in_the_right_place_hits_its_box() -> None:
    seen = measured(truth(left_ground_glass_opacity=OPACITY), consolidation(OPACITY)).findings["opacity"]
    assert (seen.there, seen.stated, seen.probability) == (True, Presence.PRESENT, 0.8)
    assert (seen.true_boxes, seen.shown_boxes, seen.dice) == ((True,), (True,), 1.0)
    assert seen.sides == ((False, False), (True, True)), "right, left"


def test_consolidation_is_not_ground_glass_though_both_are_opacity() -> None:
    found = measured(truth(left_ground_glass_opacity=OPACITY), consolidation(OPACITY)).findings
    assert (found["consolidation"].there, found["consolidation"].positive) == (False, True)
    assert (found["ground_glass_opacity"].there, found["ground_glass_opacity"].positive) == (True, False)


def test_a_finding_on_the_wrong_side_is_found_but_misses_its_box() -> None:
    elsewhere = block(40, 20, 60, 36)
    seen = measured(truth(left_consolidation=OPACITY), consolidation(elsewhere, Side.RIGHT)).findings["opacity"]
    assert seen.positive
    assert (seen.true_boxes, seen.shown_boxes) == ((False,), (False,))
    assert seen.sides == ((True, False), (False, True))


def test_all_opacity_of_a_side_is_one_box_in_truth_and_in_what_is_shown() -> None:
    pieces = block(30, 60, 40, 70), block(50, 60, 60, 70)
    about = truth(left_consolidation=pieces[0], left_ground_glass_opacity=pieces[1])
    both = measured(about, consolidation(pieces[0]), consolidation(pieces[1])).findings["opacity"]
    assert (both.true_boxes, both.shown_boxes) == ((True,), (True,))
    one = measured(about, consolidation(pieces[0])).findings["opacity"]
    assert one.true_boxes == (False,), "a third of the box around both"


def test_a_denied_and_an_unmentioned_finding_are_misses_of_different_kinds() -> None:
    about = truth(left_consolidation=OPACITY)
    denied = measured(about, sentence("No consolidation.", "consolidation", presence=Presence.ABSENT, confidence=0.9)).findings["opacity"]
    assert (denied.stated, denied.probability) == (Presence.ABSENT, pytest.approx(0.1))
    silent = measured(about).findings["opacity"]
    assert (silent.stated, silent.probability, silent.true_boxes) == (None, 0.0, (False,))


def test_what_the_engine_withholds_is_not_shown() -> None:
    about = truth(left_consolidation=OPACITY)
    assert not measured(about, consolidation(OPACITY), unreliable=["consolidation"]).findings["opacity"].positive
    assert not measured(about, consolidation(np.zeros((96, 96), bool))).findings["opacity"].positive, "its mask is empty"


def test_a_possible_finding_on_a_normal_image_is_a_false_one_and_a_device_is_none() -> None:
    doubt = sentence("Possible consolidation.", "consolidation", place(OPACITY), presence=Presence.UNDETERMINED)
    assert measured(truth(), doubt).abnormal == ("consolidation",)
    assert measured(truth(), sentence("Tube.", "endotracheal tube", place(block(4, 40, 30, 44)))).abnormal == ()


def test_nothing_drawn_for_a_structure_is_dice_zero_and_a_structure_without_truth_is_not_scored() -> None:
    about = truth()
    lung = about.masks["right lung"]
    seen = measured(about, sentence("The right lung is clear.", "lung", place(lung, side=Side.RIGHT), side=Side.RIGHT)).structures
    assert (seen["right_lung"].dice, seen["left_lung"].dice) == (1.0, 0.0)
    assert seen["left_lung"].distance is None
    bare = Truth("a", "a", about.image, "projection", {"right lung": lung}, frozenset())
    assert set(measured(bare).structures) == {"right_lung"}


def test_one_mask_for_both_lungs_is_cut_at_the_middle() -> None:
    about = truth()
    both = about.masks["right lung"] | about.masks["left lung"]
    seen = measured(about, sentence("Both lungs are clear.", "lung", place(both), side=Side.BILATERAL)).structures
    assert (seen["right_lung"].dice, seen["left_lung"].dice) == (1.0, 1.0)


def test_the_side_in_the_words_is_held_against_the_place() -> None:
    about = truth(left_consolidation=OPACITY)
    assert measured(about, consolidation(OPACITY)).sides_agree == (True,)
    wrong = measured(about, consolidation(OPACITY, Side.RIGHT))
    assert wrong.sides_agree in ((False,), ()), "false while it is shown, and not counted once the check withholds it"
    only_left = sentence("Bilateral consolidation.", "consolidation", place(OPACITY), side=Side.BILATERAL)
    assert measured(about, only_left).sides_agree in ((False,), ())
    on_both = sentence("Bilateral consolidation.", "consolidation", place(OPACITY | block(40, 20, 60, 36)), side=Side.BILATERAL)
    assert measured(about, on_both).sides_agree == (True,)


def test_an_unreadable_answer_shows_nothing() -> None:
    unread = measure(Shown(truth(left_consolidation=OPACITY), None, ()).passed_on())
    assert not unread.readable
    assert unread.findings["opacity"].stated is None
    assert unread.structures["left_lung"].dice == 0
