"""Only the memory learns, it starts where decoding by the state alone left off, and it learns which object is meant."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ai_engine.model.config import TINY
from ai_engine.model.language import Language
from ai_engine.model.memory import Track
from ai_engine.model.segmenter import Prompts
from ai_engine.model.unified import UnifiedModel
from ai_engine.model.weights import load_weights, save_weights
from tests.training.data.chest import ball, chest
from training.data.clips import clip
from training.memory import LEARNS, Prepared, clip_losses, learn, measure, prepare, remembering

WIDER = TINY.model_copy(update={"segmenter": TINY.segmenter.model_copy(update={"feature_size": 64})})
SIDE = WIDER.mask_size


@pytest.fixture
def wider(language: Language) -> UnifiedModel:
    torch.manual_seed(0)
    return UnifiedModel(WIDER, language).eval()


@pytest.fixture
def prepared(wider: UnifiedModel, language: Language) -> list[Prepared]:
    rng = np.random.default_rng(1)
    return [prepare(wider, language, clip(chest(), [ball(5)], 4, rng), rng) for _ in range(4)]


@torch.no_grad()
def two_squares(model: UnifiedModel, seed: int) -> Prepared:
    """A clip of two equal squares that drift."""
    top, drift = (int(value) for value in np.random.default_rng(seed).integers((0, 0), (4, 3)))
    masks = torch.zeros(4, 2, SIDE, SIDE)
    for index in range(4):
        for number, left in enumerate((1, 8)):
            masks[index, number, top + drift * index :, left + index :][:5, :5] = 1
    pixels = masks.amax(1).repeat_interleave(4, 1).repeat_interleave(4, 2)[:, None].expand(-1, 3, -1, -1) * 2
    features = [level.half() for level in model.encode_image(pixels)]
    return Prepared(features, torch.zeros(2, 64), masks.half(), ("right nodule", "left nodule"))


def test_a_clip_is_prepared_with_a_state_and_a_mask_for_every_mark(prepared: list[Prepared]) -> None:
    for each in prepared:
        assert each.prompts.shape == (len(each.labels), 64)
        assert each.masks.shape == (4, len(each.labels), SIDE, SIDE)
        assert [len(level) for level in each.features] == [4, 4, 4]
        assert (each.masks[0].flatten(1).sum(1) > 0).all(), "what is named is on the key slice"


def test_only_the_memory_learns_and_everything_else_stays_bit_for_bit(
    wider: UnifiedModel, language: Language, prepared: list[Prepared], tmp_path: Path
) -> None:
    save_weights(tmp_path / "before", wider, language)
    model = remembering(load_weights(tmp_path / "before")[0], language, prepared)
    fresh = {name: value.clone() for name, value in model.state_dict().items()}
    assert len(list(learn(model, prepared, steps=3, minutes=5, seed=0))) == 3
    save_weights(tmp_path / "after", model, language)
    before, after = (load_file(tmp_path / folder / "model.safetensors") for folder in ("before", "after"))
    prefix = "grounding_encoder.sam2_model."
    learning = tuple(prefix + name for name in LEARNS)
    for name, value in before.items():
        assert name.startswith(learning) or torch.equal(value, after[name]), name
    assert all(name.startswith(learning) for name in after.keys() - before.keys())
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, fresh[name])}
    for part in ("memory_attention", "memory_encoder", "object_pointer_proj", "mask_decoder.pred_obj_score_head", "memory_temporal"):
        assert any(name.startswith(prefix + part) for name in changed), part
    again = load_weights(tmp_path / "after")[0]
    assert remembering(again, language, prepared) is again, "a model with a memory goes on learning with it"


def test_a_fresh_memory_changes_little(wider: UnifiedModel, language: Language, prepared: list[Prepared]) -> None:
    model = remembering(wider, language, prepared)
    clip_ = next(each for each in prepared if len(each.labels) > 1)
    with torch.no_grad():
        track = Track(model.grounding_encoder, [level[None] for level in clip_.at(0)], Prompts(clip_.prompts))
        features = [level[None] for level in clip_.at(1)]
        followed, anew = track.step(features).logits, model.grounding_encoder.decode(features, Prompts(clip_.prompts)).logits
    assert (followed - anew).abs().mean() < 0.3 * anew.std()


def test_the_losses_fall(wider: UnifiedModel, language: Language) -> None:
    clips = [two_squares(wider, seed) for seed in range(4)]
    log = list(learn(remembering(wider, language, clips), clips, steps=10, minutes=5, seed=0))
    for name in ("dice", "mask_cross_entropy", "presence"):
        assert log[-1][name] < log[0][name]
    assert [each["samples"] for each in log[:3]] == [4, 8, 12]


def test_the_clock_ends_the_stage(wider: UnifiedModel, language: Language) -> None:
    clips = [two_squares(wider, 0)]
    assert not list(learn(remembering(wider, language, clips), clips, steps=10, minutes=0.0, seed=0))


def test_following_is_measured_by_distance_and_name_against_the_truth(wider: UnifiedModel, language: Language) -> None:
    clip_ = two_squares(wider, 0)
    with torch.no_grad():
        features = [level.float() for level in clip_.features]
        drawn = wider.grounding_encoder.decode(features, Prompts(torch.zeros(4, 64)), torch.arange(4)).logits > 0
    truth = torch.stack([drawn, torch.zeros_like(drawn)], 1)  # the first is drawn perfectly, the second is never there
    figures = measure(wider, [replace(clip_, masks=truth.half())])
    assert set(figures["followed"]) == {"0", "1", "2", "4", "8"}
    assert figures["followed"]["1"]["all"] == {"n": 1, "dice_memory": 1.0, "dice_decoded_anew": 1.0}
    assert figures["followed"]["2"]["nodule"]["n"] == 1
    assert figures["followed"]["4"] == {}
    assert figures["gone"] == {"n": 4, "still_drawn_memory": 1.0, "still_drawn_decoded_anew": 1.0}


def test_a_segmenter_that_takes_points_also_learns_to_carry_a_mask_that_nothing_is_said_of(wider: UnifiedModel, language: Language) -> None:
    segmenter = wider.config.segmenter.model_copy(update={"pointable": True})
    wider.config = wider.config.model_copy(update={"segmenter": segmenter})
    clips = [two_squares(wider, seed) for seed in range(4)]
    model = remembering(wider, language, clips)
    with torch.no_grad():
        before = clip_losses(model.grounding_encoder, clips, "mask")
    list(learn(model, clips, steps=12, minutes=5, seed=0))
    with torch.no_grad():
        after = clip_losses(model.grounding_encoder, clips, "mask")
    assert after["dice"] < before["dice"]
    assert set(measure(model, clips[:1])["followed"]["1"]["all"]) == {"n", "dice_memory", "dice_decoded_anew", "dice_mask_alone"}
