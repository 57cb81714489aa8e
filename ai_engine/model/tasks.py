"""The short tasks' answers: what training writes, and what a reading is parsed from.

    segmentation   The right lung [SEG] and the left lung [SEG].      absent: No left pneumothorax is seen.
    detection      [{"bbox_2d": [118, 32, 205, 188], "label": "left lung"}]     absent: No left pneumothorax is seen.
    question       yes

Boxes are ``[x1, y1, x2, y2]`` as in :mod:`ai_engine.model.answer`. What is absent has neither ``[SEG]`` nor box.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ai_engine.model.answer import MARK, MARKUP, Part, label_of, refuse, sized
from ai_engine.model.images import Box
from ai_engine.model.language import END, SEG

LONGEST_PHRASE = 8
"""Words of the longest answer that counts as a single word or phrase."""

_LARGEST = 10**9
"""No picture has as many pixels in a row."""
_FENCE = re.compile(r"```(?:json)?\s*(?P<list>.*?)\s*```", re.DOTALL)
# Qwen2.5-VL's older spelling, which Citrus-V's own scoring of detection also accepts.
_NUMBER = r"\s*([0-9]{1,9})"
_SPANS = re.compile(rf"<\|box_start\|>\s*\({_NUMBER},{_NUMBER}\),\s*\({_NUMBER},{_NUMBER}\)\s*<\|box_end\|>")


@dataclass(frozen=True)
class Segmentation:
    """A parsed segmentation answer.

    Attributes:
        text: the words, without marks.
        labels: what each ``[SEG]`` is of, in order: a name of :data:`radiology.terms.TERMS` with its side before it, or the words
            before the mark where they hold no such name.
    """

    text: str
    labels: tuple[str, ...]


def absence(target: str) -> str:
    """Return the sentence that answers for a target that is not in the image."""
    return f"No {target} is seen."


def compose_segmentation(targets: Sequence[str], absent: Sequence[str] = ()) -> str:
    """Write one ``[SEG]`` for each of ``targets``, and a sentence for each of ``absent``."""
    if not targets and not absent:
        raise ValueError("A segmentation answers for at least one target.")
    marked = [f"the {target} {SEG}" for target in targets]
    listed = " and ".join(([", ".join(marked[:-1])] if marked[1:] else []) + marked[-1:])
    sentences = ([f"{listed[0].upper()}{listed[1:]}."] if listed else []) + [absence(target) for target in absent]
    return " ".join(sentences)


def parse_segmentation(text: str) -> Segmentation:
    """Read a segmentation answer. Raises ``UnreadableAnswer`` where it is empty or holds markup other than ``[SEG]``."""
    *marked, tail = MARK.split(_without_end(text))
    words = " ".join("".join([*marked, tail]).split())
    if not words or MARKUP.search(words):
        refuse("it is no sentence with or without [SEG]", text)
    return Segmentation(words, tuple(label_of(before) for before in marked))


def compose_detection(target: str, boxes: Sequence[Box]) -> str:
    """Write the boxes ``(row0, column0, row1, column1)`` of ``target``, or that there is none."""
    if not boxes:
        return absence(target)
    return json.dumps([{"bbox_2d": [left, top, right, bottom], "label": target} for top, left, bottom, right in boxes])


def parse_detection(text: str) -> tuple[Part, ...]:
    """Read a detection answer: a JSON list, fenced or bare, or box tokens; a sentence without any means that nothing is there.

    Raises ``UnreadableAnswer`` for a list that is malformed or was cut.
    """
    words = _without_end(text)
    if spans := _SPANS.findall(words):
        return tuple(Part("", _sized(list(map(int, span)))) for span in spans)
    fence = _FENCE.search(words)
    listed = fence["list"] if fence else words
    if not re.search(r"[\[{]|bbox|```", listed):
        if not words or MARKUP.search(words):
            refuse("it is neither boxes nor a sentence", text)
        return ()
    try:
        found = json.loads(listed)
    except (ValueError, RecursionError):
        refuse("its boxes are no JSON list", text)
    if not isinstance(found, list) or not all(_is_box(each) for each in found):
        refuse('its boxes are not [{"bbox_2d": [x1, y1, x2, y2], "label": ...}]', text)
    return tuple(Part(each["label"].replace("_", " ").lower(), _sized(each["bbox_2d"])) for each in found)


def parse_question(text: str) -> str:
    """Read a short answer: its words in lower case without a full stop. Raises ``UnreadableAnswer`` where it is not a word or phrase."""
    words = " ".join(_without_end(text).lower().removesuffix(".").split())
    if not words or MARK.search(text) or MARKUP.search(words) or len(words.split()) > LONGEST_PHRASE:
        refuse("it is not a single word or phrase", text)
    return words


def _without_end(text: str) -> str:
    return text.strip().removesuffix(END).strip()


def _is_box(each: object) -> bool:
    if not isinstance(each, dict) or not isinstance(each.get("label"), str):
        return False
    numbers = each.get("bbox_2d")
    return isinstance(numbers, list) and len(numbers) == 4 and all(type(number) is int and 0 <= number < _LARGEST for number in numbers)


def _sized(numbers: Sequence[int]) -> Box | None:
    x1, y1, x2, y2 = numbers
    return sized((y1, x1, y2, x2))
