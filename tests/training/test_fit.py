from pathlib import Path

import numpy as np
import pytest
import torch

from ai_engine.model.assistant import Assistant
from ai_engine.model.config import TINY
from ai_engine.model.language import Language
from ai_engine.model.weights import load_weights
from tests.training.phantom import chest
from training.evaluation.overlap import dice
from training.examples import texts
from training.fit import Run, begin, train, write
from training.stages import Augmentation, Config

STILL = Augmentation(zoom=0, shift=0, turn_degrees=0, contrast=0, noise=0)


def configuration(seed: int = 3) -> Config:
    spoken = {"language": 3e-3, "vision": 3e-3, "aligner": 3e-3}
    masked = {"projector": 3e-3, "segmenter": 3e-3}
    seen = {"token": 0, "coverage": 1}
    tasks = {"report": 1, "segmentation": 1, "detection": 1, "question": 1}
    stages = [
        {"name": "pictures", "steps": 2, "images": 2, "learning_rates": {"vision": 3e-3, "segmenter": 3e-3}, "weights": seen},
        {"name": "warm-up", "steps": 3, "learning_rates": spoken, "weights": {"dice": 0, "mask_cross_entropy": 0, "coverage": 1}},
        {
            "name": "joint",
            "steps": 3,
            "learning_rates": spoken | masked,
            "weights": {"quality": 0.1},
            "mask_gradient_scale": 0.001,
            "tasks": tasks,
        },
        {"name": "segmentation", "steps": 4, "learning_rates": masked, "weights": {"token": 0}, "cached_rows": 2},
    ]
    return Config.model_validate({"model": "tiny", "seed": seed, "threads": 1, "row_tokens": 512, "window": 4, "stages": stages})


def fingerprint(run: Run) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in run.model.named_parameters()}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_text(Language.train(texts([chest(0)], 0), TINY.vocabulary_size, TINY.image_size).to_json())
    return path


@pytest.mark.parametrize("stop", [1, 4, 7, 10], ids=["in the pictures", "in the warm-up", "in the joint stage", "in the cached stage"])
def test_a_resumed_run_reaches_the_state_of_one_that_never_stopped(tmp_path: Path, stop: int, tokenizer: Path) -> None:
    cases = [chest(seed) for seed in range(9)]
    through = begin(configuration(), cases, tokenizer)
    train(through, lambda run: None)

    stopped = begin(configuration(), cases, tokenizer)
    train(stopped, lambda run: None, stop_after=stop)
    write(stopped, tmp_path)
    resumed = begin(configuration(), cases, tokenizer)
    resumed.restore(torch.load(tmp_path / "checkpoint.pt", weights_only=True))
    train(resumed, lambda run: None)

    assert [entry["total"] for entry in resumed.log] == pytest.approx([entry["total"] for entry in through.log], rel=1e-5)
    wanted = fingerprint(through)
    assert all(torch.allclose(parameter, wanted[name], atol=1e-6) for name, parameter in fingerprint(resumed).items())


def test_a_run_leaves_weights_that_the_engine_loads_and_a_log_of_its_losses(tmp_path: Path) -> None:
    run = begin(configuration(), [chest(seed) for seed in range(4)])
    train(run, lambda run: None, stop_after=6)
    write(run, tmp_path)
    model, _, _ = load_weights(tmp_path / "weights")
    assert model.config == run.model.config
    lines = (tmp_path / "losses.csv").read_text().splitlines()
    assert len(lines) == 7
    assert lines[0].startswith("stage,step,samples")
    assert (tmp_path / "pictures" / "losses.png").stat().st_size > 0


def test_one_scene_is_learned_by_heart(tokenizer: Path) -> None:
    spoken = {"language": 4e-3, "vision": 4e-3, "aligner": 4e-3}
    masked = {"projector": 4e-3, "segmenter": 4e-3}
    stages = [
        {
            "name": "speech",
            "steps": 150,
            "final_rate": 0.3,
            "learning_rates": spoken,
            "weights": {"dice": 0, "mask_cross_entropy": 0, "coverage": 0.2},
        },
        {"name": "masks", "steps": 80, "learning_rates": masked, "weights": {"token": 0, "quality": 0.1}, "cached_rows": 1},
    ]
    config = Config.model_validate({"model": "tiny", "row_tokens": 512, "window": 1, "augmentation": STILL, "stages": stages})
    case = chest(0)
    run = begin(config, [case], tokenizer)
    train(run, lambda run: None)
    assert run.log[149]["token"] < 0.5 * run.log[0]["token"]
    assert run.log[-1]["dice"] < 0.5 * run.log[150]["dice"]

    reading = Assistant(run.model.eval(), run.language, maximum_new_tokens=300).read(case.image.astype(np.float32), "projection")
    masks = {sentence.name: place.mask for sentence in reading.sentences for place in sentence.places}
    assert "mediastinum" in masks
    assert masks["mediastinum"] is not None
    assert dice(masks["mediastinum"].pixels, case.masks["mediastinum"]) > 0.7


def test_the_segmenter_learns_by_itself_from_prompts_of_labels(tokenizer: Path) -> None:
    stage = {"name": "masks", "steps": 60, "images": 2, "learning_rates": {"segmenter": 4e-3}, "weights": {"token": 0, "quality": 0.1}}
    config = Config.model_validate({"model": "tiny", "window": 2, "augmentation": STILL, "stages": [stage]})
    run = begin(config, [chest(0), chest(1)], tokenizer)
    spoken = {name: value.clone() for name, value in run.model.mllm.state_dict().items()}
    train(run, lambda run: None)
    assert run.log[-1]["dice"] < 0.5 * run.log[0]["dice"]
    assert all(torch.equal(value, spoken[name]) for name, value in run.model.mllm.state_dict().items())


def test_a_joint_run_starts_from_the_parts_of_two_others(tmp_path: Path, tokenizer: Path) -> None:
    runs = {}
    for part, seed in (("mllm", 1), ("segmenter", 2)):
        runs[part] = begin(configuration(seed), [chest(0)], tokenizer)
        write(runs[part], tmp_path / part)
    start = {part: tmp_path / part for part in runs}
    joint = begin(configuration().model_copy(update={"model": None, "start": start}), [chest(0)])

    def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
        pairs = zip(one.parameters(), other.parameters(), strict=True)
        return all(torch.allclose(mine, theirs, atol=1e-3) for mine, theirs in pairs)  # weights are stored in half precision

    assert same(joint.model.mllm, runs["mllm"].model.mllm)
    assert same(joint.model.grounding_encoder, runs["segmenter"].model.grounding_encoder)
    assert not same(joint.model.grounding_encoder, runs["mllm"].model.grounding_encoder)
    assert same(joint.scaffold.coverage, runs["mllm"].scaffold.coverage)
    assert joint.language.to_json() == tokenizer.read_text()
