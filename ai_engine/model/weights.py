"""A folder of weights: ``config.json``, ``tokenizer.json`` and ``model.safetensors`` in float16."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from ai_engine.model.config import ModelConfig
from ai_engine.model.language import Language
from ai_engine.model.unified import UnifiedModel
from radiology.errors import EngineError

CONFIG, TOKENIZER, WEIGHTS = "config.json", "tokenizer.json", "model.safetensors"
_TIED = "mllm.lm_head.weight"


def save_weights(folder: Path, model: UnifiedModel, language: Language) -> str:
    """Write a model; whoever reads meanwhile finds each file whole. Returns the SHA-256 of ``model.safetensors``, hexadecimal."""
    folder.mkdir(parents=True, exist_ok=True)
    half = {name: value.detach().to(torch.float16).cpu().contiguous() for name, value in model.state_dict().items() if name != _TIED}
    broken = [name for name, value in half.items() if not bool(torch.isfinite(value).all())]
    if broken:
        raise EngineError(f"{len(broken)} tensors cannot be written as float16, {broken[0]} among them; did training diverge?")
    content = save(half)
    _replace(folder / CONFIG, model.config.model_dump_json(indent=2).encode() + b"\n")
    _replace(folder / TOKENIZER, language.to_json().encode())
    _replace(folder / WEIGHTS, content)
    return hashlib.sha256(content).hexdigest()


def load_weights(folder: Path) -> tuple[UnifiedModel, Language, str]:
    """Return model (evaluating, float32), tokenizer and the SHA-256 of ``model.safetensors``.

    Raises:
        EngineError: a file or a tensor is missing, unknown or of another shape; the message says which.
    """
    missing = [name for name in (CONFIG, TOKENIZER, WEIGHTS) if not (folder / name).is_file()]
    if missing:
        raise EngineError(f"The weights folder {folder.name} has no {', '.join(missing)}; install the weights again.")
    try:
        config = ModelConfig.model_validate_json((folder / CONFIG).read_bytes())
    except ValidationError as error:
        raise EngineError(f"{CONFIG} of the weights is not valid: {error}") from error
    language = Language.load(folder / TOKENIZER)
    try:
        tensors = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise EngineError(f"{WEIGHTS} cannot be read ({error}); install the weights again.") from error
    model = UnifiedModel(config, language)
    _check(model.state_dict(), tensors)
    model.load_state_dict(tensors, strict=False)
    return model.eval(), language, hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()


def _check(expected: dict[str, torch.Tensor], found: dict[str, torch.Tensor]) -> None:
    problems = [f"{name} is missing" for name in sorted(expected.keys() - found.keys() - {_TIED})]
    problems += [f"{name} is unknown" for name in sorted(found.keys() - expected.keys() | found.keys() & {_TIED})]
    problems += [
        f"{name} is {tuple(found[name].shape)}, not {tuple(expected[name].shape)}"
        for name in sorted(expected.keys() & found.keys())
        if found[name].shape != expected[name].shape
    ]
    if problems:
        raise EngineError(f"{WEIGHTS} does not fit {CONFIG}: {'; '.join(problems[:5])} ({len(problems)} in all).")


def _replace(path: Path, content: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.chmod(file.name, 0o644)
    os.replace(file.name, path)
