"""What is pointed at has the name that is believed and lies there, or none."""

import numpy as np
import pytest
from numpy.typing import NDArray

from ai_engine.model.reading import Mask
from ai_engine.naming import Believed, named, what_it_is, what_it_lies_in
from radiology.finding import Side
from tests.ai_engine.sentences import block

SHAPE = (60, 60)
LUNG, EFFUSION = block(SHAPE, (5, 5, 50, 30)), block(SHAPE, (40, 5, 50, 30))


def believed(mask: NDArray[np.bool_], probability: float = 0.9) -> Believed:
    return Believed(probability, Mask(mask, 0.8))


KNOWN = {"right lung": believed(LUNG), "right pleural effusion": believed(EFFUSION), "heart": believed(block(SHAPE, (20, 30, 50, 55)))}


@pytest.mark.parametrize(
    ("region", "name"),
    [
        (LUNG, "right lung"),
        (block(SHAPE, (8, 5, 50, 30)), "right lung"),
        (EFFUSION, "right pleural effusion"),
        (block(SHAPE, (42, 8, 48, 14)), "right pleural effusion"),
        (block(SHAPE, (10, 10, 16, 16)), ""),
        (block(SHAPE, (52, 52, 58, 58)), ""),
    ],
    ids=["a lung", "most of a lung", "an effusion", "part of an effusion", "part of a lung", "elsewhere"],
)
def test_a_region_is_what_has_its_place_and_part_of_a_finding_is_that_finding(region: NDArray[np.bool_], name: str) -> None:
    assert what_it_is(KNOWN, region, is_box=False) == name


def test_a_box_is_compared_with_the_box_around_what_it_was_drawn_around() -> None:
    ring = block(SHAPE, (10, 10, 30, 30)) & ~block(SHAPE, (13, 13, 30, 30))
    box = block(SHAPE, (9, 9, 31, 31))
    assert what_it_is({"heart": believed(ring)}, box, is_box=True) == "heart"
    assert what_it_is({"heart": believed(ring)}, box, is_box=False) == ""


def test_of_two_that_fit_the_likelier_is_the_answer() -> None:
    cage = believed(LUNG | block(SHAPE, (3, 3, 52, 32)), 0.6)
    assert what_it_is({"ribs": cage, "right lung": believed(LUNG)}, block(SHAPE, (4, 4, 51, 31)), is_box=True) == "right lung"


def test_what_lies_in_several_places_lies_in_the_smallest() -> None:
    inside = block(SHAPE, (10, 10, 16, 16))
    assert what_it_lies_in(KNOWN, inside) == "right lung"
    assert what_it_lies_in({**KNOWN, "ribs": believed(block(SHAPE, (8, 8, 20, 20)))}, inside) == "ribs"
    assert what_it_lies_in(KNOWN, block(SHAPE, (52, 52, 58, 58))) == ""


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ("left pleural effusion", ("pleural effusion", Side.LEFT)),
        ("effusions on both sides", ("pleural effusion", Side.BILATERAL)),
        ("the heart", ("heart", None)),
        ("heart or lung", ("", None)),
        ("the left kidney", ("", None)),
    ],
)
def test_words_have_one_name_with_its_side_or_none(words: str, name: tuple[str, Side | None]) -> None:
    assert named(words) == name
