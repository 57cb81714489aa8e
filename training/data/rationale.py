"""Chain-of-thought reports from boxes and a verified report: write, check, write again, drop (Citrus-V 3.2.4 d).

The writer is a text generator behind :class:`Writer`: a language model of any provider, or :mod:`training.data.retelling`, which needs
none. Nothing that it writes is believed: every text passes the same checks, and what fails three times is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from ai_engine.model.answer import Answer, Sentence, names_in, parse
from ai_engine.model.images import Box
from radiology.errors import UnreadableAnswer
from radiology.finding import Presence, Side
from radiology.terms import TERMS
from training.data.reports import ANATOMY, SIDES
from training.parts import name_of

RETRIES = 2


class Fault(StrEnum):
    """Why a text is no sample."""

    FORM = "FORM"
    """It is not a reasoning and an answer in their tags."""
    BOX = "BOX"
    """It cites a box that was not given, or with other numbers."""
    UNTIED = "UNTIED"
    """It states a finding or a device without a box."""
    ORDER = "ORDER"
    """It does not follow the order of the anatomy."""
    ADDED = "ADDED"
    """It states a finding that the report does not state."""
    SIDE = "SIDE"
    """Its words, the report and the place of the box do not agree on the side."""


@dataclass(frozen=True)
class Facts:
    """What a rationale is written from.

    Attributes:
        boxes: ``(row0, column0, row1, column1)`` in pixels of the language model's picture, by label.
        report: plain text that a radiologist stands for; ``IMPRESSION:`` may divide it.
    """

    boxes: Mapping[str, Box]
    report: str


class Writer(Protocol):
    """A text generator."""

    def __call__(self, facts: Facts, faults: Sequence[Fault]) -> str:
        """Write ``<think>...</think><answer>...</answer>``; ``faults`` are those of the last attempt, empty at the first."""


def reasoned(facts: Facts, write: Writer) -> str | None:
    """A text without faults, after at most ``1 + RETRIES`` attempts; None where there is none."""
    faults: list[Fault] = []
    for _ in range(1 + RETRIES):
        text = write(facts, faults)
        faults = faults_of(text, facts)
        if not faults:
            return text
    return None


def faults_of(text: str, facts: Facts) -> list[Fault]:
    """Everything that is wrong with a text, each fault once."""
    try:
        answer = parse(text)
        report = read_report(facts.report)
    except UnreadableAnswer:
        return [Fault.FORM]
    checks = {
        Fault.BOX: _cites_others(answer, facts.boxes),
        Fault.UNTIED: any(_is_untied(sentence) for sentence in answer.sentences),
        Fault.ORDER: not _is_ordered(answer),
        Fault.ADDED: not set(_stated(answer.sentences)) <= set(_stated(report))
        or not names_in(answer.impression) <= names_in(facts.report),
        Fault.SIDE: _mistakes_sides(answer, report, facts.boxes),
    }
    return [fault for fault, is_so in checks.items() if is_so]


def read_report(report: str) -> tuple[Sentence, ...]:
    """The sentences of a plain report's findings, or of all of it where it is not divided. Raises ``UnreadableAnswer`` for markup."""
    findings, _, impression = report.partition("IMPRESSION:")
    lines = "\n".join(sentences_in(findings.partition("FINDINGS:")[2] or findings))
    return parse(f"<think>\n</think><answer>FINDINGS:\n{lines}\nIMPRESSION:\n{' '.join(impression.split()) or '-'}\n</answer>").sentences


def sentences_in(text: str) -> list[str]:
    """Split plain text at the ends of its sentences."""
    return [sentence for sentence in re.split(r"(?<=[.!?])\s+", " ".join(text.split())) if sentence]


def is_abnormal(name: str) -> bool:
    """Whether a name is a finding or a device."""
    return name in TERMS and TERMS[name].kind != "structure"


def _stated(sentences: Sequence[Sentence]) -> Iterator[str]:
    return (sentence.name for sentence in sentences if is_abnormal(sentence.name) and sentence.presence is not Presence.ABSENT)


def _cites_others(answer: Answer, boxes: Mapping[str, Box]) -> bool:
    return any(boxes.get(part.name) != part.box for step in answer.steps for part in step.parts)


def _is_untied(sentence: Sentence) -> bool:
    positive = is_abnormal(sentence.name) and sentence.presence is not Presence.ABSENT
    return (positive and not sentence.marks) or any(mark.box is None for mark in sentence.marks)


def _is_ordered(answer: Answer) -> bool:
    regions = list(ANATOMY)
    if any(step.structure not in ANATOMY for step in answer.steps):
        return False
    at_home = all(name_of(part.name) in ANATOMY[step.structure] for step in answer.steps for part in step.parts)
    steps = [regions.index(step.structure) for step in answer.steps]
    said = [index for sentence in answer.sentences for index, names in enumerate(ANATOMY.values()) if sentence.name in names]
    return at_home and steps == sorted(steps) and said == sorted(said)


def _mistakes_sides(answer: Answer, report: Sequence[Sentence], boxes: Mapping[str, Box]) -> bool:
    reported = {name: _sides(report, name) for name in names_in(" ".join(sentence.text for sentence in report))}
    for name in set(_stated(answer.sentences)):
        if not TERMS[name].paired:
            continue
        if reported.get(name) and not _sides(answer.sentences, name) <= reported[name]:
            return True
    marks = [(sentence.name, mark.side) for sentence in answer.sentences for mark in sentence.marks]
    if any(TERMS[name].paired and side is None for name, side in marks if name in TERMS):
        return True
    return any(_lies_across(part.name, boxes) for step in answer.steps for part in step.parts if part.name in boxes)


def _sides(sentences: Sequence[Sentence], name: str) -> set[Side]:
    """The sides on which a name is stated; none where that is not said."""
    said = [sentence.side for sentence in sentences if sentence.name == name and sentence.presence is not Presence.ABSENT]
    return {side for each in said if each for side in ((Side.RIGHT, Side.LEFT) if each is Side.BILATERAL else (each,))}


def _lies_across(label: str, boxes: Mapping[str, Box]) -> bool:
    """Whether a box lies on the other side than its label says; columns grow towards the patient's left."""
    lungs = [boxes.get(f"{side} lung") for side in SIDES]
    if label == name_of(label) or None in lungs:
        return False
    middle = sum(box[1] + box[3] for box in lungs if box) / 4
    centre = (boxes[label][1] + boxes[label][3]) / 2
    return centre > middle if label.startswith("right ") else centre < middle
