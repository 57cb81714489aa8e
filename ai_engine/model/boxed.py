"""What may be written inside a box: numbers, commas, and the bracket that closes it.

A model that would write a word where a coordinate belongs spoils an answer whose sentences are sound; so there it has no other choice.
"""

from __future__ import annotations

import re

import torch

from ai_engine.model.language import Language

_INSIDE = re.compile(r"[\d,\s]+|[\d,\s]*\].*", re.DOTALL)


class Brackets:
    """Which tokens of a vocabulary open a box, close it, and may stand between."""

    def __init__(self, language: Language) -> None:
        texts = [language.decode([token]) for token in range(len(language))]
        self._opening = frozenset(token for token, text in enumerate(texts) if text.endswith("["))
        self._closing = frozenset(token for token, text in enumerate(texts) if "]" in text)
        self._outside = [token for token, text in enumerate(texts) if _INSIDE.fullmatch(text) is None]

    def is_open(self, was_open: bool, token: int, is_first: bool) -> bool:
        """Return whether a box is open after ``token``; a bracket that an answer begins with opens a list of boxes, not a box."""
        return (token in self._opening and not is_first) or (was_open and token not in self._closing)

    def added(self, like: torch.Tensor) -> torch.Tensor:
        """Return what is added to the scores [token] inside a box: minus infinity for all that does not belong there."""
        added = torch.zeros_like(like)
        added[self._outside] = -torch.inf
        return added
