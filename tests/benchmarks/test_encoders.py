"""The benchmark of the encoders compares the same weights, and notices where a way of running them changes what is drawn."""

from pathlib import Path

import pytest

from ai_engine.model.config import TINY
from ai_engine.model.language import Language
from ai_engine.model.unified import UnifiedModel
from ai_engine.model.weights import save_weights
from benchmarks.encoders import COMPILED, HALF, PLAIN, assistants, difference, speed


def test_three_ways_of_the_same_weights_are_timed_against_the_plain_one(tmp_path: Path) -> None:
    language = Language.train(["The right lung [SEG] is clear."] * 4, TINY.vocabulary_size)
    save_weights(tmp_path, UnifiedModel(TINY, language), language)
    ways = assistants(tmp_path, threads=1)
    assert len({assistant.weights_hash for assistant in ways.values()}) == 1
    figures = speed(ways, rounds=1, pictures=1)
    assert set(figures) == {PLAIN, HALF, COMPILED}
    assert figures[PLAIN]["speedup"] == {"min": 1, "median": 1, "max": 1}


def test_a_change_of_dice_is_the_largest_of_any_structure() -> None:
    plain = {"left_lung": 0.9, "right_lung": 0.8, "cardiomediastinum": None}
    assert difference({"left_lung": 0.899, "right_lung": 0.81, "cardiomediastinum": None}, plain) == pytest.approx(0.01)
    assert difference(plain, plain) == 0
