"""Are the sentences true, and is what is true said? After RadFact (Bannur et al. 2024), by rules instead of a language model.

A sentence makes a claim: a finding is there (on a side), is not there, or a structure is normal or not. The truth of an image decides it.
Precision is the share of claims that are true; recall the share of the image's facts that some claim states; a true claim that points
somewhere is also grounded where its box lies on the true one (intersection over union of at least a half).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

from ai_engine.consistency import WITHIN, calls_normal, pixels_of
from radiology.finding import Presence, Side
from radiology.terms import TERMS
from training.evaluation.counts import share
from training.evaluation.overlap import box_iou, box_of
from training.evaluation.shown import Shown
from training.evaluation.truth import SIDES, Truth

GROUNDED = 0.5


@dataclass(frozen=True)
class Fact:
    """Something that is so or is not so: ``names`` (one of them) on ``side`` (None: anywhere)."""

    names: tuple[str, ...]
    side: Side | None
    there: bool

    def holds(self, truth: Truth) -> bool | None:
        """Whether it is so; None where the truth does not say."""
        if truth.where(self.names, self.side).any():
            return self.there
        return not self.there if self.names and truth.judged >= set(self.names) else None


def claims(shown: Shown) -> Iterator[tuple[Fact, bool | None]]:
    """The claims of what is shown, and whether the place that each points at is the true one (None: it points nowhere)."""
    for statement in shown.statements:
        sentence = statement.sentence
        term = TERMS.get(sentence.name)
        if term is None or sentence.presence is Presence.UNDETERMINED:
            continue
        if term.kind != "structure":
            names: tuple[str, ...] = (sentence.name,)
            there = sentence.presence is Presence.PRESENT
        else:
            normal = calls_normal(sentence)
            if normal is None:
                continue
            names = tuple(name for name in WITHIN[sentence.name] if name in shown.truth.judged)
            there = not normal
        for side in SIDES if sentence.side is Side.BILATERAL else (sentence.side,):
            fact = Fact(names, side if term.paired else None, there)
            places = [place for place in sentence.places if (place.side or sentence.side) in (side, Side.BILATERAL, None)]
            true_box = box_of(shown.truth.where((sentence.name,), side))
            boxes = [box_of(pixels_of(place, shown.truth.shape)) for place in places]
            yield fact, any(box_iou(box, true_box) >= GROUNDED for box in boxes) if boxes else None


def facts_of(truth: Truth) -> list[Fact]:
    """What a report on this image should say: each finding that is there, by side, and each that is known not to be there."""
    facts = []
    for name in sorted(truth.judged):
        if TERMS[name].kind != "finding":
            continue
        sides = [side for side in SIDES if truth.where((name,), side).any()] if TERMS[name].paired else []
        facts += [Fact((name,), side, True) for side in sides] or [Fact((name,), None, bool(truth.shows((name,))))]
    return facts


@dataclass(frozen=True)
class Judged:
    """Counts of one image: claims that could be judged and those that are true; of the true ones those that point somewhere and those that
    point at the true place; facts, and those that a true claim states."""

    claims: int
    true_claims: int
    pointing: int
    pointing_right: int
    facts: int
    stated_facts: int


def judge(shown: Shown) -> Judged:
    """Judge every claim of what is shown of one image."""
    made = [(fact, place) for fact, place in claims(shown) if fact.holds(shown.truth) is not None]
    held = [(fact, place) for fact, place in made if fact.holds(shown.truth)]
    said, known = {fact for fact, _ in held}, facts_of(shown.truth)
    pointing = [place for _, place in held if place is not None]
    return Judged(len(made), len(held), len(pointing), sum(pointing), len(known), sum(fact in said for fact in known))


def radfact(images: Sequence[Judged]) -> dict[str, float | int | None]:
    """Precision, recall, their F1, and the grounded share of the true claims that point somewhere, over all images together."""
    total = {field.name: sum(getattr(image, field.name) for image in images) for field in fields(Judged)}
    precision, recall = share(total["true_claims"], total["claims"]), share(total["stated_facts"], total["facts"])
    both = None if precision is None or recall is None else share(2 * precision * recall, precision + recall)
    return {"precision": precision, "recall": recall, "f1": both, "grounded": share(total["pointing_right"], total["pointing"]), **total}
