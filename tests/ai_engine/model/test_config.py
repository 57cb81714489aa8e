import pytest
from pydantic import ValidationError

from ai_engine.model.config import PRESETS, SMALL, TINY, ModelConfig
from ai_engine.model.language import Language
from ai_engine.model.unified import UnifiedModel


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_a_preset_survives_its_file(preset: ModelConfig) -> None:
    assert ModelConfig.model_validate_json(preset.model_dump_json()) == preset


def test_the_tiny_model_is_tiny(tiny_model: UnifiedModel) -> None:
    assert sum(parameter.numel() for parameter in tiny_model.parameters()) < 1_000_000


def test_the_small_model_fits_in_a_repository(tiny_language: Language) -> None:
    model = UnifiedModel(SMALL, tiny_language)
    assert sum(2 * parameter.numel() for parameter in model.parameters()) < 40_000_000


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("text", {"heads": 3}, "multiple of heads"),
        ("text", {"mrope_section": (8, 12, 12)}, "mrope_section must sum to"),
        ("vision", {"hidden_size": 36}, "four times its heads"),
        ("vision", {"full_attention_layers": (2,)}, "does not have"),
        ("segmenter", {"layers": (1, 1, 2)}, "layers"),
        (None, {"image_size": 100}, "multiple of 28"),
        (None, {"segmenter_size": 100}, "multiple of 32"),
        (None, {"vocabulary": 1}, "vocabulary"),
    ],
)
def test_sizes_that_cannot_be_built_are_refused(part: str | None, change: dict[str, object], message: str) -> None:
    sizes = TINY.model_dump()
    (sizes[part] if part else sizes).update(change)
    with pytest.raises(ValidationError, match=message):
        ModelConfig.model_validate(sizes)


def test_a_tokenizer_larger_than_the_model_is_refused(tiny_language: Language) -> None:
    with pytest.raises(ValueError, match="tokens"):
        UnifiedModel(TINY.model_copy(update={"vocabulary_size": 300}), tiny_language)
