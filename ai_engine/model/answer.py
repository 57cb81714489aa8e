"""The report's text: what training writes, and what a reading is parsed from. The only place that knows the order x, y.

    <think>
    lungs {"Part":"right lung","bbox":"[12, 30, 101, 190]"} {"Part":"left lung","bbox":"[118, 32, 205, 188]"} clear.
    </think><answer>FINDINGS:
    The right lung [SEG] is clear.
    No pleural effusion.
    IMPRESSION:
    No acute finding.
    </answer>

A box is ``[x1, y1, x2, y2]`` in whole pixels of the language model's picture, origin at the top left, half-open. Each ``[SEG]``
follows the words that it belongs to; something absent has none. One sentence may deny several names (``No pneumothorax, pleural
effusion or nodule.``) or mark several (``The right lung [SEG] shows a nodule [SEG].``): it is read as one sentence for each.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import NoReturn

from ai_engine.model.images import Box
from ai_engine.model.language import END, SEG, SPECIAL_TOKENS
from radiology.errors import UnreadableAnswer
from radiology.finding import Presence, Side
from radiology.terms import TERMS, sides_in

ALIASES = {
    "airway": "trachea",
    "bony thorax": "ribs",
    "rib cage": "ribs",
    "rib": "ribs",
    "cardiac silhouette": "heart",
    "cardiac enlargement": "cardiomegaly",
    "enlargement of the heart": "cardiomegaly",
    "cardiomediastinum": "mediastinum",
    "cardiomediastinal silhouette": "mediastinum",
    "mediastinal contour": "mediastinum",
    "effusion": "pleural effusion",
    "nodular opacity": "nodule",
    "ground-glass opacity": "ground glass opacity",
    "ground glass": "ground glass opacity",
    "airspace opacity": "consolidation",
    "central line": "central venous catheter",
    "central venous line": "central venous catheter",
    "tracheal tube": "endotracheal tube",
    "et tube": "endotracheal tube",
    "feeding tube": "nasogastric tube",
    "enteric tube": "nasogastric tube",
    "ng tube": "nasogastric tube",
}
"""Other words for the names of :data:`radiology.terms.TERMS`; a name that the table lacks is no name."""


def _forms(word: str) -> tuple[str, ...]:
    return (word, f"{word[:-1]}ies") if word.endswith("y") else (word, f"{word}s", f"{word}es")


_NAMES = {form: name for word, name in ({name: name for name in TERMS} | ALIASES).items() if name in TERMS for form in _forms(word)}
_NAME = re.compile(rf"\b(?:{'|'.join(sorted(map(re.escape, _NAMES), key=len, reverse=True))})\b", re.IGNORECASE)
_ABSENT_BEFORE = re.compile(r"\b(?:no|without|absence of|free of|clear of|negative for)\b", re.IGNORECASE)
_ABSENT_AFTER = re.compile(
    r"\b(?:is|are) (?:absent|excluded|ruled out|not (?:seen|identified|present|visible|demonstrated|evident))\b", re.IGNORECASE
)
_UNDETERMINED = re.compile(
    r"\b(?:possibl[ey]|probabl[ey]|may|might|could|(?:un)?likely|suspected|suspicious|suggest\w*|question\w*|equivocal|borderline|uncertain"
    r"|indeterminate|(?:cannot be|not) (?:entirely |completely )?excluded)\b",
    re.IGNORECASE,
)
_LISTED = re.compile(r"(?:\s|,|\bor\b|\band\b|\bnor\b)+", re.IGNORECASE)
"""What may stand between two names of one list."""

_FORM = re.compile(
    rf"\s*<think>(?P<think>.*)</think>\s*<answer>\s*FINDINGS:(?P<findings>.*)\nIMPRESSION:(?P<impression>.*)</answer>\s*(?:{re.escape(END)})?\s*",
    re.DOTALL,
)
# The spelling that we write, then the two that Citrus-V's published answers also use: 'right_lung' with bbox [1, 2, 3, 4].
_PART = re.compile(
    r"""\{\s*"Part"\s*:\s*"(?P<json>[^"]*)"\s*,\s*"bbox"\s*:\s*"?\[(?P<json_box>[^\]]*)\]"?\s*\}"""
    r"""|'(?P<quoted>[^']*)'\s+(?:with\s+)?bbox\s*\[(?P<quoted_box>[^\]]*)\]"""
)
_FOUR_NUMBERS = re.compile(r"\s*\d{1,9}(?:\s*,\s*\d{1,9}){3}\s*", re.ASCII)
MARK = re.compile(rf"\s*{re.escape(SEG)}")
MARKUP = re.compile(rf"""bbox|[{{}}]|{"|".join(map(re.escape, SPECIAL_TOKENS))}""")


@dataclass(frozen=True)
class Part:
    """One structure that was looked at.

    Attributes:
        name: a name of :data:`~radiology.terms.TERMS`, with its side before it where it has one.
        box: where, in pixels of the language model's picture; None where the model wrote a box of no extent.
    """

    name: str
    box: Box | None


@dataclass(frozen=True)
class Step:
    """One line of the reasoning: a structure in one word, the parts that were looked at, and what was seen."""

    structure: str
    parts: tuple[Part, ...]
    observation: str


@dataclass(frozen=True)
class Mark:
    """One ``[SEG]``: the side of what it belongs to, and the box that the reasoning gave the same part."""

    side: Side | None
    box: Box | None


@dataclass(frozen=True)
class Sentence:
    """One sentence of the findings.

    Attributes:
        text: the words, without marks.
        name: what it is about, a name of :data:`~radiology.terms.TERMS`; empty where none fits.
        side: the patient's side; None where the name has none or the sentence does not say.
        presence: what it states about ``name``.
        marks: its ``[SEG]`` in order.
        box: where the reasoning saw the same name and side.
        line: which line of the whole text it is, from zero.
    """

    text: str
    name: str
    side: Side | None
    presence: Presence
    marks: tuple[Mark, ...]
    box: Box | None
    line: int


@dataclass(frozen=True)
class Answer:
    """A parsed answer."""

    steps: tuple[Step, ...]
    sentences: tuple[Sentence, ...]
    impression: str


def compose(steps: Sequence[Step], sentences: Sequence[str], impression: str) -> str:
    """Write an answer, ``[SEG]`` standing in the sentences. Raises ``UnreadableAnswer`` where it could not be parsed again."""
    if any(len(step.structure.split()) != 1 for step in steps):
        raise ValueError("The structure of a step is one word.")
    lines = [" ".join([step.structure, *map(_write_part, step.parts), step.observation]) for step in steps]
    text = "\n".join(["<think>", *lines, "</think><answer>FINDINGS:", *sentences, "IMPRESSION:", impression, "</answer>"])
    parse(text)
    return text


def _write_part(part: Part) -> str:
    if part.box is None:
        raise ValueError(f"Part {part.name} has no box.")
    row0, column0, row1, column1 = part.box
    return f'{{"Part":"{part.name}","bbox":"[{column0}, {row0}, {column1}, {row1}]"}}'


def parse(text: str) -> Answer:
    """Read an answer. Raises ``UnreadableAnswer`` with the whole text where it is not in the agreed form."""
    form = _FORM.fullmatch(text)
    if form is None:
        refuse("it is not <think>...</think><answer>FINDINGS: ... IMPRESSION: ...</answer>, or was cut", text)
    steps = tuple(_parse_step(line, text) for line in form["think"].splitlines() if line.strip())
    boxes: dict[tuple[str, Side | None], list[Box]] = defaultdict(list)
    for part in (part for step in steps for part in step.parts):
        if part.box is not None:
            boxes[_named(part.name)].append(part.box)
    first_line = text.count("\n", 0, form.start("findings"))
    sentences = tuple(
        sentence
        for offset, line in enumerate(form["findings"].split("\n"))
        if line.strip()
        for sentence in _parse_line(line.strip(), first_line + offset, boxes, text)
    )
    impression = " ".join(form["impression"].split())
    if not sentences or not impression:
        refuse("it has no findings or no impression", text)
    if MARKUP.search(impression):
        refuse("its impression holds marks or boxes", text)
    return Answer(steps, sentences, impression)


def refuse(reason: str, text: str) -> NoReturn:
    """Raise ``UnreadableAnswer`` that says why ``text`` cannot be used."""
    raise UnreadableAnswer(f"The model's answer cannot be used: {reason}; the study needs a radiologist's own reading.", text)


def _parse_step(line: str, text: str) -> Step:
    parts = []
    for found in _PART.finditer(line):
        name = (found["json"] or found["quoted"] or "").replace("_", " ").lower()
        parts.append(Part(name, _parse_box(found["json_box"] or found["quoted_box"] or "", text)))
    words = _PART.sub("\n", line)
    if MARKUP.search(words):
        refuse("a box in its reasoning is malformed", text)
    structure, _, observation = words.strip().partition(" " if not parts else "\n")
    return Step(structure.strip(), tuple(parts), " ".join(observation.split()))


def _parse_box(numbers: str, text: str) -> Box | None:
    if _FOUR_NUMBERS.fullmatch(numbers) is None:
        refuse("a box in its reasoning is not four whole numbers", text)
    x1, y1, x2, y2 = map(int, numbers.split(","))
    return sized((y1, x1, y2, x2))


def sized(box: Box) -> Box | None:
    """Return ``box`` where it has an extent."""
    return box if box[0] < box[2] and box[1] < box[3] else None


def _named(words: str) -> tuple[str, Side | None]:
    """Return the name and side of a part, ``left lung`` or ``lung upper lobe left``."""
    found = _NAME.search(words)
    return (_NAMES[found[0].lower()] if found else words), _one_side(words)


def _one_side(words: str) -> Side | None:
    sides = sides_in(words)
    return next(iter(sides)) if len(sides) == 1 else None


def label_of(words: str) -> str:
    """Return the last name in ``words`` with the side that they say, ``left lung``; the words where they hold no name."""
    names = list(_NAME.finditer(words))
    if not names:
        return words.strip(" ,.:")
    name = _NAMES[names[-1][0].lower()]
    side = _one_side(words) if TERMS[name].paired else None
    return f"{side.value} {name}" if side else name


def end_of_name(words: str, name: str) -> int | None:
    """Return where the first mention of ``name`` ends in ``words``, under any of its words; None where there is none."""
    return next((found.end() for found in _NAME.finditer(words) if _NAMES[found[0].lower()] == name), None)


def names_in(words: str) -> frozenset[str]:
    """Return the names of :data:`radiology.terms.TERMS` that ``words`` speak of."""
    return frozenset(_NAMES[found[0].lower()] for found in _NAME.finditer(words))


def _parse_line(line: str, number: int, boxes: dict[tuple[str, Side | None], list[Box]], text: str) -> Iterator[Sentence]:
    """Read one line of the findings: a sentence for each name that it denies in a list, or that it marks."""
    *marked, tail = MARK.split(line)
    words = " ".join("".join([*marked, tail]).split())
    if MARKUP.search(words):
        refuse("a sentence holds a box or a tag", text)
    if not marked:
        for part in _denials(words):
            name, place = _subject(part)
            side = _side((), part) if name in TERMS and TERMS[name].paired else None
            yield Sentence(part, name, side, _presence(part, name, place), (), _first_box(boxes, name, side), number)
        return
    whole, _ = _subject(words)
    for name, group in groupby(_marked_names(marked, whole), key=lambda each: each[0]):
        paired = name in TERMS and TERMS[name].paired
        sides = [(_one_side(before) or _one_side(words)) if paired else None for _, before in group]
        side = _side(sides, words) if paired else None
        marks = tuple(Mark(each, _next_box(boxes, name, each)) for each in sides)
        found = next((found for found in _NAME.finditer(words) if _NAMES[found[0].lower()] == name), None)
        presence = _presence(words, name, found.span() if found else (0, 0))
        yield Sentence(words, name, side, presence, marks, _first_box(boxes, name, side), number)


def _marked_names(marked: Sequence[str], whole: str) -> Iterator[tuple[str, str]]:
    """Return what each mark is of, with the words before it: the last name there, else the one before, else the sentence's subject."""
    last = whole
    for before in marked:
        names = list(_NAME.finditer(before))
        last = _NAMES[names[-1][0].lower()] if names else last
        yield last, before


def _denials(words: str) -> list[str]:
    """Return one sentence for each name of a denied list, with what stands before and after the list; else the sentence itself."""
    names = [found for found in _NAME.finditer(words) if TERMS[_NAMES[found[0].lower()]].kind != "structure"]
    if len(names) < 2 or _ABSENT_BEFORE.search(words[: names[0].start()]) is None:
        return [words]
    if not all(_LISTED.fullmatch(words[one.end() : other.start()]) for one, other in pairwise(names)):
        return [words]
    return [f"{words[: names[0].start()]}{found[0]}{words[names[-1].end() :]}" for found in names]


def _subject(words: str) -> tuple[str, tuple[int, int]]:
    """Return what a sentence without marks is about and where the words stand: a finding, else a structure."""
    names = list(_NAME.finditer(words))
    if not names:
        return "", (0, 0)
    findings = [found for found in names if TERMS[_NAMES[found[0].lower()]].kind != "structure"]
    chosen = (findings or names)[0]
    return _NAMES[chosen[0].lower()], chosen.span()


def _side(marked: Sequence[Side | None], words: str) -> Side | None:
    sides = {side for side in marked if side is not None} or sides_in(words)
    return Side.BILATERAL if len(sides) == 2 else next(iter(sides), None)


def _presence(words: str, name: str, place: tuple[int, int]) -> Presence:
    if name in TERMS and TERMS[name].kind == "structure":
        return Presence.PRESENT
    if _ABSENT_BEFORE.search(words[: place[0]]) or _ABSENT_AFTER.search(words[place[1] :]):
        return Presence.ABSENT
    return Presence.UNDETERMINED if _UNDETERMINED.search(words) else Presence.PRESENT


def _first_box(boxes: dict[tuple[str, Side | None], list[Box]], name: str, side: Side | None) -> Box | None:
    return next(iter(boxes.get((name, side), ())), None)


def _next_box(boxes: dict[tuple[str, Side | None], list[Box]], name: str, side: Side | None) -> Box | None:
    """Take the boxes of several alike parts in order; the last one serves again."""
    alike = boxes.get((name, side), [])
    return (alike.pop(0) if len(alike) > 1 else alike[0]) if alike else None
