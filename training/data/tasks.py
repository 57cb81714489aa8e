"""The other tasks' samples from the facts of an image: segmentation, detection and short questions, with absent targets.

Targets are labels ("left nodule") or names without a side ("nodule": every place of it). Half of the short questions are whether a
finding is there. Several questions about one image are also merged into one (Citrus-V 3.1.2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ai_engine.model.images import Box, Kind
from ai_engine.model.prompt import BRIEFLY, DETECTION_QUERIES, QUERIES, SEGMENTATION_QUERIES, Task, presence_question
from ai_engine.model.tasks import compose_detection, compose_segmentation
from radiology.terms import TERMS
from training.data import reports
from training.data.reports import ANATOMY, SIDES, Shown
from training.parts import name_of

SIDED = tuple(f"{side} {name}" for name in reports.SHOWABLE for side in SIDES)
"""The findings that an image can show, each on its side."""
ABSENT_SHARE = 0.3
"""How often a segmentation or a detection asks for what is not there."""
PRESENCE_SHARE = 0.6
"""How many of the short questions are whether something is there."""
YES_SHARE = 0.5
"""How often the answer to those is yes, in an image that shows a finding or a device; in a normal one it is always no."""
JOINED_SHARE = 0.25
"""How often a segmentation asks for two targets at once."""
FOLLOW_UPS = 8
"""Questions after a short one about the same image: each costs a few tokens, and the image sixty-four."""
_IMAGE_QUESTIONS: dict[Kind, tuple[tuple[str, str], ...]] = {
    "projection": (("Which modality is this?", "x-ray"), ("Which view is this?", "frontal"), ("Which part of the body is this?", "chest")),
    "ct": (("Which modality is this?", "ct"), ("Which plane is this?", "axial"), ("Which part of the body is this?", "chest")),
}


def ask(task: Task, shown: Shown, boxes: Mapping[str, Box], rng: np.random.Generator) -> tuple[str, str, list[str]]:
    """Write one query and its answer.

    Args:
        task: ``report`` is :func:`training.data.reports.answer`.
        shown: what kind of image it is, and of what nobody knows whether it is there.
        boxes: ``(row0, column0, row1, column1)`` in pixels of the language model's picture, by label; what is missing is absent.
        rng: draws target and wording.

    Returns:
        The query, the answer, and the label of each ``[SEG]`` of the answer in its order.
    """
    if task == "report":
        text, labels = reports.answer(shown, boxes, rng)
        return QUERIES[shown.kind], text, labels
    if task == "segmentation":
        return _segmentation(shown, boxes, rng)
    if task == "detection":
        target = _target(shown, boxes, rng)
        query = _one(DETECTION_QUERIES, rng).format(target=target)
        return query, compose_detection(target, [boxes[label] for label in places_of(target, boxes)]), []
    query, answer = _question(shown, boxes, rng)
    return query, answer, []


def follow_ups(shown: Shown, boxes: Mapping[str, Box], rng: np.random.Generator) -> list[tuple[str, str]]:
    """Further questions about an image that was asked about, each with its answer: whether findings are there, side by side.

    The findings that are there come up always and the others as often as there is room, so the answers are mostly no, as in reports.
    """
    judged = [label for label in SIDED if label in boxes or name_of(label) not in shown.unjudged]
    asked = sorted(judged, key=lambda label: (label not in boxes, rng.random()))[:FOLLOW_UPS]
    return [(presence_question(label), "yes" if label in boxes else "no") for label in rng.permutation(asked).tolist()]


def places_of(target: str, boxes: Mapping[str, Box]) -> list[str]:
    """The labels that a target means: itself, or the right and the left one where it has no side. None where it is absent."""
    return [label for label in (target, *(f"{side} {target}" for side in SIDES)) if label in boxes]


def absent_targets(shown: Shown, boxes: Mapping[str, Box]) -> list[str]:
    """Everything that an image is known not to show and could have: names, and names with a side."""
    names = [name for region in ANATOMY for name in reports.absent(region, shown, boxes)]
    if shown.kind == "projection":
        names += [name for name in ANATOMY["devices"] if name not in {*boxes, *shown.unjudged}]
    return names + [label for label in SIDED if label not in boxes and name_of(label) not in shown.unjudged]


def _segmentation(shown: Shown, boxes: Mapping[str, Box], rng: np.random.Generator) -> tuple[str, str, list[str]]:
    targets = [_target(shown, boxes, rng) for _ in range(1 + int(rng.random() < JOINED_SHARE))]
    if targets[-1] == targets[0] or set(places_of(targets[0], boxes)) & set(places_of(targets[-1], boxes)):
        targets = targets[:1]
    labels = [label for target in targets for label in places_of(target, boxes)]
    absent = [target for target in targets if not places_of(target, boxes)]
    query = _one(SEGMENTATION_QUERIES, rng).format(target=" and the ".join(targets))
    return query, compose_segmentation(labels, absent), labels


def _target(shown: Shown, boxes: Mapping[str, Box], rng: np.random.Generator) -> str:
    """What a query asks for: something absent, or a label that is there; a third of those of one paired name without its side."""
    absent = absent_targets(shown, boxes)
    if not boxes or (absent and rng.random() < ABSENT_SHARE):
        return _one(absent, rng)
    findings = _findings(boxes)
    label = _one(findings if findings and rng.random() < 0.5 else list(boxes), rng)
    name = name_of(label)
    return name if name != "lung" and rng.random() < 1 / 3 else label


def _findings(boxes: Mapping[str, Box]) -> list[str]:
    return [label for label in boxes if TERMS[name_of(label)].kind != "structure"]


def _question(shown: Shown, boxes: Mapping[str, Box], rng: np.random.Generator) -> tuple[str, str]:
    """A question that ends in :data:`BRIEFLY`, with its word or phrase."""
    findings = _findings(boxes)
    if rng.random() < PRESENCE_SHARE:
        if findings and rng.random() < YES_SHARE:
            label = _one(findings, rng)
            return presence_question(_one((label, name_of(label)), rng)), "yes"
        if absent := absent_targets(shown, boxes):
            return presence_question(_one(absent, rng)), "no"
    asked = [*_IMAGE_QUESTIONS[shown.kind], *_merged(shown, boxes, rng)]
    for label in findings:
        name, side = name_of(label), label.split()[0]
        if name != label:
            asked.append((f"On which side is the {name}?", "both" if len(places_of(name, boxes)) == 2 else side))
            if shown.kind == "projection" and f"{side} lung" in boxes:
                asked.append((f"In which zone is the {label}?", reports.zone(boxes[label], boxes[f"{side} lung"])))
    query, answer = asked[int(rng.integers(len(asked)))]
    return f"{query} {BRIEFLY}", answer


def _merged(shown: Shown, boxes: Mapping[str, Box], rng: np.random.Generator) -> list[tuple[str, str]]:
    """Two questions about presence and two about sides, as one; none where too little is known of the image."""
    known = [name for name in reports.SHOWABLE if name not in shown.unjudged or name in map(name_of, boxes)]
    if len(known) < 2:
        return []
    names = [known[number] for number in rng.choice(len(known), 2, replace=False)]
    query, said = f"Is there any {names[0]} or {names[1]}, and on which side?", ", ".join(reports.summed_up(name, boxes) for name in names)
    return [(query, said)]


def _one(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]
