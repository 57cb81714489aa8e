"""What the assistant says of an image: sentences with their places, and answers to what somebody asked. Places are in source pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ai_engine.model.answer import Step
from ai_engine.model.images import Box
from radiology.finding import Presence, Side


@dataclass(frozen=True, eq=False)
class Mask:
    """One decoded mask.

    Attributes:
        pixels: bool (row, column) at the size of the source; may be empty.
        score: mean probability of its pixels times the IoU that the segmenter expects, 0 to 1. It orders masks well (correlation 0.87
            with the true Dice over 207 masks of a patient that the first small weights had not seen) and is about 0.1 too low.
    """

    pixels: NDArray[np.bool_]
    score: float


@dataclass(frozen=True, eq=False)
class Place:
    """Where a sentence points: one ``[SEG]`` with its mask, or a box alone.

    Attributes:
        side: the patient's side of this place, where the words say it.
        box: the box of the model's reasoning in source pixels, None where it gave none.
        mask: what the segmenter drew, None where the sentence has no ``[SEG]``.
        seg_state: the state of that ``[SEG]``, for :meth:`Assistant.follow`.
    """

    side: Side | None
    box: Box | None
    mask: Mask | None = None
    seg_state: torch.Tensor | None = None


@dataclass(frozen=True, eq=False)
class ReadSentence:
    """One sentence of a reading.

    Attributes:
        text: the words.
        name: a name of :data:`radiology.terms.TERMS`, or empty.
        side: the patient's side, where the name has one.
        presence: what the sentence states about the name.
        confidence: how probable it is that the sentence is right, 0 to 1 (:mod:`ai_engine.model.confidence`).
        places: what it points at; none where something is absent.
        doubted: the model itself, asked again, is less sure than its weights' configuration wants.
    """

    text: str
    name: str
    side: Side | None
    presence: Presence
    confidence: float
    places: tuple[Place, ...]
    doubted: bool = False


@dataclass(frozen=True, eq=False)
class Reading:
    """What the model says about one image; boxes of ``steps`` are in source pixels."""

    steps: tuple[Step, ...]
    sentences: tuple[ReadSentence, ...]
    impression: str
    raw_text: str


@dataclass(frozen=True, eq=False)
class Located:
    """One place of an answer, in source pixels: the mask of a segmentation or the box of a detection.

    Attributes:
        label: what is there, a name of :data:`radiology.terms.TERMS` with its side before it where the answer has one.
        seg_state: the state of the mask's ``[SEG]``, for :meth:`Assistant.carry`.
    """

    label: str
    mask: Mask | None = None
    box: Box | None = None
    seg_state: torch.Tensor | None = None


@dataclass(frozen=True, eq=False)
class Reply:
    """The answer to a query.

    Attributes:
        text: the words; of a question the word or phrase alone, in lower case.
        confidence: probability of the answer's first token, which tells there from not there and yes from no; 0 to 1, not calibrated.
        places: what it points at; none where the target is absent.
    """

    text: str
    confidence: float
    places: tuple[Located, ...] = ()
