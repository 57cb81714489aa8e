"""Sentences as the model gives them, for tests of what is made of them."""

import numpy as np
from numpy.typing import NDArray

from ai_engine.model.reading import Mask, Place, ReadSentence
from radiology.finding import Presence, Side

Block = tuple[int, int, int, int]


def block(shape: tuple[int, int], box: Block) -> NDArray[np.bool_]:
    """A mask (row, column) that fills a half-open box."""
    mask = np.zeros(shape, np.bool_)
    mask[box[0] : box[2], box[1] : box[3]] = True
    return mask


def place(mask: NDArray[np.bool_] | None, box: Block | None = None, side: Side | None = None, state: object = None) -> Place:
    """One place; ``state`` stands for the hidden state of its [SEG]."""
    return Place(side, box, None if mask is None else Mask(mask, 0.8), state)


def sentence(
    text: str, name: str, *places: Place, side: Side | None = None, presence: Presence = Presence.PRESENT, confidence: float = 0.9
) -> ReadSentence:
    return ReadSentence(text, name, side, presence, confidence, places)
