"""Everything measured on one image, small enough to be kept and resampled."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from ai_engine.consistency import Checked, pixels_of
from radiology.finding import Presence, Side
from radiology.terms import TERMS
from training.evaluation.overlap import SurfaceDistance, box_iou, box_of, dice, surface_distance
from training.evaluation.shown import Shown
from training.evaluation.truth import SIDES, Truth

STRUCTURES: Mapping[str, tuple[str, Side | None]] = {
    "left_lung": ("lung", Side.LEFT),
    "right_lung": ("lung", Side.RIGHT),
    "cardiomediastinum": ("mediastinum", None),
}
"""The structures of the figures, as a name of :data:`radiology.terms.TERMS` and a side."""
FINDINGS: Mapping[str, tuple[str, ...]] = {"opacity": ("consolidation", "ground glass opacity")} | {
    name.replace(" ", "_"): (name,) for name, term in TERMS.items() if term.kind != "structure"
}
"""The findings and devices of the figures, as the names that count as one."""
HIT = 0.5
BOTH_SIDES = 0.1
"""A place lies on both sides where at least this share of it is on either."""


@dataclass(frozen=True)
class StructureScore:
    """One structure of one image: what was drawn for it against the truth; nothing drawn is Dice 0, without a distance."""

    dice: float
    box_iou: float
    distance: SurfaceDistance | None


@dataclass(frozen=True)
class FindingScore:
    """One finding of one image.

    Attributes:
        there: whether it is there.
        stated: what the report says of it; None where it says nothing.
        probability: that it is there, by the report: of the sentences about it the highest; 0 where it says nothing.
        sides: (stated, true) for each side, where it has sides and they are known.
        true_boxes: of each place where it is, one a side, whether a box was drawn for it that hits (intersection over union 0.5).
        shown_boxes: of each box that was drawn, one a side, whether it hits a true one.
        dice: of what was drawn and what is there, None where it is not there.
    """

    there: bool
    stated: Presence | None
    probability: float
    sides: tuple[tuple[bool, bool], ...]
    true_boxes: tuple[bool, ...]
    shown_boxes: tuple[bool, ...]
    dice: float | None

    @property
    def positive(self) -> bool:
        """Whether the report states it, as certain or as possible."""
        return self.stated in (Presence.PRESENT, Presence.UNDETERMINED)


@dataclass(frozen=True)
class Measured:
    """One image.

    Attributes:
        name, patient, groups, normal: of its truth.
        readable: whether the answer could be read.
        structures, findings: by the names of :data:`STRUCTURES` and :data:`FINDINGS`; only what the truth knows.
        abnormal: names of the findings that are stated, whether true or not.
        sides_agree: of each stated finding with a side and a place, whether the side is the place's.
        flagged: of the same findings, whether the check flagged it.
    """

    name: str
    patient: str
    groups: Mapping[str, str]
    normal: bool
    readable: bool
    structures: Mapping[str, StructureScore]
    findings: Mapping[str, FindingScore]
    abnormal: tuple[str, ...]
    sides_agree: tuple[bool, ...]
    flagged: tuple[bool, ...]


def measure(shown: Shown) -> Measured:
    """Compare what is shown of one image with its truth."""
    truth = shown.truth
    sided = [statement for statement in shown.abnormal if statement.sentence.side is not None and statement.sentence.places]
    return Measured(
        name=truth.name,
        patient=truth.patient,
        groups=truth.groups,
        normal=truth.normal,
        readable=shown.reading is not None,
        structures={key: _structure(shown, *what) for key, what in STRUCTURES.items() if truth.where(what[:1], what[1]).any()},
        findings={key: _finding(shown, names) for key, names in FINDINGS.items() if truth.shows(names) is not None},
        abnormal=tuple(sorted({statement.sentence.name for statement in shown.abnormal})),
        sides_agree=tuple(_side_agrees(statement, truth) for statement in sided),
        flagged=tuple(bool(statement.flags) for statement in sided),
    )


def _structure(shown: Shown, name: str, side: Side | None) -> StructureScore:
    mine, there = shown.where((name,), side), shown.truth.where((name,), side)
    rows, columns = shown.truth.shape
    diagonal = float(np.hypot(rows, columns))
    return StructureScore(
        dice(mine, there), box_iou(box_of(mine), box_of(there)), surface_distance(mine, there, (1 / diagonal, 1 / diagonal))
    )


def _finding(shown: Shown, names: Collection[str]) -> FindingScore:
    truth = shown.truth
    there = bool(truth.shows(names))
    paired = all(TERMS[name].paired for name in names)
    sides: tuple[Side | None, ...] = SIDES if paired else (None,)
    mine = {side: box_of(shown.where(names, side)) for side in sides}
    true = {side: box_of(truth.where(names, side)) for side in sides}
    hits = {side: box_iou(mine[side], true[side]) >= HIT for side in sides}
    stated = shown.sides(names)
    return FindingScore(
        there=there,
        stated=_presence(shown, names),
        probability=max((_probability(statement) for statement in shown.about(names)), default=0.0),
        sides=tuple((side in stated, true[side] is not None) for side in sides) if paired else (),
        true_boxes=tuple(hits[side] for side in sides if true[side]),
        shown_boxes=tuple(hits[side] for side in sides if mine[side]),
        dice=dice(shown.where(names), truth.where(names)) if there else None,
    )


def _presence(shown: Shown, names: Collection[str]) -> Presence | None:
    """What is stated of ``names`` altogether: that one is there outweighs doubt, doubt outweighs absence."""
    stated = {statement.sentence.presence for statement in shown.about(names)}
    return next((presence for presence in (Presence.PRESENT, Presence.UNDETERMINED, Presence.ABSENT) if presence in stated), None)


def _probability(statement: Checked) -> float:
    sentence = statement.sentence
    return 1 - sentence.confidence if sentence.presence is Presence.ABSENT else sentence.confidence


def _side_agrees(statement: Checked, truth: Truth) -> bool:
    """Whether every place of a sentence lies on the side that the words give it, and both sides are marked where they name both."""
    sentence = statement.sentence
    pixels = [pixels_of(place, truth.shape) for place in sentence.places]
    for place, marked in zip(sentence.places, pixels, strict=True):
        stated = place.side or sentence.side
        if stated in SIDES and truth.side_of(marked) is not stated:
            return False
    if sentence.side is not Side.BILATERAL:
        return True
    together = np.logical_or.reduce(pixels)
    return all((together & truth.half(side)).sum() >= BOTH_SIDES * together.sum() for side in SIDES)
