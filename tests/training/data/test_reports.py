"""A report says what the masks show, on the side where they show it, and nothing more."""

from dataclasses import dataclass

import numpy as np
import pytest

from ai_engine.model.answer import parse
from radiology.finding import Presence, Side
from tests.training.data.chest import ball, chest
from training.data import drr
from training.data.reports import answer


@dataclass(frozen=True)
class Shown:
    kind: str


NORMAL = {"right lung": (20, 10, 150, 90), "left lung": (20, 120, 150, 200), "mediastinum": (20, 80, 160, 150)}


@pytest.mark.parametrize("seed", range(8))
def test_every_region_has_its_sentence_and_every_absence_is_stated(seed: int) -> None:
    boxes = NORMAL | {"left nodule": (120, 150, 140, 170), "right pleural effusion": (110, 10, 150, 90)}
    text, marked = answer(Shown("projection"), boxes, np.random.default_rng(seed))
    read = parse(text)
    assert sorted(marked) == sorted(boxes)
    assert sum(len(sentence.marks) for sentence in read.sentences) == len(marked)
    stated = {(sentence.name, sentence.side): sentence for sentence in read.sentences}
    assert stated["nodule", Side.LEFT].presence == Presence.PRESENT
    assert "lower zone" in stated["nodule", Side.LEFT].text
    assert stated["pleural effusion", Side.RIGHT].presence == Presence.PRESENT
    assert stated["consolidation", None].presence == Presence.ABSENT
    assert "nodule" in read.impression.lower()
    order = [mark.box for sentence in read.sentences for mark in sentence.marks]
    assert order == [boxes[label] for label in marked]


@pytest.mark.parametrize("seed", range(4))
def test_a_normal_film_has_only_negatives_and_structures(seed: int) -> None:
    read = parse(answer(Shown("projection"), NORMAL, np.random.default_rng(seed))[0])
    assert read.impression == "No acute finding."
    assert {sentence.name for sentence in read.sentences if sentence.presence == Presence.ABSENT} == {
        "nodule",
        "consolidation",
        "pleural effusion",
    }


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
            if sentence.name in ("", "mediastinum") or sentence.presence == Presence.ABSENT:
                continue
            assert sentence.box is not None
            centre = (sentence.box[1] + sentence.box[3]) / 2
            assert (centre < middle) == (sentence.side == Side.RIGHT)
            said += sentence.name not in ("lung", "")
    assert said > 3
