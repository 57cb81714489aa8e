"""Reports from exact facts: ordered reasoning with boxes, a sentence for every region, negatives, and an impression that follows.

The order is a reader's: lungs, pleura, mediastinum. Wording varies; what is said does not go beyond the masks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from ai_engine.model.answer import Part, Step, compose
from ai_engine.model.images import Box

SIDES = ("right", "left")
STEPS = {"lungs": ("lung", "nodule", "consolidation"), "pleura": ("pleural effusion",), "mediastinum": ("mediastinum",)}

_CLEAR = ("The {side} lung [SEG] is clear.", "The {side} lung [SEG] shows no focal opacity.")
_SEEN = ("The {side} lung [SEG] is abnormal.", "The {side} lung [SEG] is not clear.")
_MEDIASTINUM = ("The mediastinum [SEG] is unremarkable.", "The mediastinum [SEG] has a normal outline.")
_FOUND = {
    "nodule": ("There is a nodule [SEG] in the {side} {zone}.", "A nodule [SEG] lies in the {side} {zone}."),
    "consolidation": ("There is consolidation [SEG] in the {side} {zone}.", "Consolidation [SEG] in the {side} {zone}."),
    "pleural effusion": ("There is a {side} pleural effusion [SEG].", "Pleural effusion [SEG] on the {side}."),
}
_NONE = {
    "nodule": ("No nodule is seen.", "No nodule."),
    "consolidation": ("No consolidation.", "There is no consolidation."),
    "pleural effusion": ("No pleural effusion.", "There is no pleural effusion."),
}


class Shown(Protocol):
    """What a report is written about."""

    @property
    def kind(self) -> str:
        """``projection`` or ``ct``."""


def answer(shown: Shown, boxes: Mapping[str, Box], rng: np.random.Generator) -> tuple[str, list[str]]:
    """Write the answer for one image.

    Args:
        shown: the image's kind decides whether a zone is named.
        boxes: ``(row0, column0, row1, column1)`` in pixels of the language model's picture, by label; what is missing is absent.
        rng: draws the wording.

    Returns:
        The text, and the label of each ``[SEG]`` in its order.
    """
    sentences: list[str] = []
    marked: list[str] = []

    def say(wordings: tuple[str, ...], label: str = "", **places: str) -> None:
        sentences.append(wordings[rng.integers(len(wordings))].format(**places))
        if label:
            marked.append(label)

    for side in SIDES:
        ill = [name for name in _FOUND if f"{side} {name}" in boxes]
        if f"{side} lung" in boxes:
            say(_SEEN if ill else _CLEAR, f"{side} lung", side=side)
        for name in ill:
            zone = _zone(shown.kind, boxes[f"{side} {name}"], boxes.get(f"{side} lung"))
            say(_FOUND[name], f"{side} {name}", side=side, zone=zone)
    if "mediastinum" in boxes:
        say(_MEDIASTINUM, "mediastinum")
    for name, wordings in _NONE.items():
        if not any(f"{side} {name}" in boxes for side in SIDES):
            say(wordings)
    steps = [_step(structure, names, boxes) for structure, names in STEPS.items()]
    return compose(steps, sentences, _impression(boxes)), marked


def _step(structure: str, names: tuple[str, ...], boxes: Mapping[str, Box]) -> Step:
    labels = [label for name in names for label in (f"right {name}", f"left {name}", name) if label in boxes]
    found = [label for label in labels if label.split(" ", 1)[-1] in _FOUND]
    return Step(structure, tuple(Part(label, boxes[label]) for label in labels), "abnormal." if found else "normal.")


def _zone(kind: str, box: Box, lung: Box | None) -> str:
    """The third of the lung's height that a place is in; on an axial slice, just the lung."""
    if kind == "ct" or lung is None:
        return "lung"
    height = ((box[0] + box[2]) / 2 - lung[0]) / max(1, lung[2] - lung[0])
    return ("upper zone", "middle zone", "lower zone")[int(np.clip(height * 3, 0, 2))]


def _impression(boxes: Mapping[str, Box]) -> str:
    found = [f"{side} {name}" for name in _FOUND for side in SIDES if f"{side} {name}" in boxes]
    return f"{', '.join(found).capitalize()}." if found else "No acute finding."
