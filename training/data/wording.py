"""How the facts of an image are put into words: a few ways for each, the first one most often.

The vocabulary is that of chest reports, chosen along the phrase dictionary of radlabels (MIT; its texts are not used). Every sentence
reads back as the name, the side and the presence that it was written for (:func:`ai_engine.model.answer.parse`).
"""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np

from radiology.terms import TERMS
from training.parts import is_finding, name_of

FIRST = 0.5
"""How often the first wording is taken: it is the shortest, and text costs time in training and in reading."""

_CLEAR = ("The {side} lung [SEG] is clear.", "The {side} lung [SEG] shows no focal opacity.")
_ABNORMAL = ("The {side} lung [SEG] is abnormal.", "The {side} lung [SEG] is not clear.")
_STATED = {
    "ribs": ("The ribs [SEG] are seen.", "The rib cage [SEG] is in the field."),
    "trachea": ("The trachea [SEG] is seen.", "The airway [SEG] is seen."),
    "aorta": ("The aorta [SEG] is seen.",),
    "mediastinum": (
        "The mediastinum [SEG] is unremarkable.",
        "The mediastinum [SEG] has a normal outline.",
        "The cardiomediastinal silhouette [SEG] is unremarkable.",
    ),
    "heart": ("The heart [SEG] is not enlarged.", "The heart [SEG] is of normal size.", "The cardiac silhouette [SEG] is not enlarged."),
    "cardiomegaly": ("There is cardiomegaly [SEG].", "Cardiomegaly [SEG].", "There is cardiac enlargement [SEG]."),
    "pleural effusion": (
        "There is a {side} pleural effusion [SEG].",
        "Pleural effusion [SEG] on the {side}.",
        "{Side} effusion [SEG].",
    ),
    "pneumothorax": ("There is a {side} pneumothorax [SEG].", "Pneumothorax [SEG] on the {side}.", "{Side} pneumothorax [SEG]."),
    "endotracheal tube": ("An endotracheal tube [SEG] is in place.", "Endotracheal tube [SEG].", "There is an ET tube [SEG]."),
    "central venous catheter": (
        "A central venous catheter [SEG] is in place.",
        "Central venous catheter [SEG].",
        "There is a central line [SEG].",
    ),
    "nasogastric tube": (
        "A nasogastric tube [SEG] is in place.",
        "Nasogastric tube [SEG].",
        "There is an enteric tube [SEG].",
        "There is a feeding tube [SEG].",
    ),
}
_ENLARGED = ("The heart [SEG] is enlarged.", "The cardiac silhouette [SEG] is enlarged.")
_LOCATED = {
    "nodule": (
        "There is a nodule [SEG] in the {side} {place}.",
        "A nodule [SEG] lies in the {side} {place}.",
        "Nodular opacity [SEG] in the {side} {place}.",
    ),
    "mass": ("There is a mass [SEG] in the {side} {place}.", "A mass [SEG] lies in the {side} {place}."),
    "consolidation": (
        "There is consolidation [SEG] in the {side} {place}.",
        "Consolidation [SEG] in the {side} {place}.",
        "There is airspace opacity [SEG] in the {side} {place}.",
    ),
    "ground glass opacity": (
        "There is ground glass opacity [SEG] in the {side} {place}.",
        "Ground-glass opacity [SEG] in the {side} {place}.",
    ),
}
_BOTH = ("Right [SEG] and left [SEG] {name}.", "There is a right [SEG] and a left [SEG] {name}.")
_DENIED = ("No {name}.", "There is no {name}.", "No {name} is seen.", "No evidence of {name}.")
_OTHER_NAMES = {"pleural effusion": "effusion", "cardiomegaly": "cardiac enlargement", "ground glass opacity": "ground-glass opacity"}
_OBSERVED = {"ribs": "seen.", "devices": "present."}


def _draw(wordings: Sequence[str], rng: np.random.Generator) -> str:
    if len(wordings) == 1 or rng.random() < FIRST:
        return wordings[0]
    return wordings[int(rng.integers(1, len(wordings)))]


def stated(label: str, shown: Container[str], rng: np.random.Generator) -> str:
    """A sentence with one mark about a structure, a device, or a finding that needs no place within its side.

    ``shown`` holds the labels of the image: they decide whether a lung is clear and the heart enlarged.
    """
    name = name_of(label)
    wordings: tuple[str, ...]
    side = label.removesuffix(name).strip()
    if name == "lung":
        wordings = _ABNORMAL if any(f"{side} {each}" in shown for each in TERMS if each != "lung") else _CLEAR
    elif name == "heart" and "cardiomegaly" in shown:
        wordings = _ENLARGED
    else:
        wordings = _STATED[name]
    return _draw(wordings, rng).format(side=side, Side=side.capitalize())


def located(name: str, side: str, place: str, rng: np.random.Generator) -> str:
    """A sentence with one mark about a finding at a place of its side."""
    return _draw(_LOCATED[name], rng).format(side=side, place=place)


def on_both_sides(name: str, rng: np.random.Generator) -> str:
    """One sentence with two marks, right before left."""
    return _draw(_BOTH, rng).format(name=name)


def denied(name: str, rng: np.random.Generator) -> str:
    """A sentence that states the absence of a finding on either side."""
    other = _OTHER_NAMES.get(name, name)
    return _draw(_DENIED, rng).format(name=name if rng.random() < FIRST else other)


def observed(region: str, labels: Sequence[str]) -> str:
    """The last words of a step of the reasoning."""
    found = any(is_finding(label) for label in labels)
    return _OBSERVED.get(region, "abnormal." if found else "normal.")
