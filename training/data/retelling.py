"""The writer that needs no language model: a radiologist's own sentences, put in order and tied to boxes.

A sentence that names nothing of :data:`radiology.terms.TERMS` cannot be tied to a place and is left out. A finding of the boxes that the
report does not state is left out too: the report is what a radiologist stands for, the box may be a detector's mistake.

:func:`visible_on_film` is the CT route's first step: it drops from a CT report what a radiograph cannot show.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ai_engine.model.answer import Sentence, compose, end_of_name
from ai_engine.model.images import Box
from ai_engine.model.language import SEG
from radiology.finding import Presence, Side
from radiology.terms import TERMS
from training.data import reports
from training.data.rationale import Facts, Fault, is_abnormal, read_report, sentences_in
from training.parts import name_of

_SIDES_OF: Mapping[Side | None, tuple[str, ...]] = {
    Side.RIGHT: ("right",),
    Side.LEFT: ("left",),
    Side.BILATERAL: ("right", "left"),
    None: ("right", "left"),
}
_LUNGS = re.compile(r"\b(?:(?:the|both)\s+)*lungs\b", re.IGNORECASE)
_BOTH_LUNGS = f"the right lung {SEG} and the left lung {SEG}"

_ONLY_ON_CT = re.compile(
    r"\b(?:sub-?segmental|bronchiol\w*|bronchiectas[ie]s|centrilobular|tree-in-bud|interlobular|intralobular|peribronch\w*|perifissural"
    r"|micro-?nodules?|lymph nodes?|lymphadenopathy|embol\w+|filling defects?|coronary|calcium score|thyroid|adrenals?|enhanc\w+"
    r"|attenuation|hounsfield|hu)\b",
    re.IGNORECASE,
)
"""Broncho-vascular and sub-segmental detail, nodes, contrast and densities."""
SMALLEST_MM = 6.0
"""A nodule below this is not seen on a radiograph."""
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(mm|cm)\b", re.IGNORECASE)
_SLICE = re.compile(r"\s*\((?:series|se|image|im|slice)\b[^)]*\)", re.IGNORECASE)
_SEGMENT = re.compile(r"(?:[\w-]+\s+)?(?:basal\s+)?segments?\s+of\s+(?:the\s+)?(?=(?:right|left)\b)", re.IGNORECASE)


def retell(facts: Facts, faults: Sequence[Fault] = ()) -> str:
    """Write the rationale of a report: a :class:`~training.data.rationale.Writer` that always writes the same.

    Raises ``UnreadableAnswer`` where the report cannot be read, or says nothing of what the terms name.
    """
    del faults  # there is no second opinion to ask for
    sentences = [sentence for sentence in read_report(facts.report) if _region(sentence) is not None]
    sentences.sort(key=lambda sentence: _region(sentence) or 0)
    stated = {sentence.name for sentence in sentences if sentence.presence is not Presence.ABSENT}
    boxes = {label: box for label, box in facts.boxes.items() if not is_abnormal(name := name_of(label)) or name in stated}
    impression = " ".join(facts.report.partition("IMPRESSION:")[2].split()) or reports.impression(boxes)
    return compose(reports.reasoning(boxes), [tied(sentence, boxes) for sentence in sentences], impression)


def _region(sentence: Sentence) -> int | None:
    return next((index for index, names in enumerate(reports.ANATOMY.values()) if sentence.name in names), None)


def tied(sentence: Sentence, boxes: Mapping[str, Box]) -> str:
    """The words of a sentence with a ``[SEG]`` for each of its places that has a box."""
    if sentence.presence is Presence.ABSENT:
        return sentence.text
    labels = [f"{side} {sentence.name}" for side in _SIDES_OF[sentence.side]] if TERMS[sentence.name].paired else [sentence.name]
    labels = [label for label in labels if label in boxes]
    if len(labels) == 2:
        if sentence.name == "lung" and _LUNGS.search(sentence.text):
            words = _LUNGS.sub(_BOTH_LUNGS, sentence.text, count=1)
            return f"{words[0].upper()}{words[1:]}"
        return f"Right {SEG} and left {SEG} {sentence.name}."
    end = end_of_name(sentence.text, sentence.name)
    if not labels or end is None:
        return sentence.text
    if sentence.side is None and TERMS[sentence.name].paired:  # the one side that has a box
        return f"{sentence.text[:end]} {SEG}{sentence.text[end:].rstrip('.')} on the {labels[0].split()[0]}."
    return f"{sentence.text[:end]} {SEG}{sentence.text[end:]}"


def visible_on_film(report: str) -> str:
    """A CT report without the sentences that speak of what a radiograph cannot show, and without references to slices and segments."""
    parts = report.partition("IMPRESSION:")
    kept = [" ".join(_plainer(sentence) for sentence in sentences_in(part) if not _is_hidden(sentence)) for part in parts[::2]]
    return f"{kept[0]} IMPRESSION: {kept[1]}".strip() if parts[1] else kept[0]


def _is_hidden(sentence: str) -> bool:
    sizes_mm = [float(number) * (10 if unit.lower() == "cm" else 1) for number, unit in _SIZE.findall(sentence)]
    return _ONLY_ON_CT.search(sentence) is not None or (bool(sizes_mm) and max(sizes_mm) < SMALLEST_MM)


def _plainer(sentence: str) -> str:
    return _SEGMENT.sub("", _SLICE.sub("", sentence))
