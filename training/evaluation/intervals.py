"""Intervals by resampling patients: images of one patient are not independent, so whole patients are drawn."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")


def bootstrap(
    items: Sequence[Item],
    patient: Callable[[Item], str],
    figures: Callable[[Sequence[Item]], Mapping[str, float | None]],
    times: int = 1000,
    level: float = 0.95,
) -> dict[str, tuple[float, float] | None]:
    """Percentile bootstrap (Efron) of several figures at once.

    Args:
        items: what the figures are computed from.
        patient: whose an item is.
        figures: computes the figures, by name; None for one that the drawn items do not define.
        times: how often patients are drawn, as many as there are, with replacement.
        level: share of the draws inside the interval.

    Returns:
        Low and high ends by name; None where fewer than two patients, or fewer than half the draws, define the figure.
    """
    by_patient: dict[str, list[Item]] = defaultdict(list)
    for item in items:
        by_patient[patient(item)].append(item)
    groups = list(by_patient.values())
    rng = np.random.default_rng(0)
    drawn: dict[str, list[float]] = {name: [] for name in figures(items)}
    for _ in range(times if len(groups) > 1 else 0):
        sample = [item for index in rng.integers(len(groups), size=len(groups)) for item in groups[index]]
        for name, value in figures(sample).items():
            if value is not None:
                drawn[name].append(value)
    ends = (50 * (1 - level), 50 * (1 + level))
    return {
        name: (float(np.percentile(values, ends[0])), float(np.percentile(values, ends[1]))) if 2 * len(values) > times else None
        for name, values in drawn.items()
    }
