"""The figures of a set of measured images: the headline figures with their counts and intervals, and the tables behind them.

    structures.left_lung.dice    mean Dice over the images with that structure's true mask, at the source's resolution; nothing drawn is 0
    structures.right_lung.dice
    structures.cardiomediastinum.dice
    findings.opacity.f1          an image has the finding where ground glass opacity or consolidation is there; its report has it where
                                 either is stated, as certain or as possible
    findings.opacity.p_at_50     of the true boxes (one an image and side, around all opacity in that lung) the share that is hit: the box
                                 around all opacity shown on that side has intersection over union of at least 0.5. A missed box counts,
                                 as in Citrus-V's detection score; ``p_at_50_shown`` is the share of the shown boxes that hit
    normals_with_false_finding   of the images known to have no finding, the share whose report states any; devices do not count
    side_agreement               of the stated findings with a side and a place, the share whose side is the place's
    ece                          expected calibration error, over images, of the probability that opacity is there; nothing said is 0

All images are read as the engine reads them, and only what the engine would pass on counts (``ai_engine.consistency.passed_on``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from radiology.terms import TERMS
from training.evaluation.calibration import bins, expected_calibration_error
from training.evaluation.counts import Tally, presence_table, share
from training.evaluation.intervals import bootstrap
from training.evaluation.measured import FINDINGS, HIT, STRUCTURES, FindingScore, Measured

Figures = dict[str, Any]
NORMALS, SIDES_AGREE, ECE = "normals_with_false_finding", "side_agreement", "ece"
HEADLINE = (
    *(f"structures.{name}.dice" for name in STRUCTURES),
    "findings.opacity.f1",
    "findings.opacity.p_at_50",
    NORMALS,
    SIDES_AGREE,
    ECE,
)
"""The figures that stand for all the others, by their place in the JSON."""


def headline(images: Sequence[Measured]) -> dict[str, float | None]:
    """The headline figures, by name; None for one that these images do not define."""
    return {name: value for name, (value, _) in _headline(images).items()}


def counted(images: Sequence[Measured]) -> dict[str, int]:
    """Out of how many each headline figure is: images, boxes, or statements."""
    return {name: count for name, (_, count) in _headline(images).items()}


def _headline(images: Sequence[Measured]) -> dict[str, tuple[float | None, int]]:
    values: list[tuple[float | None, int]] = []
    for name in STRUCTURES:
        scores = [image.structures[name].dice for image in images if name in image.structures]
        values.append((_mean(scores), len(scores)))
    opacity = [image.findings["opacity"] for image in images if "opacity" in image.findings]
    values.append((_tally(opacity).f1, len(opacity)))
    boxes = [hit for image in opacity for hit in image.true_boxes]
    values.append((_mean(boxes), len(boxes)))
    normals = [bool(image.abnormal) for image in images if image.normal]
    values.append((_mean(normals), len(normals)))
    sides = [agrees for image in images for agrees in image.sides_agree]
    values.append((_mean(sides), len(sides)))
    calibration = expected_calibration_error([image.probability for image in opacity], [image.there for image in opacity])
    values.append((calibration, len(opacity)))
    return dict(zip(HEADLINE, values, strict=True))


def figures(images: Sequence[Measured], times: int = 1000) -> Figures:
    """All figures, nested by name, each with its count; ``times``: draws of the bootstrap for the headline figures' intervals."""
    values, counts = headline(images), counted(images)
    opacity = [image.findings["opacity"] for image in images if "opacity" in image.findings]
    return {
        "structures": {name: structure_figures(images, name) for name in STRUCTURES},
        "findings": {name: found for name in FINDINGS if (found := finding_figures(images, name)) is not None},
        NORMALS: values[NORMALS],
        f"{NORMALS}_n": counts[NORMALS],
        SIDES_AGREE: values[SIDES_AGREE],
        f"{SIDES_AGREE}_n": counts[SIDES_AGREE],
        "side_agreement_unflagged": _mean(
            [agrees for image in images for agrees, flagged in zip(image.sides_agree, image.flagged, strict=True) if not flagged]
        ),
        ECE: values[ECE],
        f"{ECE}_n": counts[ECE],
        "n": counts,
        "intervals": bootstrap(images, lambda image: image.patient, headline, times),
        "calibration": [asdict(each) for each in bins([each.probability for each in opacity], [each.there for each in opacity])],
        "false_findings_on_normals": _false_findings(images),
        "images": len(images),
        "patients": len({image.patient for image in images}),
        "unreadable_share": _mean([not image.readable for image in images]),
    }


def structure_figures(images: Iterable[Measured], name: str) -> Figures:
    """One structure: Dice, box and surface distance as shares of the image's diagonal, over the images that show it."""
    scores = [image.structures[name] for image in images if name in image.structures]
    distances = [score.distance for score in scores if score.distance is not None]
    return {
        "dice": _mean([score.dice for score in scores]),
        "dice_median": float(np.median([score.dice for score in scores])) if scores else None,
        "p_at_50": _mean([score.box_iou >= HIT for score in scores]),
        "surface_distance": _mean([distance.mean for distance in distances]),
        "hd95": _mean([distance.hd95 for distance in distances]),
        "not_drawn": len(scores) - len(distances),
        "n": len(scores),
    }


def finding_figures(images: Iterable[Measured], name: str) -> Figures | None:
    """One finding, over the images where it is known whether it is there; None where that is nowhere known, or there is nothing to tell."""
    scores = [image.findings[name] for image in images if name in image.findings]
    if not any(score.there or score.stated for score in scores):
        return None
    boxes = [hit for score in scores for hit in score.true_boxes]
    shown = [hit for score in scores for hit in score.shown_boxes]
    sides = [pair for score in scores for pair in score.sides]
    return {
        **_tally(scores).figures(),
        "n": len(scores),
        "p_at_50": _mean(boxes),
        "n_boxes": len(boxes),
        "p_at_50_shown": _mean(shown),
        "n_boxes_shown": len(shown),
        "dice": _mean([score.dice for score in scores if score.dice is not None]),
        "by_side": Tally.of(sides).figures() if sides else None,
        "presence": presence_table((score.stated, score.there) for score in scores),
    }


def subgroups(images: Sequence[Measured], times: int = 1000) -> dict[str, Figures]:
    """The headline figures of every group that images are counted under, "view: PA", with intervals."""
    groups: dict[str, list[Measured]] = defaultdict(list)
    for image in images:
        for kind, group in image.groups.items():
            groups[f"{kind}: {group}"].append(image)
    return {
        name: {
            "figures": headline(groups[name]),
            "n": counted(groups[name]),
            "images": len(groups[name]),
            "intervals": bootstrap(groups[name], lambda image: image.patient, headline, times),
        }
        for name in sorted(groups)
    }


def rounded(value: Any, digits: int = 4) -> Any:
    """Figures with every float rounded, tuples as lists, for JSON."""
    if isinstance(value, float):
        return round(value, digits)
    if isinstance(value, Mapping):
        return {name: rounded(each, digits) for name, each in value.items()}
    return [rounded(each, digits) for each in value] if isinstance(value, list | tuple) else value


def _tally(scores: Iterable[FindingScore]) -> Tally:
    return Tally.of((score.positive, score.there) for score in scores)


def _mean(values: Sequence[float]) -> float | None:
    return share(float(sum(values)), len(values))


def _false_findings(images: Iterable[Measured]) -> dict[str, int]:
    """How many normal images each finding is stated on."""
    stated = [name for image in images if image.normal for name in image.abnormal]
    return {name: stated.count(name) for name in TERMS if name in stated}
