"""Readings of readers that draw and do not write, so that the same figures measure them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ai_engine.model.reading import Mask, Place, Reading, ReadSentence
from radiology.finding import Presence, Side
from radiology.terms import TERMS
from training.evaluation.overlap import Mask as Pixels
from training.parts import name_of


@dataclass(frozen=True, eq=False)
class Drawn:
    """What was drawn for one label: the mask (row, column), empty where it is taken as absent, and the probability that it is there."""

    pixels: Pixels
    probability: float


def reading_of(drawn: Mapping[str, Drawn]) -> Reading:
    """Write one sentence for every label that is there, and one for every finding that is on no side."""
    sentences = [_stated(label, each) for label, each in drawn.items() if each.pixels.any()]
    found = {sentence.name for sentence in sentences}
    for name in dict.fromkeys(name_of(label) for label in drawn):
        if name not in found and TERMS[name].kind != "structure":
            highest = max(each.probability for label, each in drawn.items() if name_of(label) == name)
            sentences.append(ReadSentence(f"No {name}.", name, None, Presence.ABSENT, 1 - highest, ()))
    return Reading((), tuple(sentences), _impression(sentences), "")


def _stated(label: str, drawn: Drawn) -> ReadSentence:
    name = name_of(label)
    side = next((side for side in Side if label == f"{side} {name}"), None)
    place = Place(side, None, Mask(drawn.pixels, drawn.probability))
    return ReadSentence(f"{label.capitalize()}.", name, side, Presence.PRESENT, drawn.probability, (place,))


def _impression(sentences: Sequence[ReadSentence]) -> str:
    found = [sentence.text for sentence in sentences if sentence.presence is Presence.PRESENT and TERMS[sentence.name].kind == "finding"]
    return " ".join(found) or "No acute finding."
