"""What is known about a demo study survives the disk, and a report is judged by it as a person would."""

from pathlib import Path

import numpy as np
import pytest

from deploy.truth import Truth, compare
from radiology.finding import Box, Finding, Presence, Region, Side

SERIES = "2.25.1"


def region(*places: tuple[slice, slice, slice]) -> Region:
    mask = np.zeros((4, 50, 60), bool)
    for place in places:
        mask[place] = True
    return Region.from_mask(SERIES, mask)


RIGHT = (slice(0, 4), slice(5, 45), slice(5, 25))
LEFT = (slice(0, 4), slice(5, 45), slice(35, 55))
SPOT = (slice(1, 3), slice(20, 30), slice(40, 47))
TRUTH = Truth(
    (
        Finding("lung", "", side=Side.RIGHT, regions=(region(RIGHT),), confidence=1.0),
        Finding("lung", "", side=Side.LEFT, regions=(region(LEFT),), confidence=1.0),
        Finding("nodule", "33 mm", side=Side.LEFT, regions=(region(SPOT),), confidence=1.0),
    ),
    complete=True,
)


def scores(*findings: Finding, truth: Truth = TRUTH) -> dict[tuple[str, str | None, str], float | None]:
    return {(s.name, s.side, s.verdict): s.dice and round(s.dice, 2) for s in compare(findings, truth)}


def test_what_is_known_survives_the_disk(tmp_path: Path) -> None:
    TRUTH.save(tmp_path)
    assert Truth.load(tmp_path) == TRUTH


def test_a_perfect_report_has_dice_one_and_no_false_alarm() -> None:
    assert scores(*TRUTH.findings) == {("lung", "right", "found"): 1.0, ("lung", "left", "found"): 1.0, ("nodule", "left", "found"): 1.0}


def test_masks_of_a_sentence_about_both_sides_are_judged_one_by_one() -> None:
    both = Finding("lung", "Both lungs are clear.", side=Side.BILATERAL, regions=(region(RIGHT), region(LEFT)))
    assert scores(both) == {("lung", "right", "found"): 1.0, ("lung", "left", "found"): 1.0, ("nodule", "left", "missed"): 0.0}


def test_masks_of_one_sentence_about_one_side_are_joined() -> None:
    half, other_half = (slice(0, 4), slice(5, 25), slice(35, 55)), (slice(0, 4), slice(25, 45), slice(35, 55))
    lung = Finding("lung", "The left lung.", side=Side.LEFT, regions=(region(half), region(other_half)))
    assert scores(lung)["lung", "left", "found"] == 1.0


def test_a_nodule_on_the_wrong_side_is_a_miss_and_a_false_alarm() -> None:
    wrong = Finding("nodule", "A nodule in the right lung.", side=Side.RIGHT, regions=(region(SPOT),))
    found = scores(wrong)
    assert found["nodule", "left", "missed"] == 0.0
    assert ("nodule", "right", "false alarm") in found


def test_a_mass_is_a_nodule_and_a_denied_nodule_is_a_miss() -> None:
    mass = Finding("mass", "A mass in the left lung.", side=Side.LEFT, regions=(region(SPOT),))
    assert scores(mass)["nodule", "left", "found"] == 1.0
    denied = Finding("nodule", "No nodule in the left lung.", Presence.ABSENT, Side.LEFT)
    assert ("nodule", "left", "missed") in scores(denied)


def test_nothing_is_a_false_alarm_where_not_everything_is_known() -> None:
    effusion = Finding("pleural effusion", "A left effusion.", side=Side.LEFT, regions=(region(SPOT),))
    assert ("pleural effusion", "left", "false alarm") in scores(effusion)
    assert ("pleural effusion", "left", "false alarm") not in scores(effusion, truth=Truth(TRUTH.findings, complete=False))


@pytest.mark.parametrize("drawn", [(), (Region(SERIES, Box((1, 20, 40), (3, 30, 47))),)], ids=["nothing", "a box only"])
def test_a_finding_without_a_mask_is_found_with_no_overlap(drawn: tuple[Region, ...]) -> None:
    said = Finding("nodule", "A nodule in the left lung.", side=Side.LEFT, regions=drawn)
    assert scores(said)["nodule", "left", "found"] == 0.0
