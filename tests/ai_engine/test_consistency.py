"""What disagrees is flagged, what nothing supports is withheld, and what agrees is left alone."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from ai_engine.consistency import body_of, check, passed_on, without_strays
from ai_engine.model.reading import Reading, ReadSentence
from radiology.finding import Presence, Side
from tests.ai_engine.sentences import block, place, sentence

SHAPE = (100, 120)
BODY = block(SHAPE, (5, 10, 100, 110))
RIGHT = (30, 20, 40, 30)
"""On the patient's right: the image's left."""
LEFT = (30, 85, 40, 95)


def nodule(
    *boxes: tuple[int, int, int, int], side: Side | None = Side.LEFT, text: str = "There is a nodule in the left lower zone."
) -> ReadSentence:
    return sentence(text, "nodule", *(place(block(SHAPE, box)) for box in boxes), side=side)


def test_what_agrees_passes_untouched() -> None:
    good = nodule(LEFT)
    stated, withheld = check([good], BODY)
    assert withheld == []
    assert (stated[0].sentence.text, stated[0].flags) == (good.text, ())
    assert np.array_equal(stated[0].sentence.places[0].mask.pixels, good.places[0].mask.pixels)


ELSEWHERE = 'Withheld, because the marked place is not clearly on the side of the patient that the words name: "{}"'


def lungs(right: tuple[int, int, int, int], left: tuple[int, int, int, int]) -> list[ReadSentence]:
    return [
        sentence(f"The {side} lung is clear.", "lung", place(block(SHAPE, box), side=side), side=side)
        for side, box in ((Side.RIGHT, right), (Side.LEFT, left))
    ]


def test_a_finding_whose_words_name_the_other_side_is_withheld() -> None:
    for finding in (nodule(RIGHT), nodule(LEFT, side=Side.RIGHT)):
        assert check([finding], BODY) == ([], [ELSEWHERE.format(finding.text)])


def test_a_structure_whose_words_name_the_other_side_is_flagged() -> None:
    stated, withheld = check([sentence("The left lung is clear.", "lung", place(block(SHAPE, RIGHT)), side=Side.LEFT)], BODY)
    assert stated[0].flags == ("The words say left, but a marked place is on the patient's right.",)
    assert withheld == []


def test_the_side_of_each_mark_counts_where_the_words_give_one() -> None:
    both = sentence(
        "Right and left pleural effusions.",
        "pleural effusion",
        place(block(SHAPE, LEFT), side=Side.RIGHT),
        place(block(SHAPE, RIGHT), side=Side.LEFT),
        side=Side.BILATERAL,
    )
    assert check([both], BODY) == ([], [ELSEWHERE.format(both.text)])


def test_the_lung_that_the_answer_drew_decides_the_side_near_the_middle() -> None:
    near_the_middle = nodule((30, 57, 40, 65))
    drawn = lungs((20, 15, 90, 70), (20, 75, 90, 105))
    stated, withheld = check([*drawn, near_the_middle], BODY)
    assert len(stated) == 2
    assert withheld == [ELSEWHERE.format(near_the_middle.text)]
    assert check([*lungs((20, 15, 90, 50), (20, 55, 90, 105)), near_the_middle], BODY)[1] == []


def test_lungs_that_were_mixed_up_decide_nothing() -> None:
    assert check([*lungs((20, 75, 90, 105), (20, 15, 90, 50)), nodule(LEFT)], BODY)[1] == []


def test_what_the_model_doubts_when_asked_again_is_withheld() -> None:
    stated, withheld = check([replace(nodule(LEFT), doubted=True)], BODY)
    assert stated == []
    assert withheld == ['Withheld, because the model doubts it when asked again: "There is a nodule in the left lower zone."']


def test_both_sides_need_a_place_on_both() -> None:
    assert check([nodule(LEFT, RIGHT, side=Side.BILATERAL)], BODY)[0][0].flags == ()
    flags = check([nodule(LEFT, side=Side.BILATERAL)], BODY)[0][0].flags
    assert flags == ("The words say both sides, but only the patient's left is marked.",)


def test_a_finding_that_lies_across_the_midline_is_not_shown_on_one_side() -> None:
    across = nodule((30, 55, 40, 64))
    assert check([across], BODY) == ([], [ELSEWHERE.format(across.text)])
    over_both_lungs = nodule((30, 45, 40, 75))
    assert check([*lungs((20, 15, 90, 58), (20, 60, 90, 105)), over_both_lungs], BODY)[1] == [ELSEWHERE.format(over_both_lungs.text)]


def test_a_structure_across_the_midline_has_no_wrong_side() -> None:
    middle = sentence("The left lung is clear.", "lung", place(block(SHAPE, (30, 55, 40, 64))), side=Side.LEFT)
    assert check([middle], BODY)[0][0].flags == ()


def test_sides_are_judged_about_the_bodys_middle_not_the_images() -> None:
    shifted = block(SHAPE, (5, 50, 100, 120))
    assert check([nodule((30, 60, 40, 70), side=Side.RIGHT)], shifted)[0][0].flags == ()


@pytest.mark.parametrize("mask", [np.zeros(SHAPE, np.bool_), block(SHAPE, (30, 85, 31, 88))])
def test_a_finding_with_an_empty_mask_is_withheld_and_the_report_can_say_so(mask: np.ndarray) -> None:
    stated, withheld = check([sentence("There is a nodule in the left lower zone.", "nodule", place(mask), side=Side.LEFT)], BODY)
    assert stated == []
    assert withheld == [
        "Withheld, because no place that was marked for it can be right (empty, or outside the body): "
        '"There is a nodule in the left lower zone."'
    ]


def test_a_finding_outside_the_body_is_withheld() -> None:
    stated, withheld = check([nodule((0, 111, 20, 120))], BODY)
    assert stated == []
    assert len(withheld) == 1


def test_a_finding_that_marks_nothing_is_withheld() -> None:
    stated, withheld = check([sentence("There is a nodule.", "nodule")], BODY)
    assert stated == []
    assert withheld == ['Withheld, because the answer marks no place for it: "There is a nodule."']


def test_one_good_place_keeps_the_finding_and_the_bad_one_is_dropped() -> None:
    stated, withheld = check([nodule(LEFT, (0, 111, 20, 120))], BODY)
    assert len(stated[0].sentence.places) == 1
    assert withheld == []


def test_a_structure_without_a_place_is_flagged() -> None:
    stated, withheld = check([sentence("The heart is of normal size.", "heart")], BODY)
    assert len(stated[0].flags) == 1
    assert withheld == []


def test_a_box_alone_is_a_place() -> None:
    assert check([sentence("A nodule on the left.", "nodule", place(None, LEFT), side=Side.LEFT)], BODY)[0][0].flags == ()
    assert check([sentence("A nodule on the left.", "nodule", place(None, RIGHT), side=Side.LEFT)], BODY)[0] == []


def test_a_mask_that_disagrees_with_the_reasoned_box_is_flagged() -> None:
    agreeing = sentence("A nodule.", "nodule", place(block(SHAPE, LEFT), (31, 84, 41, 95)))
    apart = sentence("A nodule.", "nodule", place(block(SHAPE, LEFT), (60, 84, 71, 95)))
    assert check([agreeing], BODY)[0][0].flags == ()
    assert check([apart], BODY)[0][0].flags == ("The box that was reasoned with and the mask disagree (overlap 0%).",)


def test_a_place_of_absurd_size_is_flagged() -> None:
    flags = check([nodule((10, 60, 90, 110))], BODY)[0][0].flags
    assert flags == ("The marked place is too large for a nodule (42% of the body in the image).",)


def test_a_finding_that_is_both_stated_and_denied_is_flagged_and_the_denial_withheld() -> None:
    denial = sentence("No nodule.", "nodule", presence=Presence.ABSENT)
    stated, withheld = check([nodule(LEFT), denial], BODY)
    assert [each.flags for each in stated] == [("The answer also denies it.",)]
    assert withheld == ['Withheld, because the answer also states the finding: "No nodule."']
    other_side = sentence("No right nodule.", "nodule", side=Side.RIGHT, presence=Presence.ABSENT)
    stated, withheld = check([nodule(LEFT), other_side], BODY)
    assert [each.flags for each in stated] == [(), ()]
    assert withheld == []


def test_nothing_is_passed_on_of_an_unreliable_name_in_whichever_sentence_it_is() -> None:
    aside = sentence("The right lung is clear, no nodule.", "lung", place(block(SHAPE, RIGHT)), side=Side.RIGHT)
    negative = sentence("No pleural effusion.", "pleural effusion", presence=Presence.ABSENT)
    reading = Reading((), (aside, nodule(LEFT), negative), "", "")
    picture = np.where(BODY, 1000, 0).astype(np.float32)
    assert [each.sentence.text for each in passed_on(reading, picture, "projection", ["nodule"])[0]] == [negative.text]
    assert len(passed_on(reading, picture, "projection")[0]) == 3


def test_a_negative_needs_no_place() -> None:
    stated, withheld = check([sentence("No pleural effusion.", "pleural effusion", presence=Presence.ABSENT)], BODY)
    assert [each.flags for each in stated] == [()]
    assert withheld == []


def test_the_body_is_found_with_its_lungs_and_without_air_and_markers() -> None:
    slice_hu = np.full((80, 100), -1000.0, np.float32)
    slice_hu[10:70, 15:85] = 40
    slice_hu[20:60, 25:45] = -850
    slice_hu[75:78, 5:8] = 300
    assert np.array_equal(body_of(slice_hu, "ct")[12:68, 17:83], np.ones((56, 66), np.bool_))
    assert not body_of(slice_hu, "ct")[:, :10].any()
    film = np.zeros((80, 100), np.float32)
    film[10:80, 15:85] = 900
    film[20:60, 25:45] = 300
    film[2:6, 2:6] = 1000
    assert body_of(film, "projection")[30, 30]
    assert not body_of(film, "projection")[:8].any()


def test_a_picture_without_contrast_counts_as_body_everywhere() -> None:
    assert body_of(np.zeros((20, 20), np.float32), "projection").all()


def test_strays_are_erased_and_twins_are_kept() -> None:
    nodule_with_stray = sentence("A nodule.", "nodule", place(block(SHAPE, LEFT) | block(SHAPE, (80, 20, 83, 23))))
    (kept,) = check([nodule_with_stray], BODY)[0][0].sentence.places
    assert np.array_equal(kept.mask.pixels, block(SHAPE, LEFT))
    both_lungs = block(SHAPE, (20, 15, 60, 50)) | block(SHAPE, (20, 70, 60, 100))
    assert np.array_equal(without_strays(both_lungs), both_lungs)
    assert not without_strays(np.zeros(SHAPE, np.bool_)).any()


OPACITY = "ground glass opacity"


def clear(side: Side, text: str = "The {} lung is clear.") -> ReadSentence:
    box = (20, 15, 90, 55) if side is Side.RIGHT else (20, 65, 90, 105)
    return sentence(text.format(side), "lung", place(block(SHAPE, box), side=side), side=side)


def flags_by_words(*sentences: ReadSentence, unreliable: Sequence[str] = ()) -> dict[str, tuple[str, ...]]:
    picture = np.where(BODY, 1000, 0).astype(np.float32)
    stated, _ = passed_on(Reading((), sentences, "", ""), picture, "projection", unreliable)
    return {each.sentence.text: each.flags for each in stated}


def test_a_lung_that_is_called_clear_is_flagged_where_the_model_does_not_rule_an_opacity_out() -> None:
    denial = sentence("No left ground glass opacity.", OPACITY, side=Side.LEFT, presence=Presence.ABSENT)
    doubted = replace(denial, doubted=True)
    flag = f"It is called normal, but the model, asked again, does not rule out {OPACITY}."
    right, left = clear(Side.RIGHT), clear(Side.LEFT)
    assert flags_by_words(right, left, doubted) == {right.text: (), left.text: (flag,)}
    assert flags_by_words(right, left, replace(doubted, side=None)) == {right.text: (flag,), left.text: (flag,)}
    assert flags_by_words(right, left, denial) == {right.text: (), left.text: (), denial.text: ()}
    assert flags_by_words(right, left, doubted, unreliable=[OPACITY]) == {right.text: (), left.text: ()}, "nothing is said of it at all"


def test_a_lung_that_is_called_clear_is_flagged_where_a_finding_in_it_is_stated() -> None:
    right, left = clear(Side.RIGHT), clear(Side.LEFT)
    effusion = sentence("There is a left pleural effusion.", "pleural effusion", place(block(SHAPE, LEFT)), side=Side.LEFT)
    assert flags_by_words(right, left, effusion)[left.text] == ()  # it lies in the pleura
    flagged = flags_by_words(right, left, nodule(LEFT))
    assert (flagged[right.text], flagged[left.text]) == ((), ("It is called normal, but nodule is stated in it.",))


def test_a_lung_that_is_called_abnormal_is_flagged_where_nothing_in_it_is_stated() -> None:
    ill = clear(Side.LEFT, "The {} lung is not clear.")
    flag = "It is called abnormal, but no finding is stated in it."
    assert flags_by_words(ill)[ill.text] == (flag,)
    assert flags_by_words(ill, nodule(LEFT))[ill.text] == ()
    assert flags_by_words(ill, replace(nodule(LEFT), doubted=True))[ill.text] == (flag,)
    assert flags_by_words(ill, nodule(RIGHT, side=Side.RIGHT))[ill.text] == (flag,)
