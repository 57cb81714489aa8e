"""Calibration: whether what is said with 80 % is true in 80 of 100 cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Bin:
    """The answers whose probability lies between ``low`` and ``high``: how many, their mean probability, the share that is true."""

    low: float
    high: float
    count: int
    probability: float
    true_share: float


def bins(probabilities: Sequence[float], truths: Sequence[bool], count: int = 10) -> list[Bin]:
    """Sort answers into bins of equal width; a probability on an edge belongs to the bin above, 1 to the last. Empty bins are left out."""
    stated, true = np.asarray(probabilities, float), np.asarray(truths, float)
    which = np.minimum((stated * count).astype(int), count - 1)
    return [
        Bin(number / count, (number + 1) / count, int(there.sum()), float(stated[there].mean()), float(true[there].mean()))
        for number in range(count)
        if (there := which == number).any()
    ]


def expected_calibration_error(probabilities: Sequence[float], truths: Sequence[bool], count: int = 10) -> float | None:
    """Mean over all answers of how far their bin's probability is from its true share (Naeini et al. 2015); None without an answer."""
    if not len(probabilities):
        return None
    return sum(each.count * abs(each.probability - each.true_share) for each in bins(probabilities, truths, count)) / len(probabilities)
