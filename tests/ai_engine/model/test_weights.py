import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from ai_engine.model.language import Language
from ai_engine.model.unified import UnifiedModel
from ai_engine.model.weights import load_weights, save_weights
from radiology.errors import EngineError


@pytest.fixture
def folder(tmp_path: Path, tiny_model: UnifiedModel, tiny_language: Language) -> Path:
    save_weights(tmp_path / "weights", tiny_model, tiny_language)
    return tmp_path / "weights"


def test_a_model_survives_its_folder(tmp_path: Path, tiny_model: UnifiedModel, tiny_language: Language) -> None:
    digest = save_weights(tmp_path, tiny_model, tiny_language)
    model, language, loaded_digest = load_weights(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "tokenizer.json", "model.safetensors"}
    assert loaded_digest == digest == hashlib.sha256((tmp_path / "model.safetensors").read_bytes()).hexdigest()
    assert model.config == tiny_model.config
    assert language.special_ids == tiny_language.special_ids
    written = tiny_model.state_dict()
    for name, value in model.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, written[name].half().float()), name
    assert model.mllm.lm_head.weight is model.mllm.model.language_model.embed_tokens.weight


def test_the_same_weights_have_the_same_hash(folder: Path, tmp_path: Path) -> None:
    model, language, digest = load_weights(folder)
    assert save_weights(tmp_path / "again", model, language) == digest


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(EngineError, match=name):
        load_weights(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("seg_projector.0.weight"), "seg_projector.0.weight is missing"),
        (lambda tensors: tensors.update(stray=torch.zeros(1)), "stray is unknown"),
        (lambda tensors: tensors.update({"seg_projector.0.bias": torch.zeros(3)}), r"seg_projector.0.bias is \(3,\), not \(64,\)"),
    ],
)
def test_weights_that_do_not_fit_are_refused(folder: Path, change: object, message: str) -> None:
    tensors = load_file(folder / "model.safetensors")
    assert callable(change)
    change(tensors)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(EngineError, match=message):
        load_weights(folder)


def test_a_truncated_file_is_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(EngineError, match="cannot be read"):
        load_weights(folder)


def test_a_configuration_with_an_unknown_field_is_refused(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"image_size"', '"picture_size"'))
    with pytest.raises(EngineError, match=r"config\.json of the weights is not valid"):
        load_weights(folder)


def test_weights_that_overflow_are_not_written(tmp_path: Path, tiny_model: UnifiedModel, tiny_language: Language) -> None:
    with torch.no_grad():
        tiny_model.seg_projector[0].bias[0] = 1e6
    with pytest.raises(EngineError, match=r"seg_projector\.0\.bias"):
        save_weights(tmp_path, tiny_model, tiny_language)
    assert not list(tmp_path.iterdir())
