"""A text becomes a sample only where every check passes; one case for each check."""

from collections.abc import Sequence

import numpy as np
import pytest

from ai_engine.model.answer import parse
from ai_engine.model.images import Kind
from radiology.finding import Presence, Side
from training.data.rationale import RETRIES, Facts, Fault, faults_of, reasoned
from training.data.reports import answer
from training.data.retelling import retell, visible_on_film

BOXES = {
    "right lung": (20, 10, 150, 90),
    "left lung": (20, 120, 150, 200),
    "mediastinum": (20, 80, 160, 150),
    "heart": (70, 80, 140, 150),
    "left nodule": (50, 150, 60, 160),
    "right pleural effusion": (130, 10, 150, 90),
    "left pleural effusion": (120, 120, 150, 200),
}
REPORT = (
    "The patient is rotated. Heart size is normal. Small bilateral pleural effusions. There is a nodule in the left upper zone. "
    "The lungs are otherwise clear. No pneumothorax. IMPRESSION: Left nodule and bilateral pleural effusions."
)
FACTS = Facts(BOXES, REPORT)
GOOD = retell(FACTS)


def changed(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


def test_a_report_retold_in_order_has_no_fault() -> None:
    assert faults_of(GOOD, FACTS) == []
    read = parse(GOOD)
    assert [step.structure for step in read.steps] == ["lungs", "pleura", "mediastinum", "heart"]
    assert [sentence.name for sentence in read.sentences] == ["nodule", "lung", "pleural effusion", "pneumothorax", "heart"]
    assert [len(sentence.marks) for sentence in read.sentences] == [1, 2, 2, 0, 1]
    assert "rotated" not in GOOD


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        pytest.param(changed("</think>", ""), Fault.FORM, id="a tag is missing"),
        pytest.param(changed("[150, 50, 160, 60]", "[151, 50, 160, 60]"), Fault.BOX, id="a box has other numbers"),
        pytest.param(changed('"Part":"mediastinum"', '"Part":"trachea"'), Fault.BOX, id="a box was not given"),
        pytest.param(changed("nodule [SEG]", "nodule"), Fault.UNTIED, id="a positive sentence has no box"),
        pytest.param(changed("No pneumothorax.\n", "") + "", None, id="leaving out a negative is no fault"),
        pytest.param(
            changed("Right [SEG] and left [SEG] pleural effusion.\n", "").replace(
                "FINDINGS:\n", "FINDINGS:\nRight [SEG] and left [SEG] pleural effusion.\n"
            ),
            Fault.ORDER,
            id="the pleura comes before the lungs",
        ),
        pytest.param(
            changed("No pneumothorax.", "There is consolidation [SEG] in the left lung."),
            Fault.ADDED,
            id="the report states no consolidation",
        ),
        pytest.param(changed("IMPRESSION:\nLeft nodule", "IMPRESSION:\nLeft mass"), Fault.ADDED, id="the impression adds a finding"),
        pytest.param(changed("No pneumothorax.", "There is a left pneumothorax."), Fault.ADDED, id="what the report denies is stated"),
        pytest.param(
            changed("left upper zone", "right upper zone").replace("left nodule", "right nodule"),
            Fault.SIDE,
            id="the report has another side",
        ),
    ],
)
def test_each_check_finds_its_fault(text: str, fault: Fault | None) -> None:
    assert (fault in faults_of(text, FACTS)) if fault else faults_of(text, FACTS) == []


def test_a_box_on_the_other_side_of_the_body_is_a_fault() -> None:
    boxes = BOXES | {"left nodule": (50, 30, 60, 40)}
    assert faults_of(retell(Facts(boxes, REPORT)), Facts(boxes, REPORT)) == [Fault.SIDE]


def test_an_attempt_is_repeated_twice_and_then_dropped() -> None:
    seen: list[list[Fault]] = []

    def careless(facts: Facts, faults: Sequence[Fault]) -> str:
        seen.append(list(faults))
        return changed("nodule [SEG]", "nodule")

    assert reasoned(FACTS, careless) is None
    assert seen == [[]] + [[Fault.UNTIED]] * RETRIES


def test_a_better_second_attempt_is_kept() -> None:
    def learning(facts: Facts, faults: Sequence[Fault]) -> str:
        return GOOD if faults == [Fault.FORM] else "The lungs are clear."

    assert reasoned(FACTS, learning) == GOOD


def test_a_finding_without_a_box_drops_the_sample() -> None:
    boxes = {label: box for label, box in BOXES.items() if label != "left nodule"}
    assert reasoned(Facts(boxes, REPORT), retell) is None


def test_a_box_that_the_report_does_not_speak_of_is_left_out() -> None:
    text = reasoned(Facts(BOXES | {"right pneumothorax": (20, 10, 40, 60)}, REPORT), retell)
    assert text is not None
    assert "right pneumothorax" not in text


def test_a_side_that_the_report_leaves_open_is_taken_from_the_box() -> None:
    facts = Facts({label: BOXES[label] for label in ("right lung", "left lung", "left nodule")}, "There is a nodule.")
    sentence = parse(retell(facts)).sentences[0]
    assert (sentence.name, sentence.side, sentence.presence) == ("nodule", Side.LEFT, Presence.PRESENT)


def test_scenes_own_reports_pass_the_checks() -> None:
    class Shown:
        kind: Kind = "projection"
        unjudged: frozenset[str] = frozenset()

    for seed in range(20):
        text, _ = answer(Shown(), BOXES, np.random.default_rng(seed))
        findings = [sentence.text for sentence in parse(text).sentences]
        assert faults_of(text, Facts(BOXES, " ".join(findings) + f" IMPRESSION: {parse(text).impression}")) == []


def test_a_ct_report_keeps_only_what_a_radiograph_shows() -> None:
    report = (
        "There is a 9 mm nodule in the apicoposterior segment of the left upper lobe (series 4, image 33). A 3 mm nodule in the right "
        "middle lobe. Mild bronchiectasis. No filling defect in the segmental arteries. Small left pleural effusion. "
        "IMPRESSION: Left upper lobe nodule. Bronchiolitis."
    )
    assert visible_on_film(report) == (
        "There is a 9 mm nodule in the left upper lobe. Small left pleural effusion. IMPRESSION: Left upper lobe nodule."
    )
