"""The benchmark of the queue gives its figures; what they are depends on the machine."""

import pytest

from benchmarks.queue import measure


@pytest.mark.slow
def test_cost_by_backlog_and_what_a_second_worker_brings_are_measured() -> None:
    figures = measure((1, 5), 4)
    assert set(figures["cost_ms"]) == {"1", "5"}
    assert figures["cost_ratio_5_to_1"] > 0
    assert figures["two_workers_speedup"] > 0
