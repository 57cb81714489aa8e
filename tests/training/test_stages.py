import json
from pathlib import Path

import pytest

from training.stages import Config, ConfigError, Stage

TRAINING = Path(__file__).parents[2] / "training"
CONFIGS = sorted([*(TRAINING / "configs").glob("*.yaml"), *(TRAINING / "runs").glob("*/*.yaml")])


def test_configurations_are_shipped() -> None:
    assert {"finetune.yaml", "8b_stage1.yaml", "2-joint.yaml"} <= {path.name for path in CONFIGS}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_shipped_configuration_parses(path: Path) -> None:
    config = Config.read(path)
    assert all(stage.share(0, 0.0, 0.0) == 0 for stage in config.stages)


def test_the_small_runs_keep_the_papers_scale_weights_and_freezing() -> None:
    runs = TRAINING / "runs" / "small"
    (segmenter,) = Config.read(runs / "1-segmenter.yaml").stages
    assert set(segmenter.learning_rates) == {"segmenter"}
    for stage in Config.read(runs / "1-language.yaml").stages:
        assert not {"projector", "segmenter"} & set(stage.learning_rates)
    instruction, segmentation = Config.read(runs / "2-joint.yaml").stages
    assert (instruction.mask_gradient_scale, instruction.mask_gradient_at) == (0.001, "seg_state")
    weights = instruction.weights
    assert (weights.token, weights.dice, weights.mask_cross_entropy) == (1, 2, 1)
    assert set(segmentation.learning_rates) == {"projector", "segmenter"}
    assert segmentation.cached_rows > 0


TABLE_4 = {
    1: (1, {"vision": 2e-6, "aligner": 1e-5}),
    2: (2, {"language": 1e-5, "vision": 2e-6, "aligner": 1e-5}),
    3: (3, {"language": 1e-5, "vision": 2e-6, "aligner": 1e-5, "projector": 1e-5, "segmenter": 1e-5}),
    4: (10, {"projector": 8e-5, "segmenter": 8e-5}),
}
"""Epochs and learning rates of Citrus-V; what is not named is frozen. Of stage 3's last two only the text speaks."""


@pytest.mark.parametrize("number", TABLE_4)
def test_the_configurations_of_the_8b_model_are_table_4(number: int) -> None:
    config = Config.read(TRAINING / "configs" / f"8b_stage{number}.yaml")
    (stage,) = config.stages
    assert (stage.epochs, stage.learning_rates) == TABLE_4[number]
    assert (stage.warmup_steps, stage.steps, stage.minutes) == (100, None, None)
    assert (stage.weights.token, stage.weights.masks) == (1, number > 2)
    if number > 2:
        assert (stage.weights.dice, stage.weights.mask_cross_entropy) == (2, 1)
    assert stage.mask_gradient_scale == (0.001 if number == 3 else 1)
    assert (config.weight_decay, config.betas, config.clip_norm) == (0.1, (0.9, 0.999), 1.0)
    assert (config.precision, config.gradient_checkpointing, config.row_tokens, config.rows) == ("bfloat16", True, 12288, 64)
    zero = json.loads((CONFIGS[0].parent / "zero2.json").read_text())
    assert zero["zero_optimization"]["stage"] == 2
    assert zero["gradient_clipping"] == config.clip_norm


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("model: tiny\nstages: []", "stages"),
        ("model: tiny\nstages: [{name: a, steps: 1, learning_rates: {language: 1.0e-4}, cycles: 3}]", "cycles"),
        ("model: tiny\nstages: [{name: a, steps: 1, learning_rates: {decoder: 1.0e-4}}]", "decoder"),
        ("model: tiny\nstages: [{name: a, steps: 1, learning_rates: {}}]", "trains nothing"),
        ("model: tiny\nstages: [{name: a, steps: 1, learning_rates: {language: 1.0e-4}, cached_rows: 5}]", "freeze them"),
        ("model: tiny\nstages: [{name: a, steps: 1, learning_rates: {segmenter: 1}, weights: {dice: 0, mask_cross_entropy: 0}}]", "dice"),
        ("model: tiny\nstages: [{name: a, learning_rates: {language: 1.0e-4}}]", "set steps, epochs or minutes"),
        ("model: tiny\nstages: [{name: a, steps: 1, images: 4, learning_rates: {vision: 1.0e-4}}]", "pictures without text"),
        ("stages: [{name: a, steps: 1, learning_rates: {language: 1.0e-4}}]", "start.mllm"),
        ("model: [unclosed", "not a training configuration"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        Config.read(path)


def test_the_rate_warms_up_and_then_falls_to_its_final_share() -> None:
    stage = Stage(name="a", steps=100, learning_rates={"language": 1e-3}, warmup_steps=10, final_rate=0.1)
    rates = [stage.rate(step, stage.share(step, 0.0, 0.0)) for step in range(100)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.1, abs=0.01)


def test_minutes_end_a_stage_and_set_its_rate_whatever_number_of_steps_was_reached() -> None:
    stage = Stage(name="a", minutes=2, learning_rates={"language": 1e-3}, final_rate=0.1)
    assert stage.share(7, 3.0, 60.0) == pytest.approx(0.5)
    assert stage.rate(7, 0.5) == pytest.approx(0.55)
    assert stage.share(7, 3.0, 120.0) >= 1


def test_steps_cap_a_stage_that_has_minutes_too() -> None:
    stage = Stage(name="a", minutes=10, steps=20, learning_rates={"language": 1e-3})
    assert stage.share(20, 0.0, 1.0) == 1
    assert stage.share(1, 0.0, 600.0) == 1


def test_epochs_are_passes_over_the_cases() -> None:
    stage = Stage(name="a", epochs=4, learning_rates={"language": 1e-3})
    assert stage.share(100, 1.0, 600.0) == pytest.approx(0.25)
