"""Counts of answers to one question over many images: precision, recall, F1; present, uncertain, absent or not mentioned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from radiology.finding import Presence


@dataclass
class Tally:
    """Counts of one yes-or-no question."""

    true_positive: int = 0
    false_positive: int = 0
    false_negative: int = 0
    true_negative: int = 0

    @classmethod
    def of(cls, answers: Iterable[tuple[bool, bool]]) -> Tally:
        """Count pairs (said, true)."""
        counted = Counter(answers)
        return cls(counted[True, True], counted[True, False], counted[False, True], counted[False, False])

    @property
    def precision(self) -> float | None:
        """Share of the positive answers that are true; None without one."""
        return share(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> float | None:
        """Share of what is there that is found; None where nothing is there."""
        return share(self.true_positive, self.true_positive + self.false_negative)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None where nothing is there and nothing was said."""
        return share(2 * self.true_positive, 2 * self.true_positive + self.false_positive + self.false_negative)

    def figures(self) -> dict[str, Any]:
        """Everything, by name."""
        return {
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "false_positive_rate": share(self.false_positive, self.false_positive + self.true_negative),
            "with": self.true_positive + self.false_negative,
            "without": self.false_positive + self.true_negative,
        }


def share(part: float, whole: float) -> float | None:
    """``part`` of ``whole``; None of nothing."""
    return part / whole if whole else None


def presence_table(answers: Iterable[tuple[Presence | None, bool]]) -> dict[str, dict[str, int]]:
    """How often each presence was stated (None: not mentioned) where the finding is there, and where it is not."""
    counted = Counter(answers)
    stated = {presence.value: presence for presence in Presence} | {"not mentioned": None}
    return {
        truth: {word: counted[presence, there] for word, presence in stated.items()}
        for truth, there in (("present", True), ("absent", False))
    }
