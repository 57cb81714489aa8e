"""Scores: what the model said about images, against the truth and against a reader who never looks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ai_engine.model.assistant import Reading
from ai_engine.model.images import Kind, Letterbox
from radiology.finding import Presence, Side
from radiology.terms import TERMS
from training.data.cases import Case
from training.examples import box_of
from training.parts import name_of

Mask = NDArray[np.bool_]
Score = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Truth:
    """One image and what is in it: ``masks`` by label ("right lung", "left nodule"), each (row, column)."""

    name: str
    image: NDArray[np.float32]
    kind: Kind
    masks: dict[str, Mask]


@dataclass(frozen=True, eq=False)
class Said:
    """What the model said about one image: masks and boxes by label; None where the answer was unreadable."""

    labels: frozenset[str]
    masks: dict[str, Mask]
    boxes: dict[str, tuple[int, int, int, int]]


def dice(mine: Mask, truth: Mask) -> float:
    """Dice of two masks; 1 where both are empty."""
    both = int(mine.sum()) + int(truth.sum())
    return 2 * int((mine & truth).sum()) / both if both else 1.0


def box_iou(mine: Sequence[float], truth: Sequence[float]) -> float:
    """Intersection over union of two boxes (row0, column0, row1, column1)."""
    height = min(mine[2], truth[2]) - max(mine[0], truth[0])
    width = min(mine[3], truth[3]) - max(mine[1], truth[1])
    common = max(0.0, height) * max(0.0, width)
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (mine, truth))
    return common / (areas - common) if areas > common else 0.0


def said(reading: Reading, shape: tuple[int, int]) -> Said:
    """Gather a reading by label; several masks of one label are joined, the first box counts."""
    labels: set[str] = set()
    masks: dict[str, Mask] = {}
    boxes: dict[str, tuple[int, int, int, int]] = {}
    for sentence in reading.sentences:
        if sentence.presence is not Presence.PRESENT or not sentence.name:
            continue
        sides = [Side.RIGHT, Side.LEFT] if sentence.side is Side.BILATERAL else [sentence.side]
        labels |= {_label(sentence.name, side) for side in sides}
        for place in sentence.places:
            label = _label(sentence.name, place.side or sides[0])
            if place.mask is not None:
                masks[label] = masks.get(label, np.zeros(shape, bool)) | place.mask.pixels
            if place.box is not None:
                boxes.setdefault(label, place.box)
    return Said(frozenset(labels), masks, boxes)


def _label(name: str, side: Side | None) -> str:
    return f"{side.value} {name}" if side and TERMS[name].paired else name


@dataclass(frozen=True, eq=False)
class Baseline:
    """What a reader who never looks would say of one kind of image: mean masks [side, side], mean boxes and shares of images by label."""

    masks: dict[str, NDArray[np.float32]]
    boxes: dict[str, NDArray[np.float64]]
    shares: dict[str, float]

    def mask(self, label: str, shape: tuple[int, int], size: int) -> Mask:
        """The mean mask on an image of ``shape``, at least half the training images agreeing."""
        if label not in self.masks:
            return np.zeros(shape, bool)
        there: Mask = Letterbox.fit(shape, size).logits_to_source(self.masks[label] - 0.5) > 0
        return there

    def box(self, label: str, shape: tuple[int, int], size: int) -> Sequence[float]:
        """The mean box on an image of ``shape``; a box of no area where the label was never seen."""
        if label not in self.boxes:
            return (0, 0, 0, 0)
        top, left, bottom, right = (round(float(edge)) for edge in self.boxes[label])
        return Letterbox.fit(shape, size).box_to_source((top, left, bottom, right)) or (0, 0, 0, 0)


def baseline(cases: Sequence[Case], kind: Kind, size: int, seed: int = 0, most: int = 500) -> Baseline:
    """Measure the baseline on up to ``most`` training images of a kind."""
    masks: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
    boxes: dict[str, list[tuple[int, int, int, int]]] = defaultdict(list)
    count = 0
    for index in np.random.default_rng(seed).permutation(len(cases)):
        case = cases[int(index)]
        if case.kind != kind:
            continue
        count += 1
        for label, mask in case.masks.items():
            letterbox = Letterbox.fit(mask.shape, size)
            masks[label].append(letterbox.mask_to_model(mask, size // 2))
            boxes[label].append(letterbox.box_to_model(box_of(mask)))
        if count == most:
            break
    return Baseline(
        {label: np.mean(found, 0, dtype=np.float32) for label, found in masks.items()},
        {label: np.mean(found, 0) for label, found in boxes.items()},
        {label: len(found) / count for label, found in masks.items()},
    )


@dataclass
class Tally:
    """Counts of one binary question over many images."""

    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0
    true_negative: int = 0

    def add(self, mine: bool, truth: bool) -> None:
        """Count one image."""
        if mine:
            self.true_positive, self.false_positive = self.true_positive + truth, self.false_positive + (not truth)
        else:
            self.false_negative, self.true_negative = self.false_negative + truth, self.true_negative + (not truth)

    def score(self) -> Score:
        """Precision, recall, F1, false-positive rate and accuracy; None where nothing was there to count."""
        tp, fp, fn, tn = self.true_positive, self.false_positive, self.false_negative, self.true_negative

        def share(part: int, whole: int) -> float | None:
            return round(part / whole, 3) if whole else None

        return {
            "precision": share(tp, tp + fp),
            "recall": share(tp, tp + fn),
            "f1": share(2 * tp, 2 * tp + fp + fn),
            "false_positive_rate": share(fp, fp + tn),
            "accuracy": share(tp + tn, tp + fp + fn + tn),
            "images_with": tp + fn,
            "images_without": fp + tn,
        }


@dataclass
class Measured:
    """Everything measured on a set of images of one kind."""

    base: Baseline
    size: int
    dice: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    iou: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    findings: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    guesses: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))
    images: int = 0
    unreadable: int = 0

    def add(self, truth: Truth, answer: Said | None, sided: bool = True) -> None:
        """Compare one answer with the truth; an unreadable answer (None) says nothing and marks nothing."""
        self.images += 1
        self.unreadable += answer is None
        mine = answer or Said(frozenset(), {}, {})
        shape = truth.image.shape
        for label, mask in truth.masks.items():
            if not mask.any():
                continue
            drawn = np.zeros(shape, bool)
            for other in mine.masks:
                if _about(label, [other]):
                    drawn |= mine.masks[other]
            self.dice[label].append((dice(drawn, mask), dice(self.base.mask(label, shape, self.size), mask)))
            box = box_of(mask)
            placed = next((mine.boxes[other] for other in mine.boxes if _about(label, [other])), (0, 0, 0, 0))
            self.iou[label].append((box_iou(placed, box), box_iou(self.base.box(label, shape, self.size), box)))
        for label in finding_labels(sided):
            there = _about(label, truth.masks)
            self.findings[label].add(_about(label, mine.labels), there)
            self.guesses[label].add(any(share > 0.5 for other, share in self.base.shares.items() if _about(label, [other])), there)

    def score(self) -> Score:
        """The figures, each with its baseline."""
        return {
            "images": self.images,
            "unreadable_share": round(self.unreadable / max(1, self.images), 4),
            "masks": {
                label: {
                    "dice_mean": _mean(values, 0),
                    "dice_median": round(float(np.median([value[0] for value in values])), 3),
                    "baseline_dice_mean": _mean(values, 1),
                    "images": len(values),
                }
                for label, values in sorted(self.dice.items())
            },
            "boxes": {
                label: {
                    "iou_mean": _mean(values, 0),
                    "precision_at_0.5": round(float(np.mean([value[0] >= 0.5 for value in values])), 3),
                    "baseline_iou_mean": _mean(values, 1),
                    "baseline_precision_at_0.5": round(float(np.mean([value[1] >= 0.5 for value in values])), 3),
                }
                for label, values in sorted(self.iou.items())
            },
            "findings": {
                label: tally.score() | {f"baseline_{name}": self.guesses[label].score()[name] for name in ("f1", "accuracy")}
                for label, tally in sorted(self.findings.items())
                if tally.true_positive or tally.false_positive or tally.false_negative or _about(label, self.base.shares)
            },
        }


def finding_labels(sided: bool) -> Iterator[str]:
    """Labels of all findings, one a side where ``sided``."""
    for term in TERMS.values():
        if term.kind == "finding":
            yield from (f"{side.value} {term.name}" for side in (Side.RIGHT, Side.LEFT)) if sided and term.paired else (term.name,)


def _about(label: str, labels: Iterable[str]) -> bool:
    """Whether one of ``labels`` is ``label``, or its name on some side."""
    return any(label in (other, name_of(other)) for other in labels)


def _mean(values: Sequence[tuple[float, float]], which: int) -> float:
    return round(float(np.mean([value[which] for value in values])), 3)
