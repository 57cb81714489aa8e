"""The time of day, which people and time servers set, and by how much they did."""

from __future__ import annotations

import time
from datetime import timedelta

_DRIFT_SECONDS = 1.0


class Clock:
    """Compares the time of day with the time that passes."""

    def __init__(self) -> None:
        self._ahead = self._measure()

    def step(self) -> timedelta:
        """Return by how much the clock was set since the last call, forward or back; nothing where it only drifts."""
        before, self._ahead = self._ahead, self._measure()
        step = self._ahead - before
        return timedelta(seconds=step if abs(step) > _DRIFT_SECONDS else 0)

    @staticmethod
    def _measure() -> float:
        return time.time() - time.monotonic()
