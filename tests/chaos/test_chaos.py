"""Every process is killed once while studies come in, and each study has one result set in the end."""

from pathlib import Path

import pytest

from ai_engine.model.assistant import Assistant
from ai_engine.model.weights import save_weights
from tests.ai_engine.conftest import taught_assistant, tiny_language  # noqa: F401 - fixtures
from tests.chaos.proof import prove
from tests.chaos.stack import TARGETS


@pytest.mark.timeout(900)  # on a busy machine each service takes its time to come up again
def test_nothing_is_lost_and_nothing_is_read_twice_when_every_process_is_killed(
    taught_assistant: Assistant,  # noqa: F811 - the fixture
    tmp_path: Path,
) -> None:
    folder, weights = tmp_path / "data", tmp_path / "weights"
    for path in (folder, weights):
        path.mkdir()
    save_weights(weights, taught_assistant.model, taught_assistant.language)
    figures = prove(len(TARGETS), 1, folder, weights, print)
    assert figures["acknowledged"] == figures["kills"] == len(TARGETS)
    assert (figures["lost"], figures["duplicates"], figures["stuck"], figures["faults"]) == (0, 0, 0, [])
    assert set(figures["killed"].values()) == {1}
