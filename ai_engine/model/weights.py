"""A folder of weights: our own (``config.json``, ``tokenizer.json``, ``model.safetensors`` in float16), or Citrus-V's published one.

Both are read strictly, tensor by tensor, into a model that was built without numbers: nothing is left random.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from pydantic import ValidationError
from safetensors.torch import save_file

from ai_engine.model.config import EIGHT_B, ModelConfig
from ai_engine.model.language import Language
from ai_engine.model.published import (
    ADDED_TOKENS,
    MODEL_TYPE,
    check_published,
    model_config,
    published_config,
    published_names,
    qwen_names,
    sam2_names,
)
from ai_engine.model.segmenter import Segmenter
from ai_engine.model.tensors import (
    INDEX,
    TENSORS,
    collected,
    fill,
    own,
    replacing,
    stored_checkpoint,
    stored_safetensors,
    write_safetensors,
)
from ai_engine.model.unified import UnifiedModel
from radiology.errors import EngineError

CONFIG, TOKENIZER = "config.json", "tokenizer.json"


def save_weights(folder: Path, model: UnifiedModel, language: Language) -> str:
    """Write a model; whoever reads meanwhile finds each file whole. Returns the SHA-256 of ``model.safetensors``, hexadecimal.

    A bfloat16 model, whose range float16 has not, is written in the published layout instead.
    """
    if model.config.dtype == "bfloat16":
        return export_published(folder, model, language)
    half = {name: value.to(torch.float16) for name, value in collected(model).items()}
    broken = [name for name, value in half.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise EngineError(f"{len(broken)} tensors cannot be written as float16, {broken[0]} among them; did training diverge?")
    _write(folder, model.config.model_dump(mode="json"), language)
    with replacing(folder / TENSORS) as path:
        save_file(half, path)
    return stored_safetensors(folder).sha256()


def export_published(folder: Path, model: UnifiedModel, language: Language, shard_bytes: int = 5 * 10**9) -> str:
    """Write a model as Citrus-V is published: shards with an index, the authors' names, the type that the configuration names.

    Returns the SHA-256 of the shards, one after the other, hexadecimal. Whoever reads meanwhile finds each file whole.
    """
    _write(folder, published_config(model.config, language), language)
    dtype = getattr(torch, model.config.dtype)
    write_safetensors(folder, {name: value.to(dtype) for name, value in collected(model, published_names).items()}, shard_bytes)
    return stored_safetensors(folder).sha256()


def load_weights(folder: Path, dtype: torch.dtype | None = None, device: str = "cpu") -> tuple[UnifiedModel, Language, str]:
    """Return model (evaluating), tokenizer and the SHA-256 of the tensors' files, hexadecimal.

    Args:
        folder: our own layout or the published one; its ``config.json`` tells which.
        dtype: of the parameters; None for the one that the configuration names.
        device: where the model goes.

    Raises:
        EngineError: a file or a tensor is missing, unknown or of another shape, or a token has another id; the message says which.
    """
    files = (CONFIG, TOKENIZER) if (folder / INDEX).is_file() else (CONFIG, TOKENIZER, TENSORS)
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        raise EngineError(f"The weights folder {folder.name} has no {', '.join(missing)}; install the weights again.")
    stated = _read_config(folder)
    if stated.get("model_type") == MODEL_TYPE:
        config, language, naming = model_config(stated), Language.load(folder / TOKENIZER, ADDED_TOKENS), published_names
        check_published(stated, config, language)
    else:
        config, language, naming = _own_config(stated), Language.load(folder / TOKENIZER), own
    stored = stored_safetensors(folder)
    model = empty_model(config, language)
    fill(model, stored, naming, dtype or getattr(torch, config.dtype), device)
    return model.to(device).eval(), language, stored.sha256()


def load_sam2(segmenter: Segmenter, path: Path, dtype: torch.dtype | None = None) -> None:
    """Give a segmenter the weights of an official SAM 2 checkpoint, such as ``sam2_hiera_large.pt``; its sizes must be the segmenter's."""
    fill(segmenter.sam2_model, stored_checkpoint(path), sam2_names, dtype)


def load_qwen(model: UnifiedModel, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Give a model's language model the weights of a published Qwen2.5-VL folder; its sizes must be the model's."""
    fill(model.mllm, stored_safetensors(folder), qwen_names, dtype)


def assemble(qwen: Path, sam2: Path, config: ModelConfig = EIGHT_B) -> tuple[UnifiedModel, Language]:
    """Return the model that the paper's training starts from: a published language model and segmenter, and a fresh projector.

    Args:
        qwen: folder of Qwen2.5-VL; its tokenizer gets the [SEG] token.
        sam2: official checkpoint.
        config: sizes, which both must have.

    Raises:
        EngineError: a file or a tensor is missing, unknown or of another shape.
    """
    language = Language.load(qwen / TOKENIZER, ADDED_TOKENS)
    model, dtype = empty_model(config, language), getattr(torch, config.dtype)
    load_qwen(model, qwen, dtype)
    load_sam2(model.grounding_encoder, sam2, dtype)
    model.seg_projector.to_empty(device="cpu").to(dtype)
    for layer in (model.seg_projector[0], model.seg_projector[2]):
        layer.reset_parameters()
    return model.eval(), language


def empty_model(config: ModelConfig, language: Language) -> UnifiedModel:
    """Return a model whose parameters have shapes but no numbers (torch's meta device), to be filled from files."""
    with init_empty_weights(include_buffers=False):
        model = UnifiedModel(config, language)
    model.mllm.tie_weights()  # what is shared was torn apart above
    return model


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        stated = json.loads((folder / CONFIG).read_bytes())
        return {**stated.get("text_config", {}), **stated}  # newer transformers nests what older ones had at the top
    except (ValueError, AttributeError, TypeError) as error:
        raise EngineError(f"{CONFIG} of the weights is not valid: {error}") from error


def _own_config(stated: dict[str, Any]) -> ModelConfig:
    try:
        return ModelConfig.model_validate(stated)
    except ValidationError as error:
        raise EngineError(f"{CONFIG} of the weights is not valid: {error}") from error


def _write(folder: Path, config: dict[str, Any], language: Language) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / CONFIG) as path:
        path.write_text(json.dumps(config, indent=2) + "\n")
    with replacing(folder / TOKENIZER) as path:
        path.write_text(language.to_json())
