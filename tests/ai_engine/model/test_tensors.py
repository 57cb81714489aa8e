"""Tensors between files and a module."""

import re
from pathlib import Path

import pytest
import torch
from torch import nn

from ai_engine.model.tensors import collected, fill, stored_checkpoint, stored_safetensors, write_safetensors
from radiology.errors import EngineError


class Pair(nn.Module):
    """Two layers that share their weight, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3, bias=False)
        self.second.weight = self.first.weight
        self.register_buffer("count", torch.tensor([1, 2]))


@pytest.fixture
def pair() -> Pair:
    torch.manual_seed(0)
    return Pair()


def test_what_is_shared_is_written_once_and_stays_shared(tmp_path: Path, pair: Pair) -> None:
    write_safetensors(tmp_path, collected(pair), 10**6)
    other = Pair()
    other.first.bias.requires_grad_(False)
    fill(other, stored_safetensors(tmp_path), dtype=torch.float16)
    assert set(stored_safetensors(tmp_path).shapes) == {"first.weight", "first.bias", "count"}
    assert other.second.weight is other.first.weight
    assert torch.equal(other.first.weight, pair.first.weight.half())
    assert other.first.weight.requires_grad and not other.first.bias.requires_grad  # noqa: PT018
    assert other.count.dtype == torch.int64
    assert torch.equal(other.count, pair.count)


def test_rows_that_are_stored_one_by_one_come_together(tmp_path: Path, pair: Pair) -> None:
    def rows(name: str) -> tuple[str, ...]:
        return tuple(f"row.{index}" for index in range(3)) if name == "first.weight" else (name,)

    write_safetensors(tmp_path, collected(pair, rows), 10**6)
    stored = stored_safetensors(tmp_path)
    assert stored.shapes["row.2"] == (1, 3)
    other = Pair()
    fill(other, stored, rows)
    assert torch.equal(other.first.weight, pair.first.weight)


def test_a_module_that_does_not_fit_is_left_as_it_was(tmp_path: Path, pair: Pair) -> None:
    write_safetensors(tmp_path, collected(pair) | {"first.bias": torch.zeros(4)}, 10**6)
    other = Pair()
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(EngineError, match=r"first\.bias is \(4,\), not \(3,\) \(1 in all\)"):
        fill(other, stored_safetensors(tmp_path))
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())


def test_only_the_first_of_many_problems_are_named_and_all_are_counted(tmp_path: Path, pair: Pair) -> None:
    write_safetensors(tmp_path, {f"stray.{index}": torch.zeros(1) for index in range(20)}, 10**6)
    with pytest.raises(EngineError, match=r"count is missing; first\.bias is missing; .* \(23 in all\)"):
        fill(pair, stored_safetensors(tmp_path))


def test_a_tensor_without_numbers_is_never_handed_on(tmp_path: Path, pair: Pair) -> None:
    write_safetensors(tmp_path, collected(pair), 10**6)
    with torch.device("meta"):
        other = Pair()
        other.register_buffer("angles", torch.zeros(3), persistent=False)
    with pytest.raises(EngineError, match=r"No file gives the model these tensors: angles"):
        fill(other, stored_safetensors(tmp_path))


def test_one_shard_is_open_at_a_time(tmp_path: Path) -> None:
    write_safetensors(tmp_path, {f"layer.{index}": torch.full((1000,), float(index)) for index in range(8)}, 8_500)
    stored = stored_safetensors(tmp_path)
    assert len(stored.files) == 4
    seen = set()
    for name, tensor in stored.stream():
        mapped = set(re.findall(r"model-\d+-of-\d+\.safetensors", Path("/proc/self/maps").read_text()))
        assert len(mapped) <= 1
        seen |= mapped
        assert torch.all(tensor == float(name.removeprefix("layer.")))
        del tensor
    assert len(seen) == 4


def test_a_checkpoint_of_torch_is_not_executed(tmp_path: Path) -> None:
    torch.save({"model": Pair()}, tmp_path / "pickled.pt")
    with pytest.raises(EngineError, match=r"pickled\.pt is not a checkpoint"):
        stored_checkpoint(tmp_path / "pickled.pt")
    with pytest.raises(EngineError, match=r"absent\.pt is not a checkpoint"):
        stored_checkpoint(tmp_path / "absent.pt")
