"""The faster attention gives what transformers' own gives."""

import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration, Sam2Model

from ai_engine.model.config import TINY
from ai_engine.model.unified import UnifiedModel


def stock(model: UnifiedModel) -> Qwen2_5_VLForConditionalGeneration:
    mllm = Qwen2_5_VLForConditionalGeneration._from_config(model.mllm.config, attn_implementation="sdpa").eval()
    mllm.model.visual.config._attn_implementation = "sdpa"
    mllm.load_state_dict(model.mllm.state_dict())
    return mllm


@pytest.mark.parametrize("side", [8, 16, 10], ids=["one window", "equal windows", "unequal windows"])
def test_the_vision_tower_sees_the_same(tiny_model: UnifiedModel, side: int) -> None:
    grid = torch.tensor([[1, side, side], [1, side, side]])
    patches = torch.randn(2 * side * side, 1176)
    with torch.no_grad():
        ours = tiny_model.mllm.model.visual(patches, grid_thw=grid).pooler_output
        theirs = stock(tiny_model).model.visual(patches, grid_thw=grid).pooler_output
    assert (ours - theirs).abs().max() < 1e-5


def test_a_packed_row_thinks_the_same(tiny_model: UnifiedModel) -> None:
    samples = [torch.randint(20, 600, (length,)) for length in (30, 7, 55)]
    row = torch.cat(samples)[None]
    positions = torch.cat([tiny_model.positions(sample) for sample in samples], 1)[:, None]
    with torch.no_grad():
        ours = tiny_model(row, positions).hidden
        theirs = stock(tiny_model).model(input_ids=row, position_ids=positions, use_cache=False).last_hidden_state
    assert (ours - theirs).abs().max() < 1e-5


def test_gradients_in_bfloat16_are_close_to_those_in_full(tiny_model: UnifiedModel) -> None:
    patches, grid = torch.randn(64, 1176), torch.tensor([[1, 8, 8]])
    weight = tiny_model.mllm.model.visual.blocks[0].attn.qkv.weight

    def gradient(autocast: bool) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = tiny_model.mllm.model.visual(patches, grid_thw=grid).pooler_output.float().square().mean()
        return torch.autograd.grad(loss, weight)[0]

    full, half = gradient(False), gradient(True)
    assert (full - half).norm() < 0.05 * full.norm()


def test_gradients_of_a_packed_row_in_bfloat16_are_close_to_those_in_full(tiny_model: UnifiedModel) -> None:
    samples = [torch.randint(20, 600, (length,)) for length in (30, 7, 55)]
    positions = torch.cat([tiny_model.positions(sample) for sample in samples], 1)[:, None]
    weights = [tiny_model.mllm.model.language_model.layers[0].self_attn.get_parameter(f"{name}_proj.weight") for name in "qkv"]

    def gradients(autocast: bool) -> tuple[torch.Tensor, ...]:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = tiny_model(torch.cat(samples)[None], positions).hidden.float().square()[..., ::3].mean()
        return torch.autograd.grad(loss, weights)

    for full, half in zip(gradients(False), gradients(True), strict=True):
        assert (full - half).norm() < 0.05 * full.norm()


def test_the_segmenter_sees_the_same(tiny_model: UnifiedModel) -> None:
    ours = tiny_model.grounding_encoder.sam2_model
    theirs = Sam2Model._from_config(ours.config, attn_implementation="eager").eval()
    theirs.load_state_dict(ours.state_dict())
    pixels = torch.randn(2, 3, TINY.segmenter_size, TINY.segmenter_size)
    with torch.no_grad():
        for one, other in zip(tiny_model.encode_image(pixels), theirs.get_image_embeddings(pixels), strict=True):
            assert (one - other).abs().max() < 1e-5
