"""Weights that read a little, for services that need some."""

from pathlib import Path

import pytest

from ai_engine.model.assistant import Assistant
from ai_engine.model.weights import save_weights
from tests.ai_engine.conftest import _one_thread, taught_assistant, tiny_language  # noqa: F401 - fixtures


@pytest.fixture(scope="session")
def taught_weights(taught_assistant: Assistant, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811
    """The folder of a tiny model that knows one report by heart."""
    folder = tmp_path_factory.mktemp("weights")
    save_weights(folder, taught_assistant.model, taught_assistant.language)
    return folder
