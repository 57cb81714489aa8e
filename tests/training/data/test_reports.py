"""A report says what the masks show, on the side where they show it, and nothing more."""

from dataclasses import dataclass

import numpy as np
import pytest

from ai_engine.model.answer import parse
from ai_engine.model.images import Kind
from ai_engine.model.language import Language
from ai_engine.model.prompt import answer_ids
from radiology.finding import Presence, Side
from radiology.terms import TERMS
from tests.training.data.chest import ball, chest
from training.data import drr
from training.data.reports import ANATOMY, answer
from training.parts import LABELS

SPOKEN_OF = {name for names in ANATOMY.values() for name in names}


@dataclass(frozen=True)
class Shown:
    kind: Kind
    unjudged: frozenset[str] = frozenset()


NORMAL = {"right lung": (20, 10, 150, 90), "left lung": (20, 120, 150, 200), "mediastinum": (20, 80, 160, 150)}
WHOLE = NORMAL | {"heart": (70, 80, 140, 150), "ribs": (10, 5, 170, 205)}
ALWAYS_DENIED = {"nodule", "consolidation", "ground glass opacity", "pleural effusion", "pneumothorax"}


def random_boxes(rng: np.random.Generator) -> dict[str, tuple[int, int, int, int]]:
    """Any mixture of structures, findings and devices, each at a place of its own."""
    labels = [label for label in LABELS if rng.random() < 0.3 and label.removeprefix("right ").removeprefix("left ") in SPOKEN_OF]
    places = rng.permutation(200)
    return {label: (int(place), int(place) + 1, int(place) + 20, int(place) + 12) for label, place in zip(labels, places, strict=False)}


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("kind", ["projection", "ct"])
def test_what_is_read_back_is_what_was_there(kind: Kind, seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes = random_boxes(rng)
    text, marked = answer(Shown(kind), boxes, rng)
    read = parse(text)
    said = [
        (f"{mark.side} {sentence.name}" if mark.side else sentence.name, mark.box) for sentence in read.sentences for mark in sentence.marks
    ]
    assert [label for label, _ in said] == marked
    assert set(boxes) - {"ribs"} <= set(marked) <= set(boxes)
    assert [box for _, box in said] == [boxes[label] for label in marked]
    assert all(sentence.presence is Presence.PRESENT for sentence in read.sentences if sentence.marks)
    denied = {sentence.name for sentence in read.sentences if sentence.presence is Presence.ABSENT}
    known = ALWAYS_DENIED | ({"cardiomegaly"} if "heart" in boxes else set())
    assert denied == {name for name in known if not any(label.endswith(name) for label in boxes)}
    assert not {sentence.name for sentence in read.sentences if sentence.presence is Presence.UNDETERMINED}


def test_nothing_is_denied_that_nobody_looked_for() -> None:
    for seed in range(20):
        text, _ = answer(Shown("projection", frozenset({"nodule", "pneumothorax"})), NORMAL, np.random.default_rng(seed))
        denied = {sentence.name for sentence in parse(text).sentences if sentence.presence is Presence.ABSENT}
        assert denied == ALWAYS_DENIED - {"nodule", "pneumothorax"}


@pytest.mark.parametrize("seed", range(20))
def test_reasoning_and_findings_follow_the_order_of_the_anatomy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    read = parse(answer(Shown("projection"), random_boxes(rng), rng)[0])
    order = list(ANATOMY)
    steps = [order.index(step.structure) for step in read.steps]
    assert steps == sorted(set(steps))
    places = [next(index for index, names in enumerate(ANATOMY.values()) if sentence.name in names) for sentence in read.sentences]
    assert places == sorted(places)


def test_what_is_wrong_with_a_lung_stands_right_behind_it() -> None:
    boxes = WHOLE | {"right nodule": (30, 20, 40, 30), "left consolidation": (100, 130, 140, 160)}
    steps = {step.structure: step for step in parse(answer(Shown("projection"), boxes, np.random.default_rng(0))[0]).steps}
    assert [part.name for part in steps["lungs"].parts] == ["right lung", "right nodule", "left lung", "left consolidation"]
    assert steps["lungs"].observation == "abnormal."
    assert steps["pleura"].observation == "normal."


@pytest.mark.parametrize("seed", range(8))
def test_every_region_has_its_sentence_and_every_absence_is_stated(seed: int) -> None:
    boxes = NORMAL | {"left nodule": (120, 150, 140, 170), "right pleural effusion": (110, 10, 150, 90)}
    text, marked = answer(Shown("projection"), boxes, np.random.default_rng(seed))
    read = parse(text)
    assert sorted(marked) == sorted(boxes)
    stated = {(sentence.name, sentence.side): sentence for sentence in read.sentences}
    assert "lower zone" in stated["nodule", Side.LEFT].text
    assert stated["pleural effusion", Side.RIGHT].presence == Presence.PRESENT
    assert stated["consolidation", None].presence == Presence.ABSENT
    assert read.impression == "Left nodule, right pleural effusion."


@pytest.mark.parametrize("seed", range(4))
def test_a_normal_film_has_only_negatives_and_structures(seed: int) -> None:
    read = parse(answer(Shown("projection"), NORMAL, np.random.default_rng(seed))[0])
    assert read.impression == "No acute finding."
    assert {sentence.name for sentence in read.sentences if sentence.presence == Presence.ABSENT} == ALWAYS_DENIED


def test_the_heart_is_called_enlarged_or_not_only_where_it_is_known() -> None:
    rng = np.random.default_rng(0)
    assert "cardio" not in " ".join(step.structure for step in parse(answer(Shown("projection"), NORMAL, rng)[0]).steps)
    large = parse(answer(Shown("projection"), WHOLE | {"cardiomegaly": WHOLE["heart"]}, rng)[0])
    assert [sentence.presence for sentence in large.sentences if sentence.name == "cardiomegaly"] == [Presence.PRESENT]
    assert next(sentence for sentence in large.sentences if sentence.name == "heart").text.endswith("enlarged.")
    assert "not enlarged" not in " ".join(sentence.text for sentence in large.sentences)
    assert large.impression == "Cardiomegaly."


def test_a_finding_of_both_sides_is_one_sentence_or_two() -> None:
    boxes = NORMAL | {"right pneumothorax": (20, 10, 60, 50), "left pneumothorax": (20, 150, 60, 200)}
    forms = set()
    for seed in range(20):
        read = parse(answer(Shown("projection"), boxes, np.random.default_rng(seed))[0])
        about = [sentence for sentence in read.sentences if sentence.name == "pneumothorax"]
        assert [mark.side for sentence in about for mark in sentence.marks] == [Side.RIGHT, Side.LEFT]
        assert read.impression == "Bilateral pneumothorax."
        forms.add(len(about))
    assert forms == {1, 2}


def test_a_report_is_short_enough_to_train_on() -> None:
    rng = np.random.default_rng(0)
    ill = WHOLE | {"left nodule": (120, 150, 140, 170), "right pleural effusion": (110, 10, 150, 90)}
    language = Language.train([answer(Shown("projection"), boxes, rng)[0] for boxes in (WHOLE, ill) for _ in range(100)], 2048, 224)

    def mean_tokens(boxes: dict[str, tuple[int, int, int, int]]) -> float:
        return float(np.mean([len(answer_ids(language, answer(Shown("projection"), boxes, rng)[0])) for _ in range(50)]))

    assert mean_tokens(WHOLE) < 190
    assert mean_tokens(ill) < 230


def test_a_structure_that_left_the_field_is_not_spoken_of() -> None:
    text, marked = answer(Shown("ct"), {"right lung": (1, 1, 9, 9)}, np.random.default_rng(0))
    assert marked == ["right lung"]
    assert "left lung" not in text


def test_the_words_side_is_the_masks_side() -> None:
    rng = np.random.default_rng(8)
    body = drr.pose(chest(), rng)
    said = 0
    for _ in range(12):
        scene = drr.scene(body, [ball(5)], rng)
        boxes = {}
        for label, mask in scene.masks.items():
            rows, columns = np.nonzero(mask)
            boxes[label] = (int(rows.min()), int(columns.min()), int(rows.max()) + 1, int(columns.max()) + 1)
        middle = (boxes["right lung"][3] + boxes["left lung"][1]) / 2
        for sentence in parse(answer(scene, boxes, rng)[0]).sentences:
            if not TERMS[sentence.name].paired or sentence.presence == Presence.ABSENT:
                continue
            assert sentence.box is not None
            centre = (sentence.box[1] + sentence.box[3]) / 2
            assert (centre < middle) == (sentence.side == Side.RIGHT)
            said += sentence.name != "lung"
    assert said > 3


def test_that_there_is_nothing_is_said_only_where_all_was_looked_for() -> None:
    boxes = {"left lung": (10, 60, 50, 90)}
    for unjudged, said in ((frozenset(), True), (frozenset({"nodule"}), False)):
        text, _ = answer(Shown("projection", unjudged), boxes, np.random.default_rng(0))
        assert ("No acute finding." in text) is said
    text, _ = answer(Shown("projection", frozenset({"pleural effusion"})), boxes, np.random.default_rng(0))
    assert "pleura" not in text.lower()
