"""Reports from exact facts: ordered reasoning with boxes, a sentence for every region, negatives, and an impression that follows.

The order is a reader's: ribs, lungs, pleura, mediastinum, heart, devices (Citrus-V 3.2.4). In the reasoning, what is wrong with a lung
stands right behind that lung. Wording varies (:mod:`training.data.wording`); what is said does not go beyond the masks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Protocol

import numpy as np

from ai_engine.model.answer import Part, Step, compose
from ai_engine.model.images import Box, Kind
from radiology.terms import TERMS
from training.data import wording
from training.parts import name_of

SIDES = ("right", "left")
ANATOMY = {
    "ribs": ("ribs",),
    "lungs": ("lung", "nodule", "mass", "consolidation", "ground glass opacity"),
    "pleura": ("pleural effusion", "pneumothorax"),
    "mediastinum": ("mediastinum", "trachea", "aorta"),
    "heart": ("heart", "cardiomegaly"),
    "devices": tuple(name for name, term in TERMS.items() if term.kind == "device"),
}
"""The regions in the order in which they are read, with the names that belong to each."""
SHOWABLE = ("nodule", "consolidation", "ground glass opacity", "pleural effusion", "pneumothorax")
"""Findings that a scene shows where it has them, so that one that is missing is stated to be absent; cardiomegaly is another one where
the heart is known."""
RIBS_SHARE = 0.35
"""How often the ribs are spoken of where they are known: they cost a tenth of a report's tokens, and nothing is ever wrong with them."""
JOINED_SHARE = 0.5
"""How often the same finding of both pleural spaces is one sentence with two marks."""


class Shown(Protocol):
    """What a report is written about."""

    @property
    def kind(self) -> Kind:
        """``projection`` or ``ct``."""

    @property
    def unjudged(self) -> frozenset[str]:
        """Names of findings and devices of which nobody knows whether they are there: where they are not shown, nothing is said of them."""


def answer(shown: Shown, boxes: Mapping[str, Box], rng: np.random.Generator) -> tuple[str, list[str]]:
    """Write the answer for one image.

    Args:
        shown: its kind decides whether a zone is named.
        boxes: ``(row0, column0, row1, column1)`` in pixels of the language model's picture, by label; what is missing is absent.
        rng: draws the wording.

    Returns:
        The text, and the label of each ``[SEG]`` in its order.
    """
    if "ribs" in boxes and rng.random() >= RIBS_SHARE:
        boxes = {label: box for label, box in boxes.items() if label != "ribs"}
    written = [sentence for region in ANATOMY for sentence in _region(region, shown, boxes, rng)]
    text = compose(reasoning(boxes, shown.unjudged), [sentence for sentence, _ in written], impression(boxes, shown.unjudged))
    return text, [label for _, labels in written for label in labels]


Written = tuple[str, tuple[str, ...]]
"""A sentence and the labels of its marks."""


def _region(region: str, shown: Shown, boxes: Mapping[str, Box], rng: np.random.Generator) -> Iterator[Written]:
    """The sentences about one region: structures, each followed by what is wrong with it, then what is absent."""
    if region == "lungs":
        for side in SIDES:
            yield from _lung(side, shown.kind, boxes, rng)
    elif region == "pleura":
        for name in ANATOMY[region]:
            yield from _pleural(name, boxes, rng)
    else:
        yield from ((wording.stated(label, boxes, rng), (label,)) for label in labels_of(region, boxes))
    for name in absent(region, shown, boxes):
        yield wording.denied(name, rng), ()


def _lung(side: str, kind: Kind, boxes: Mapping[str, Box], rng: np.random.Generator) -> Iterator[Written]:
    lung = f"{side} lung"
    if lung in boxes:
        yield wording.stated(lung, boxes, rng), (lung,)
    for name in ANATOMY["lungs"]:
        label = f"{side} {name}"
        if label in boxes and label != lung:
            place = "lung" if kind == "ct" else zone(boxes[label], boxes.get(lung))
            yield wording.located(name, side, place, rng), (label,)


def _pleural(name: str, boxes: Mapping[str, Box], rng: np.random.Generator) -> Iterator[Written]:
    labels = tuple(f"{side} {name}" for side in SIDES if f"{side} {name}" in boxes)
    if len(labels) == 2 and rng.random() < JOINED_SHARE:
        yield wording.on_both_sides(name, rng), labels
    else:
        yield from ((wording.stated(label, boxes, rng), (label,)) for label in labels)


def absent(region: str, shown: Shown, boxes: Mapping[str, Box]) -> list[str]:
    """The findings of a region that an image could have shown and shows on neither side."""
    there = {name_of(label) for label in boxes}
    could = [name for name in ANATOMY[region] if name in SHOWABLE or (name == "cardiomegaly" and "heart" in boxes)]
    return [name for name in could if name not in there | shown.unjudged]


def labels_of(region: str, boxes: Mapping[str, Box]) -> list[str]:
    """The labels of a region that an image shows, in the order of the reasoning: right before left, a structure before its findings."""
    names = ANATOMY[region]
    sided = [f"{side} {name}" for side in SIDES for name in names]
    return [label for label in (*sided, *names) if label in boxes]


def reasoning(boxes: Mapping[str, Box], unjudged: Collection[str] = ()) -> list[Step]:
    """The steps through the regions, with the box of everything that was looked at."""
    return [step for region in ANATOMY if (step := _step(region, boxes, unjudged)) is not None]


def _step(region: str, boxes: Mapping[str, Box], unjudged: Collection[str]) -> Step | None:
    labels = labels_of(region, boxes)
    # The pleura is seen only where something is wrong with it.
    if not labels and (region != "pleura" or set(ANATOMY["pleura"]) & set(unjudged)):
        return None
    return Step(region, tuple(Part(label, boxes[label]) for label in labels), wording.observed(region, labels))


def zone(box: Box, lung: Box | None) -> str:
    """The third of the lung's height that a place on a projection is in; just the lung where the lung is not known."""
    if lung is None:
        return "lung"
    height = ((box[0] + box[2]) / 2 - lung[0]) / max(1, lung[2] - lung[0])
    return ("upper zone", "middle zone", "lower zone")[int(np.clip(height * 3, 0, 2))]


def summed_up(name: str, boxes: Mapping[str, Box]) -> str:
    """A name with the sides that show it: ``left nodule``, ``bilateral nodule``, ``cardiomegaly``, ``no nodule``."""
    sides = [side for side in SIDES if f"{side} {name}" in boxes]
    where = "bilateral" if len(sides) == 2 else "".join(sides)
    return f"{where} {name}" if sides else name if name in boxes else f"no {name}"


def impression(boxes: Mapping[str, Box], unjudged: Collection[str] = ()) -> str:
    """One sentence that names the findings with their sides, in the order of the anatomy.

    That there is none is said only where all were looked for.
    """
    names = {name_of(label) for label in boxes}
    found = [summed_up(name, boxes) for region in ANATOMY.values() for name in region if name in names and TERMS[name].kind == "finding"]
    if not found:
        return "See above." if set(SHOWABLE) & set(unjudged) else "No acute finding."
    return f"{', '.join(found).capitalize()}."
