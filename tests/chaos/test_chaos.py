"""Whatever is killed, fills up, goes away or is set, each study has one result set in the end, and an image that comes late replaces it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ai_engine.model.assistant import Assistant
from ai_engine.model.weights import save_weights
from tests.ai_engine.conftest import taught_assistant, tiny_language  # noqa: F401 - fixtures
from tests.chaos.kills import kills, power_cut
from tests.chaos.outages import archive_down, broker_wiped, clock_stepped, disk_full
from tests.chaos.proof import Disturbance, is_proven, prove
from tests.chaos.record import Record
from tests.chaos.stack import LAYOUTS, TARGETS, Stack, running


@contextmanager
def installation(proof: str, assistant: Assistant, place: Path) -> Iterator[Stack]:
    folder, weights = place / "data", place / "weights"
    for path in (folder, weights):
        path.mkdir()
    save_weights(weights, assistant.model, assistant.language)
    with running(folder, weights, LAYOUTS[proof]) as stack:
        yield stack


@pytest.mark.timeout(900)  # on a busy machine each service takes its time to come up again
def test_nothing_is_lost_and_nothing_is_read_twice_when_the_power_fails(
    taught_assistant: Assistant,  # noqa: F811 - the fixture
    tmp_path: Path,
) -> None:
    with installation("power-cut", taught_assistant, tmp_path) as stack:
        figures = prove(power_cut, stack, 1, Record())
    assert is_proven(figures), figures
    assert set(figures["killed"].values()) == {1}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_nothing_is_lost_and_nothing_is_read_twice_when_one_process_after_the_other_is_killed(
    taught_assistant: Assistant,  # noqa: F811 - the fixture
    tmp_path: Path,
) -> None:
    with installation("kills", taught_assistant, tmp_path) as stack:
        figures = prove(kills(2 * len(TARGETS)), stack, 1, Record())
    assert is_proven(figures), figures
    assert set(figures["killed"].values()) == {2}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("proof", "disturb", "answers"),
    [
        ("archive-down", archive_down(30), {"0x0000"}),
        ("disk-full", disk_full(10), {"0x0000", "0xA700"}),
        ("disk-low", disk_full(10), {"0x0000", "0xA700"}),
        ("broker-wiped", broker_wiped, None),
        ("folder-wiped", broker_wiped, None),
        ("clock-stepped", clock_stepped, None),
    ],
)
def test_all_is_done_after_an_outage_and_senders_are_told_to_try_later_where_there_is_no_room(
    taught_assistant: Assistant,  # noqa: F811 - the fixture
    tmp_path: Path,
    proof: str,
    disturb: Disturbance,
    answers: set[str] | None,
) -> None:
    if LAYOUTS[proof].disk_bytes and os.geteuid() != 0:
        pytest.skip("a small disk is mounted, which only root may")
    with installation(proof, taught_assistant, tmp_path) as stack:
        figures = prove(disturb, stack, 1, Record())
    assert is_proven(figures), figures
    assert answers is None or set(figures["answers"]) == answers
