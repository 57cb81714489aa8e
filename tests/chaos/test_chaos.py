"""Whatever is killed, each study has one result set in the end, and an image that comes late replaces it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ai_engine.model.assistant import Assistant
from ai_engine.model.weights import save_weights
from tests.ai_engine.conftest import taught_assistant, tiny_language  # noqa: F401 - fixtures
from tests.chaos.kills import kills, power_cut
from tests.chaos.proof import is_proven, prove
from tests.chaos.record import Record
from tests.chaos.stack import TARGETS, Stack, running


@pytest.fixture
def stack(taught_assistant: Assistant, tmp_path: Path) -> Iterator[Stack]:  # noqa: F811 - the fixture
    folder, weights = tmp_path / "data", tmp_path / "weights"
    for path in (folder, weights):
        path.mkdir()
    save_weights(weights, taught_assistant.model, taught_assistant.language)
    with running(folder, weights) as stack:
        yield stack


@pytest.mark.timeout(900)  # on a busy machine each service takes its time to come up again
def test_nothing_is_lost_and_nothing_is_read_twice_when_the_power_fails(stack: Stack) -> None:
    figures = prove(power_cut, stack, 1, Record())
    assert is_proven(figures), figures
    assert set(figures["killed"].values()) == {1}


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_nothing_is_lost_and_nothing_is_read_twice_when_one_process_after_the_other_is_killed(stack: Stack) -> None:
    figures = prove(kills(2 * len(TARGETS)), stack, 1, Record())
    assert is_proven(figures), figures
    assert set(figures["killed"].values()) == {2}
