import sys
from pathlib import Path

import numpy as np
import pytest

from ai_engine.model.assistant import Assistant
from ai_engine.model.compiled import compile_encoders
from ai_engine.model.unified import UnifiedModel
from ai_engine.model.weights import save_weights
from radiology.errors import EngineError
from tests.ai_engine.conftest import REPORT, chest


def test_compiled_encoders_read_and_draw_the_same_and_tell_nobody(taught_assistant: Assistant, tmp_path: Path) -> None:
    save_weights(tmp_path, taught_assistant.model, taught_assistant.language)
    compiled = Assistant.load(tmp_path, threads=1, encoders="openvino")
    assert sys.modules["openvino_telemetry"] is None, "it would report to OpenVINO's maker"
    image = chest(112, 112)
    reading, as_before = compiled.read(image, "projection"), taught_assistant.read(image, "projection")
    assert reading.raw_text == as_before.raw_text == REPORT + "<|im_end|>"
    for sentence, other in zip(reading.sentences, as_before.sentences, strict=True):
        for place, again in zip(sentence.places, other.places, strict=True):
            assert place.mask is not None
            assert again.mask is not None
            common = 2 * np.count_nonzero(place.mask.pixels & again.mask.pixels)
            assert common / (np.count_nonzero(place.mask.pixels) + np.count_nonzero(again.mask.pixels)) > 0.99
    assert len(compiled.read_many([image, image], "projection")) == 2


def test_a_missing_openvino_is_said_as_such(tiny_model: UnifiedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineError, match=r"sightline\[openvino\]"):
        compile_encoders(tiny_model, threads=1)
