"""A clock that was set says by how much, once; one that runs says nothing."""

import time
from datetime import timedelta

import pytest

from connector.clock import Clock


def test_a_clock_that_runs_was_not_set() -> None:
    clock = Clock()
    time.sleep(0.01)
    assert clock.step() == timedelta()


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_it_says_once_by_how_much_it_was_set(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    clock, right = Clock(), time.time
    monkeypatch.setattr(time, "time", lambda: right() + seconds)
    assert clock.step().total_seconds() == pytest.approx(seconds, abs=1)
    assert clock.step() == timedelta()
