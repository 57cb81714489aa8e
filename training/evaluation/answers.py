"""How the short tasks are answered: segmentation and detection of what an image shows and of what it does not, and whether it is there.

Every structure with a mask is asked for, and every finding of which it is known whether the image shows it, on each side by itself. What
the engine refuses to be asked for (``unreliable``) is left out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ai_engine.model.images import Kind
from ai_engine.model.prompt import IS_THERE
from ai_engine.model.reading import Located, Reply
from radiology.errors import UnreadableAnswer
from training.data.reports import SHOWABLE
from training.evaluation.counts import Tally, share
from training.evaluation.figures import Figures
from training.evaluation.measured import HIT, STRUCTURES
from training.evaluation.overlap import Mask, box_iou, box_of, dice
from training.evaluation.truth import SIDES, Truth


class Answerer(Protocol):
    """What is evaluated; :class:`~ai_engine.model.assistant.Assistant` has these three."""

    def segment(self, array: NDArray[np.float32], kind: Kind, target: str) -> Reply:
        """Draw ``target`` on an image (row, column); raise ``UnreadableAnswer`` for an answer that has no form."""

    def detect(self, array: NDArray[np.float32], kind: Kind, target: str) -> Reply:
        """Box ``target``."""

    def ask(self, array: NDArray[np.float32], kind: Kind, question: str) -> Reply:
        """Answer a question with a word or phrase."""


def answered(answerer: Answerer, truths: Iterable[Truth], unreliable: Collection[str] = ()) -> Figures:
    """Ask about every image and score the answers.

    Args:
        answerer: what is evaluated.
        truths: the images.
        unreliable: names that it is not asked for.

    Returns:
        ``segmentation``: mean Dice of each target where it is there. ``detection``: how often its box is hit there, by an intersection
        over union of at least 0.5 with the box around all that is boxed. ``absent_drawn``, ``absent_boxed``: the share of the
        ``absent_n`` absent targets that are given a place. ``questions``: of each finding, how "is there any?" is answered, side by side.
        ``unreadable``: the share of each task's answers that have no readable form; they count as no.
    """
    asked: Counter[str] = Counter()
    unreadable: Counter[str] = Counter()
    drawn: dict[str, list[float]] = defaultdict(list)
    boxed: dict[str, list[bool]] = defaultdict(list)
    false: dict[str, list[bool]] = {"segmentation": [], "detection": []}
    said: dict[str, list[tuple[bool, bool]]] = defaultdict(list)

    def reply(task: str, how: Callable[[NDArray[np.float32], Kind, str], Reply], truth: Truth, words: str) -> Reply:
        asked[task] += 1
        try:
            return how(truth.image, truth.kind, words)
        except UnreadableAnswer:
            unreadable[task] += 1
            return Reply("", 0.0)

    for truth in truths:
        for key, target, there in _targets(truth, unreliable):
            mine = _drawn(reply("segmentation", answerer.segment, truth, target).places, truth.shape)
            box = _around(reply("detection", answerer.detect, truth, target).places)
            if there.any():
                drawn[key].append(dice(mine, there))
                boxed[key].append(box_iou(box, box_of(there)) >= HIT)
            else:
                false["segmentation"].append(bool(mine.any()))
                false["detection"].append(box is not None)
            if key not in STRUCTURES:
                yes = reply("questions", answerer.ask, truth, IS_THERE.format(target=target)).text == "yes"
                said[key].append((yes, bool(there.any())))
    absent = len(false["segmentation"])
    return {
        "segmentation": {name: {"dice": sum(each) / len(each), "n": len(each)} for name, each in drawn.items()},
        "absent_drawn": share(sum(false["segmentation"]), absent),
        "detection": {name: {"p_at_50": sum(each) / len(each), "n": len(each)} for name, each in boxed.items()},
        "absent_boxed": share(sum(false["detection"]), absent),
        "absent_n": absent,
        "questions": {name: Tally.of(each).figures() for name, each in said.items()},
        "unreadable": {task: unreadable[task] / number for task, number in asked.items()},
    }


def _targets(truth: Truth, unreliable: Collection[str]) -> Iterator[tuple[str, str, Mask]]:
    """What each target counts as, its words, and its true mask; an empty one for what is known to be absent."""
    for key, (name, side) in STRUCTURES.items():
        if (there := truth.where((name,), side)).any():
            yield key, f"{side} {name}" if side else name, there
    for name in SHOWABLE:
        if name in unreliable or (shown := truth.shows((name,))) is None:
            continue
        sides = {side: truth.where((name,), side) for side in SIDES}
        if not shown or any(there.any() for there in sides.values()):  # else it is marked in neither lung: on which side, nobody knows
            yield from ((name.replace(" ", "_"), f"{side} {name}", there) for side, there in sides.items())


def _drawn(places: Iterable[Located], shape: tuple[int, int]) -> Mask:
    drawn = np.zeros(shape, np.bool_)
    for place in places:
        if place.mask is not None:
            drawn |= place.mask.pixels
    return drawn


def _around(places: Iterable[Located]) -> tuple[int, int, int, int] | None:
    boxes = np.array([place.box for place in places if place.box is not None])
    return (*boxes[:, :2].min(0).tolist(), *boxes[:, 2:].max(0).tolist()) if len(boxes) else None
