"""Key slices lie in the lungs; what is said of each becomes one statement, with masks that hang together along the slices."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from ai_engine.consistency import Checked
from ai_engine.model.reading import ReadSentence
from ai_engine.slices import Statement, join, key_slices
from radiology.finding import Presence, Side
from tests.ai_engine.sentences import Block, block, place, sentence

SHAPE = (20, 20)
HERE, AWAY = (5, 5, 10, 10), (14, 14, 18, 18)


def lung_ct(slices: int, first: int, last: int) -> NDArray[np.float32]:
    volume = np.full((slices, 64, 64), -1000.0, np.float32)
    volume[:, 8:56, 8:56] = 40
    volume[first:last, 16:48, 12:28] = -850
    return volume


def nothing(key: int, states: Sequence[object], path: Sequence[int]) -> Iterator[list[NDArray[np.bool_]]]:
    for _ in path:
        yield [np.zeros(SHAPE, np.bool_) for _ in states]


def nodule(box: Block = HERE, state: object = None, **values: object) -> ReadSentence:
    return sentence("A nodule in the left lung.", "nodule", place(block(SHAPE, box), state=state), side=Side.LEFT, **values)


def lung(text: str, box: Block = (2, 2, 18, 18)) -> ReadSentence:
    return sentence(text, "lung", place(block(SHAPE, box)), side=Side.LEFT)


def no_effusion(confidence: float = 0.9) -> ReadSentence:
    return sentence("No pleural effusion.", "pleural effusion", presence=Presence.ABSENT, confidence=confidence)


def said(*slices: tuple[int, Sequence[ReadSentence]]) -> dict[int, list[Checked]]:
    return {key: [Checked(each) for each in sentences] for key, sentences in slices}


def names(statements: Sequence[Statement]) -> list[tuple[str, Presence]]:
    return [(statement.words.name, statement.words.presence) for statement in statements]


def test_key_slices_are_spread_evenly_over_the_lungs() -> None:
    assert key_slices(lung_ct(100, 20, 60), 4) == [25, 35, 45, 55]


def test_a_volume_without_lungs_is_read_from_end_to_end() -> None:
    assert key_slices(lung_ct(30, 0, 0), 3) == [5, 15, 25]


@pytest.mark.parametrize("slices", [1, 2, 5])
def test_a_short_volume_gives_each_slice_once(slices: int) -> None:
    assert key_slices(lung_ct(slices, 0, slices), 12) == list(range(slices))


def test_one_statement_per_name_and_side_whose_mask_spans_the_slices() -> None:
    (statement,) = join(said((2, [nodule(confidence=0.6)]), (3, [nodule(confidence=0.8)])), 10, nothing)
    assert sorted(statement.masks) == [2, 3]
    assert (statement.confidence, statement.score) == (0.8, pytest.approx(0.8))


def test_a_mask_is_followed_to_its_neighbours_while_it_overlaps() -> None:
    asked = []

    def follow(key: int, states: Sequence[object], path: Sequence[int]) -> Iterator[list[NDArray[np.bool_]]]:
        for index in path:
            asked.append(index)
            yield [block(SHAPE, HERE if index < 8 else AWAY) for _ in states]

    (statement,) = join(said((5, [nodule(state="seg")])), 20, follow)
    assert sorted(statement.masks) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert asked == [6, 7, 8, 4, 3, 2, 1, 0], "it stops where the mask jumps"
    assert statement.read == (5,)


def test_a_mask_that_ended_does_not_come_back_while_another_one_goes_on() -> None:
    def follow(key: int, states: Sequence[object], path: Sequence[int]) -> Iterator[list[NDArray[np.bool_]]]:
        for index in path:
            yield [block(SHAPE, (2, 2, 18, 18)), block(SHAPE, AWAY if index == 3 else HERE)]

    sentences = [sentence("A lung.", "lung", place(block(SHAPE, (2, 2, 18, 18)), state="lung")), nodule(state="nodule")]
    lung, small = join(said((2, sentences)), 6, follow)
    assert (sorted(lung.masks), sorted(small.masks)) == ([0, 1, 2, 3, 4, 5], [0, 1, 2])


def test_each_slice_follows_its_nearest_key_slice() -> None:
    asked = []

    def follow(key: int, states: Sequence[object], path: Sequence[int]) -> Iterator[list[NDArray[np.bool_]]]:
        for index in path:
            asked.append((index, key, *states))
            yield [block(SHAPE, HERE) for _ in states]

    (statement,) = join(said((4, [nodule(state="low")]), (9, [nodule(state="high")])), 30, follow)
    low, high = (4, "low"), (9, "high")
    assert sorted(asked) == [
        (2, *low), (3, *low), (5, *low), (6, *low), (7, *high), (8, *high), (10, *high), (11, *high),
    ]  # fmt: skip
    assert sorted(statement.masks) == list(range(2, 12))
    assert statement.read == (4, 9)


def test_slices_read_side_by_side_leave_nothing_to_follow() -> None:
    def follow(key: int, states: Sequence[object], path: Sequence[int]) -> Iterator[list[NDArray[np.bool_]]]:
        assert not list(path), "every slice was read itself"
        yield from ()

    join(said((0, [nodule(state="a")]), (1, [nodule(state="b")]), (2, [nodule(state="c")])), 3, follow)


def test_a_negative_is_stated_only_where_every_slice_states_it() -> None:
    assert names(join(said((1, [no_effusion(0.9)]), (2, [no_effusion(0.4)])), 4, nothing)) == [("pleural effusion", Presence.ABSENT)]
    assert join(said((1, [no_effusion(0.9)]), (2, [no_effusion(0.4)])), 4, nothing)[0].confidence == 0.4
    assert join(said((1, [no_effusion()]), (2, [])), 4, nothing) == []


def test_a_finding_on_one_slice_overrules_its_absence_on_the_others() -> None:
    denial = sentence("No nodule.", "nodule", presence=Presence.ABSENT)
    assert names(join(said((1, [denial]), (2, [nodule()]), (3, [denial])), 5, nothing)) == [("nodule", Presence.PRESENT)]


def test_a_clear_slice_does_not_speak_for_a_lung_with_a_nodule() -> None:
    clear, abnormal = lung("The left lung is clear.", (0, 0, 20, 20)), lung("The left lung shows an opacity.")
    statements = join(said((1, [clear]), (2, [abnormal, nodule()]), (3, [clear])), 5, nothing)
    assert [statement.words.text for statement in statements] == ["The left lung shows an opacity.", "A nodule in the left lung."]


def test_the_words_of_a_finding_come_from_the_slice_that_shows_most_of_it() -> None:
    small = sentence("A small nodule.", "nodule", place(block(SHAPE, (5, 5, 7, 7))), side=Side.LEFT)
    large = sentence("A large nodule.", "nodule", place(block(SHAPE, HERE)), side=Side.LEFT)
    (statement,) = join(said((1, [small]), (2, [large]), (3, [small])), 5, nothing)
    assert statement.words.text == "A large nodule."


def test_flags_of_a_finding_stay_and_those_of_a_structure_count_only_where_no_slice_is_without() -> None:
    flagged = {
        1: [Checked(lung("The left lung is not clear."), ("Box and mask disagree.",)), Checked(nodule(), ("Too large.",))],
        2: [Checked(lung("The left lung is not clear.")), Checked(nodule())],
    }
    assert [(s.words.name, s.flags, sorted(s.masks)) for s in join(flagged, 3, nothing)] == [
        ("lung", (), [2]),
        ("nodule", ("Too large.",), [1, 2]),
    ]
    del flagged[2]
    assert join(flagged, 3, nothing)[0].flags == ("Box and mask disagree.",)


def test_a_lung_that_is_clear_on_one_slice_is_flagged_where_another_slice_shows_a_finding_in_it() -> None:
    clear, ill, finding = lung("The left lung is clear."), lung("The left lung is not clear."), nodule(AWAY)
    (statement, _) = join(said((2, [clear]), (3, [finding])), 10, nothing)
    assert statement.flags == ("It is called normal, but nodule is stated in it.",)
    (statement, _) = join(said((2, [ill]), (3, [finding])), 10, nothing)
    assert statement.flags == (), "the slice that shows why is another one"


def test_sentences_without_a_term_are_kept_apart_by_their_words() -> None:
    slices = said((1, [sentence("Sternal wires.", ""), sentence("A port.", "")]), (2, [sentence("A port.", "")]))
    assert [statement.words.text for statement in join(slices, 3, nothing)] == ["Sternal wires.", "A port."]


def test_boxes_without_masks_stay_on_their_slices() -> None:
    (statement,) = join(said((1, [sentence("A nodule.", "nodule", place(None, HERE))])), 3, nothing)
    assert (dict(statement.masks), dict(statement.boxes)) == ({}, {1: HERE})
