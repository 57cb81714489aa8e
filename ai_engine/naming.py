"""What is it that somebody points at in a picture? The name that is believed to be there and to lie there, or that it is not known.

Weights that know a list of names are asked for each of them: whether it is there, and to draw it. What has the place that is pointed at
is the answer, else the finding that it is part of; where it only lies in a structure, that is said, and that it is not known.
Weights that answer freely are asked with the box in the words. Names that the weights were measured not to find never answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ai_engine.model.answer import names_in
from ai_engine.model.assistant import Assistant
from ai_engine.model.drawing import masks_of
from ai_engine.model.images import Box, Kind, Letterbox
from ai_engine.model.reading import Mask
from radiology import finding
from radiology.finding import Side
from radiology.terms import TERMS, sides_in

LEAST_BELIEF = 0.5
"""A name that is less probable than this answers nothing."""
SAME_SHARE, INSIDE_SHARE = 0.5, 0.7
"""Dice from which a mask is what was pointed at, and share of what was pointed at that lies in it from which it is where that lies."""
_UNKNOWN = "I do not know what this is"

Pixels = NDArray[np.bool_]


@dataclass(frozen=True)
class Named:
    """The answer: a sentence, and the name, side and probability where it names something."""

    sentence: str
    name: str = ""
    side: Side | None = None
    confidence: float | None = None


@dataclass(frozen=True, eq=False)
class Believed:
    """How probable it is that something is there, 0 to 1, and its mask if it were."""

    probability: float
    mask: Mask


class Namer:
    """Names what one loaded model sees."""

    def __init__(self, assistant: Assistant) -> None:
        self._assistant = assistant
        self._unreliable = frozenset(assistant.config.unreliable)

    @property
    def has_list(self) -> bool:
        """Whether the weights know a list of names rather than answer freely."""
        return self._assistant.config.presence is not None

    def name(self, picture: NDArray[np.float32], kind: Kind, spacing_mm: tuple[float, float] | None, region: Pixels, is_box: bool) -> Named:
        """Name what lies in ``region`` (row, column) of a picture in the standard view; ``is_box``: it was drawn around something."""
        if not self.has_list:
            return self._asked(picture, kind, spacing_mm, region)
        known = self.beliefs(picture, kind, spacing_mm, self._labels(kind))
        believed = {label: each for label, each in known.items() if each.probability >= LEAST_BELIEF}
        label = what_it_is(believed, region, is_box)
        if label:
            return Named(f"{label.capitalize()}.", *named(label), known[label].probability)
        around = what_it_lies_in(believed, region)
        where = f"; it lies in the {around}" if around else ""
        return Named(f"{_UNKNOWN}{where}.{self._not_found()}")

    def beliefs(
        self, picture: NDArray[np.float32], kind: Kind, spacing_mm: tuple[float, float] | None, labels: Sequence[str]
    ) -> dict[str, Believed]:
        """Return for each label (a name with its side) whether it is there."""
        config = self._assistant.config
        frame = Letterbox.fit((picture.shape[0], picture.shape[1]), config.segmenter_size, spacing_mm)
        believed = {}
        for label, each in self._assistant.evidence(picture, kind, labels, spacing_mm).items():
            expected_iou = torch.tensor([each.drawn]).sigmoid()
            (mask,) = masks_of(frame, each.logits[None], expected_iou)
            # Whether a structure is there is never asked in training; that it can be drawn well says it.
            is_asked = config.presence is not None and TERMS[named(label)[0]].kind != "structure"
            chance = config.presence.probability(each.said, each.drawn) if config.presence and is_asked else float(expected_iou)
            believed[label] = Believed(chance, mask)
        return believed

    def _labels(self, kind: Kind) -> list[str]:
        return [
            label
            for name, term in TERMS.items()
            if name not in self._unreliable and not (kind == "ct" and term.kind == "device")
            for label in ((f"right {name}", f"left {name}") if term.paired else (name,))
        ]

    def _asked(self, picture: NDArray[np.float32], kind: Kind, spacing_mm: tuple[float, float] | None, region: Pixels) -> Named:
        """Ask freely, with the box in the pixels of the language model's picture."""
        frame = Letterbox.fit((picture.shape[0], picture.shape[1]), self._assistant.config.image_size, spacing_mm)
        top, left, bottom, right = frame.box_to_model(box_around(region))
        reply = self._assistant.ask(picture, kind, f"What is in the region with bbox [{left}, {top}, {right}, {bottom}]?", spacing_mm)
        if names_in(reply.text) & self._unreliable:
            return Named(f"{_UNKNOWN}.{self._not_found()}")
        return Named(f"{reply.text.capitalize()}.", *named(reply.text), reply.confidence)

    def _not_found(self) -> str:
        return f" These weights were measured not to find {' or '.join(sorted(self._unreliable))}." if self._unreliable else ""


def what_it_is(believed: Mapping[str, Believed], region: Pixels, is_box: bool) -> str:
    """Return the label whose mask is what is pointed at, or else the finding that it is part of; empty where none is.

    A box was drawn around something, so it is compared with the box around a mask. Part of an opacity is that opacity; part of a lung
    is not a lung.
    """
    touching = {label: each.mask.pixels for label, each in believed.items() if (each.mask.pixels & region).any()}
    alike = {label: _dice(_filled(box_around(mask), mask.shape) if is_box else mask, region) for label, mask in touching.items()}
    same = [label for label in touching if alike[label] >= SAME_SHARE]
    if not same:
        held = [label for label, mask in touching.items() if _share_inside(mask, region) >= INSIDE_SHARE]
        same = [label for label in held if TERMS[named(label)[0]].kind != "structure"]
    return max(same, key=lambda label: alike[label] * believed[label].probability, default="")


def what_it_lies_in(believed: Mapping[str, Believed], region: Pixels) -> str:
    """Return the label of the smallest mask that holds most of what is pointed at; empty where none does."""
    around = [label for label, each in believed.items() if _share_inside(each.mask.pixels, region) >= INSIDE_SHARE]
    return min(around, key=lambda label: np.count_nonzero(believed[label].mask.pixels), default="")


def named(words: str) -> tuple[str, Side | None]:
    """Return the one name in ``words``, and its side where it has one and they say it; nothing where there are several names or none."""
    names = names_in(words)
    if len(names) != 1:
        return "", None
    (name,) = names
    sides = sides_in(words) if TERMS[name].paired else frozenset()
    return name, Side.BILATERAL if len(sides) == 2 else next(iter(sides), None)


def box_around(mask: Pixels) -> Box:
    """Return the smallest box around a mask (row, column) that is not empty."""
    box = finding.Box.around(mask[None])
    return box.start[1], box.start[2], box.stop[1], box.stop[2]


def _filled(box: Box, shape: tuple[int, ...]) -> Pixels:
    inside = np.zeros(shape, np.bool_)
    inside[box[0] : box[2], box[1] : box[3]] = True
    return inside


def _dice(one: Pixels, other: Pixels) -> float:
    return float(2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other)))


def _share_inside(mask: Pixels, region: Pixels) -> float:
    return float(np.count_nonzero(mask & region) / np.count_nonzero(region))
