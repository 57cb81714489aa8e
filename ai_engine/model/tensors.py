"""Tensors in files and the module they belong to: read one after the other, each of them accounted for."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from huggingface_hub import split_torch_state_dict_into_shards
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from radiology.errors import EngineError

TENSORS = "model.safetensors"
INDEX = TENSORS + ".index.json"

Naming = Callable[[str], tuple[str, ...]]
"""From a tensor's name in the module to its name in the files; several names where the files hold its rows one by one."""


@dataclass(frozen=True)
class Stored:
    """Tensors in files.

    Attributes:
        place: what to call the files in a message.
        shapes: of every tensor, known without reading one.
        stream: reads name and tensor one after the other, with one file open at a time.
        files: in the order in which they are read.
    """

    place: str
    shapes: Mapping[str, tuple[int, ...]]
    stream: Callable[[], Iterator[tuple[str, torch.Tensor]]]
    files: tuple[Path, ...]

    def sha256(self) -> str:
        """Return the SHA-256 of all files, one after the other, hexadecimal."""
        digest = hashlib.sha256()
        for path in self.files:
            with path.open("rb") as file:
                while block := file.read(1 << 22):
                    digest.update(block)
        return digest.hexdigest()


def stored_safetensors(folder: Path) -> Stored:
    """Open ``model.safetensors``, or the shards that ``model.safetensors.index.json`` names.

    Raises:
        EngineError: a shard is missing or unreadable, or the index and the shards do not say the same.
    """
    where: dict[str, str] | None = None
    files = [folder / TENSORS]
    if (folder / INDEX).is_file():
        try:
            where = dict(json.loads((folder / INDEX).read_bytes())["weight_map"])
        except (ValueError, KeyError, TypeError) as error:
            raise EngineError(f"{INDEX} cannot be read ({error!r}); install the weights again.") from error
        files = [folder / name for name in sorted(set(where.values()))]
    missing = [path.name for path in files if path.parent != folder or not path.is_file()]
    if missing:
        raise EngineError(f"The weights folder {folder.name} has no {', '.join(missing)}; install the weights again.")
    shapes: dict[str, tuple[int, ...]] = {}
    problems: list[str] = []
    for path in files:
        with _opened(path) as file:
            for name in file.keys():  # noqa: SIM118 (no dictionary)
                if name in shapes:
                    problems.append(f"{name} is in two shards")
                elif where is not None and where.get(name) != path.name:
                    problems.append(f"{name} is in {path.name}, where {INDEX} does not have it")
                shapes[name] = tuple(file.get_slice(name).get_shape())
    problems += [f"{name} is missing from {where[name]}" for name in sorted((where or {}).keys() - shapes.keys()) if where]
    if problems:
        raise EngineError(f"The shards do not fit {INDEX}: {_first(problems)}.")

    def stream() -> Iterator[tuple[str, torch.Tensor]]:
        for path in files:
            with _opened(path) as file:
                for name in file.keys():  # noqa: SIM118
                    yield name, file.get_tensor(name)

    return Stored(files[0].name if len(files) == 1 else f"{files[0].name} and {len(files) - 1} more", shapes, stream, tuple(files))


def stored_checkpoint(path: Path) -> Stored:
    """Open the tensors under ``model`` in a file of ``torch.save``; nothing in it is executed.

    Raises:
        EngineError: the file is missing, unreadable or holds something else.
    """
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["model"]
        shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    except (OSError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError, AttributeError) as error:
        raise EngineError(f"{path.name} is not a checkpoint with tensors under 'model' ({error}).") from error
    return Stored(path.name, shapes, lambda: iter(tensors.items()), (path,))


def own(name: str) -> tuple[str, ...]:
    """Name tensors in files as in the module."""
    return (name,)


def fill(module: nn.Module, stored: Stored, naming: Naming = own, dtype: torch.dtype | None = None, device: str | None = None) -> None:
    """Give every parameter and every persistent buffer of ``module`` its stored tensor, and nothing else to any.

    A module on the meta device becomes real tensor by tensor, so that memory holds each once.

    Args:
        module: changed in place; tensors that it shares stay shared.
        stored: the files.
        naming: from the module's names to the files'.
        dtype: of floating-point tensors; None for each as it is in the module.
        device: where they go; None for each where it is, or from the meta device to the CPU.

    Raises:
        EngineError: a tensor is missing, unknown or of another shape, or the module has one that no file can hold.
            The message names the first ones and says how many there are; nothing was changed then.
    """
    slots: dict[str, list[_Slot]] = {}
    expected: dict[str, tuple[int, ...]] = {}
    for slot in _slots(module, naming):
        for name in slot.stored:
            slots.setdefault(name, []).append(slot)
            expected[name] = slot.piece_shape
    found = stored.shapes
    problems = [f"{name} is missing" for name in sorted(expected.keys() - found.keys())]
    problems += [f"{name} is unknown" for name in sorted(found.keys() - expected.keys())]
    problems += [
        f"{name} is {found[name]}, not {expected[name]}" for name in sorted(expected.keys() & found.keys()) if found[name] != expected[name]
    ]
    if problems:
        raise EngineError(f"{stored.place} does not fit the model's configuration: {_first(problems)}.")
    for name, tensor in stored.stream():
        for slot in slots[name]:
            wanted = dtype if dtype and tensor.is_floating_point() else slot.tensor.dtype
            target = device or ("cpu" if slot.tensor.is_meta else slot.tensor.device)
            slot.put(module, name, tensor.to(target, wanted, copy=True))
    empty = [name for name, value in (*module.named_parameters(), *module.named_buffers()) if value.is_meta]
    if empty:
        raise EngineError(f"No file gives the model these tensors: {_first(empty)}.")


def collected(module: nn.Module, naming: Naming = own) -> dict[str, torch.Tensor]:
    """Return the tensors of ``module`` as files hold them: by ``naming``, each once, on the CPU."""
    tensors: dict[str, torch.Tensor] = {}
    for slot in _slots(module, naming):
        rows = slot.tensor.detach().cpu().chunk(len(slot.stored))
        for name, piece in zip(slot.stored, rows, strict=True):
            tensors.setdefault(name, piece.contiguous() if len(rows) == 1 else piece.clone())
    return tensors


def write_safetensors(folder: Path, tensors: dict[str, torch.Tensor], shard_bytes: int) -> None:
    """Write ``tensors`` as transformers does: one file, or shards of at most ``shard_bytes`` and their index."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = split_torch_state_dict_into_shards(tensors, max_shard_size=shard_bytes)
    for file, names in plan.filename_to_tensors.items():
        with replacing(folder / file) as path:
            save_file({name: tensors[name] for name in names}, path, metadata={"format": "pt"})
    if plan.is_sharded:
        index = {"metadata": plan.metadata, "weight_map": dict(sorted(plan.tensor_to_filename.items()))}
        with replacing(folder / INDEX) as path:
            path.write_text(json.dumps(index, indent=2) + "\n")
    else:
        (folder / INDEX).unlink(missing_ok=True)  # of shards that were here before


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a path to write to that takes the place of ``path`` once it is written: a reader finds the old file or the new one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    os.close(handle)
    try:
        yield Path(name)
        with open(name, "rb") as file:
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


@dataclass(eq=False)
class _Slot:
    """One tensor of a module under all its names there, and the pieces of it that have been read."""

    names: list[str]
    tensor: torch.Tensor
    stored: tuple[str, ...]
    pieces: dict[str, torch.Tensor] = field(default_factory=dict)

    @property
    def piece_shape(self) -> tuple[int, ...]:
        if len(self.stored) == 1:
            return tuple(self.tensor.shape)
        return (self.tensor.shape[0] // len(self.stored), *self.tensor.shape[1:])

    def put(self, module: nn.Module, name: str, piece: torch.Tensor) -> None:
        self.pieces[name] = piece
        if len(self.pieces) < len(self.stored):
            return
        value = piece if len(self.stored) == 1 else torch.cat([self.pieces[name] for name in self.stored])
        if isinstance(self.tensor, nn.Parameter):
            value = nn.Parameter(value, requires_grad=self.tensor.requires_grad)
        for name in self.names:
            owner, _, leaf = name.rpartition(".")
            setattr(module.get_submodule(owner), leaf, value)


def _slots(module: nn.Module, naming: Naming) -> list[_Slot]:
    shared: dict[int, _Slot] = {}
    for name, tensor in module.state_dict(keep_vars=True).items():
        if id(tensor) in shared:
            shared[id(tensor)].names.append(name)
        else:
            shared[id(tensor)] = _Slot([name], tensor, naming(name))
    return list(shared.values())


def _opened(path: Path) -> safe_open:
    try:
        return safe_open(path, framework="pt", device="cpu")
    except (SafetensorError, OSError) as error:
        raise EngineError(f"{path.name} cannot be read ({error}); install the weights again.") from error


def _first(problems: list[str]) -> str:
    return f"{'; '.join(problems[:5])} ({len(problems)} in all)"
