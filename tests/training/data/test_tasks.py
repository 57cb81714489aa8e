"""Every task's answer is the truth about the image, and reads back as such."""

from dataclasses import dataclass
from typing import get_args

import numpy as np
import pytest

from ai_engine.model.images import Kind
from ai_engine.model.prompt import BRIEFLY, Task
from ai_engine.model.tasks import parse_detection, parse_question, parse_segmentation
from radiology.terms import TERMS
from training.data.tasks import ask, follow_ups, places_of
from training.parts import name_of


@dataclass(frozen=True)
class Shown:
    kind: Kind
    unjudged: frozenset[str] = frozenset()


BOXES = {
    "right lung": (20, 10, 150, 90),
    "left lung": (20, 120, 150, 200),
    "heart": (70, 80, 140, 150),
    "left nodule": (120, 150, 140, 170),
    "right pneumothorax": (20, 10, 60, 50),
    "left pneumothorax": (20, 150, 60, 200),
    "endotracheal tube": (5, 100, 60, 106),
}
NORMAL = {label: box for label, box in BOXES.items() if label in ("right lung", "left lung")}


def asked(task: Task, count: int, boxes: dict[str, tuple[int, int, int, int]] = BOXES) -> list[tuple[str, str, list[str]]]:
    rng = np.random.default_rng(0)
    return [ask(task, Shown("projection"), boxes, rng) for _ in range(count)]


def test_a_segmentation_marks_every_place_of_its_target_and_nothing_absent() -> None:
    absences = 0
    for query, answer, labels in asked("segmentation", 200):
        read = parse_segmentation(answer)
        assert list(read.labels) == labels
        assert all(name_of(label) in query for label in labels)
        absences += not labels
        if not labels:
            assert read.text.startswith("No ")
        for name in ("nodule", "heart", "endotracheal tube"):
            assert f"No {name} is seen" not in read.text
    assert 20 < absences < 100


def test_a_detection_gives_every_box_of_its_target_or_says_that_there_is_none() -> None:
    for query, answer, labels in asked("detection", 200):
        parts = parse_detection(answer)
        assert labels == []
        target = parts[0].name if parts else answer.removeprefix("No ").removesuffix(" is seen.")
        assert target in query
        assert [part.box for part in parts] == [BOXES[label] for label in places_of(target, BOXES)]


def test_short_questions_have_true_short_answers() -> None:
    answers: dict[str, str] = {}
    for query, answer, _ in asked("question", 800):
        assert query.endswith(BRIEFLY)
        assert parse_question(answer) == answer
        assert answers.setdefault(query, answer) == answer
        if query.startswith("Is there any ") and answer in ("yes", "no"):
            target = query.removeprefix("Is there any ").split("?")[0]
            assert (answer == "yes") == bool(places_of(target, BOXES))
    short = {query.removesuffix(f" {BRIEFLY}"): answer for query, answer in answers.items()}
    assert short["On which side is the nodule?"] == "left"
    assert short["On which side is the pneumothorax?"] == "both"
    assert short["In which zone is the left nodule?"] == "lower zone"
    assert short["Which modality is this?"] == "x-ray"
    assert "left nodule, no consolidation" in [answer for query, answer in short.items() if "and on which side" in query]


def test_presence_is_asked_of_findings_with_and_without_a_side_in_normal_images_too() -> None:
    for boxes, expected in ((BOXES, {"yes", "no"}), (NORMAL, {"no"})):
        presence = [(query, answer) for query, answer, _ in asked("question", 300, boxes) if answer in ("yes", "no")]
        assert len(presence) > 150
        assert {answer for _, answer in presence} == expected
        assert any("any left" in query for query, _ in presence)
        assert any("any nodule" in query for query, _ in presence)
        assert not any("cardiomegaly" in query for query, _ in presence) or "heart" in boxes


@pytest.mark.parametrize("kind", get_args(Kind))
@pytest.mark.parametrize("task", get_args(Task))
def test_every_task_can_be_asked_of_any_image(task: Task, kind: Kind) -> None:
    rng = np.random.default_rng(1)
    labels = [label for name, term in TERMS.items() for label in ((f"right {name}", f"left {name}") if term.paired else (name,))]
    for _ in range(40):
        boxes = {label: (1, 2, 9, 12) for label in labels if rng.random() < rng.choice([0.0, 0.3, 1.0]) and name_of(label) != "liver"}
        query, answer, marked = ask(task, Shown(kind), boxes, rng)
        assert query
        assert answer.count("[SEG]") == len(marked)
        assert set(marked) <= set(boxes)


@pytest.mark.parametrize("task", ["segmentation", "detection", "question"])
def test_nothing_is_asked_of_what_nobody_looked_for(task: Task) -> None:
    rng = np.random.default_rng(1)
    shown = Shown("projection", frozenset({"nodule", "central venous catheter"}))
    said = [" ".join(ask(task, shown, NORMAL, rng)[:2]) for _ in range(300)]
    said += [" ".join(pair) for _ in range(20) for pair in follow_ups(shown, NORMAL, rng)]
    assert not [text for text in said if "nodule" in text or "catheter" in text]
    assert any("consolidation" in text for text in said)


def test_what_is_shown_is_asked_for_whoever_looked() -> None:
    shown = Shown("projection", frozenset({"nodule"}))
    assert "yes" in dict(follow_ups(shown, BOXES, np.random.default_rng(0))).values()
