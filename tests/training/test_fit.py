import json
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from accelerate.state import AcceleratorState, GradientState, PartialState
from safetensors.torch import load_file

from ai_engine.model.assistant import Assistant
from ai_engine.model.config import MemoryConfig, PresenceConfig
from ai_engine.model.weights import load_weights, save_weights
from radiology.errors import EngineError
from tests.training.phantom import chest
from training.data.cases import write_shard
from training.data.scene import Scene
from training.evaluation.overlap import dice
from training.fit import CHECKPOINT, draw, main, outdated, write
from training.joint import cached
from training.packing import Row
from training.parts import LABELS
from training.pictures import draw_losses
from training.run import FIGURES, Counts, Run, begin, train
from training.stages import Augmentation, Config, Stage

CASES = [chest(seed) for seed in range(9)]
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


STOPS = {1: "in the pictures", 4: "in the warm-up", 7: "in the joint stage", 10: "in the cached stage"}


@pytest.fixture(scope="module")
def through(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    """A run that never stopped, and what it had left after each of ``STOPS`` steps."""
    folder = tmp_path_factory.mktemp("through")
    run = begin(configuration(), CASES)

    def after_step(run: Run) -> None:
        if len(run.log) in STOPS:
            write(run, folder / str(len(run.log)))

    train(run, after_step)
    return run, folder


@pytest.mark.parametrize("stop", STOPS, ids=list(STOPS.values()))
def test_a_resumed_run_reaches_the_state_of_one_that_never_stopped(stop: int, through: tuple[Run, Path]) -> None:
    run, folder = through
    resumed = begin(configuration(), CASES, folder / str(stop))
    resumed.restore(torch.load(folder / str(stop) / CHECKPOINT, weights_only=True))
    train(resumed, lambda run: None)
    assert [entry["total"] for entry in resumed.log] == pytest.approx([entry["total"] for entry in run.log], rel=1e-5)
    wanted = fingerprint(run)
    assert all(torch.allclose(parameter, wanted[name], atol=1e-6) for name, parameter in fingerprint(resumed).items())


def test_a_bfloat16_model_is_trained_in_float32_and_kept_in_bfloat16(through: tuple[Run, Path], tmp_path: Path) -> None:
    run, _ = through
    save_weights(tmp_path / "start", run.model, run.language)
    stated = json.loads((tmp_path / "start" / "config.json").read_text()) | {"dtype": "bfloat16"}
    (tmp_path / "start" / "config.json").write_text(json.dumps(stated))
    wanted = configuration().model_dump() | {"model": None, "start": {"mllm": tmp_path / "start"}}
    started = begin(Config.model_validate(wanted), CASES)
    assert {parameter.dtype for parameter in started.model.parameters()} == {torch.float32}, "small steps would be lost"
    write(started, tmp_path / "out")
    (file,) = (tmp_path / "out" / "weights").glob("*.safetensors")
    assert {tensor.dtype for tensor in load_file(file).values()} == {torch.bfloat16}


def forked(rank: int, processes: int, port: int, work: Callable[[], None]) -> BaseProcess:
    """A process of its own, one of a group where there are several."""

    def child() -> None:
        torch.set_num_threads(1)  # the threads of the process that it was forked from are not in it: waiting for them would never end
        for state in (AcceleratorState, GradientState):  # as in a new interpreter
            state._shared_state.clear()
        PartialState._shared_state.clear()
        if processes > 1:
            group = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            os.environ |= {name: str(value) for name, value in group.items()} | {"ACCELERATE_USE_CPU": "true"}
        work()

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    return process


def pair(work: Callable[[], None]) -> list[BaseProcess]:
    """Two processes that learn together."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return [forked(rank, 2, port, work) for rank in range(2)]


def test_a_killed_run_goes_on_at_the_exact_step(tmp_path: Path, through: tuple[Run, Path]) -> None:
    def work() -> None:
        train(begin(configuration(), CASES), lambda run: write(run, tmp_path))

    killed = forked(0, 1, 0, work)
    while killed.is_alive() and (not (tmp_path / "losses.csv").exists() or len((tmp_path / "losses.csv").read_text().splitlines()) < 6):
        time.sleep(0.005)
    killed.kill()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert 5 <= len(state["log"]) < 12
    resumed = begin(configuration(), CASES, tmp_path)
    resumed.restore(state)
    train(resumed, lambda run: None)
    wanted = fingerprint(through[0])
    assert all(torch.allclose(parameter, wanted[name], atol=1e-6) for name, parameter in fingerprint(resumed).items())


def test_two_processes_make_the_update_of_one_with_the_same_rows(tmp_path: Path) -> None:
    """Mixed tasks, a sample a row: some have masks and some have none, so one process may have a gradient that the other has not."""
    joint = configuration().stages[2]
    config = configuration().model_copy(update={"rows": 4, "window": 1, "precision": "float32", "stages": (joint,)})

    def work() -> None:
        run = begin(config, CASES)
        train(run, lambda run: write(run, tmp_path / str(run.machine.num_processes)), stop_after=1)

    for group in ([forked(0, 1, 0, work)], pair(work)):
        for process in group:
            process.join()
        assert [process.exitcode for process in group] == [0] * len(group)
    one, two = (torch.load(tmp_path / processes / CHECKPOINT, weights_only=True) for processes in ("1", "2"))
    moments = [[block["exp_avg"] for block in state["optimizer"]["state"].values()] for state in (one, two)]
    assert all(torch.allclose(mine, theirs, atol=1e-6) for mine, theirs in zip(*moments, strict=True))
    # Where a gradient is nothing but rounding, Adam's first step is as long as elsewhere, in either direction.
    weights = {name: (value - two["model"][name]).abs() for name, value in one["model"].items()}
    differing = sum(int((distance > 1e-6).sum()) for distance in weights.values())
    assert differing < 1e-3 * sum(distance.numel() for distance in weights.values())
    assert one["places"] == two["places"]
    mine, theirs = one["log"][0], two["log"][0]
    assert mine.keys() == theirs.keys()
    assert [mine[name] for name in FIGURES if name in mine] == pytest.approx([theirs[name] for name in FIGURES if name in mine], rel=1e-4)


def test_rows_that_processes_cannot_share_evenly_are_refused(tmp_path: Path) -> None:
    def work() -> None:
        with pytest.raises(EngineError, match="cannot share 3 rows"):
            begin(configuration().model_copy(update={"rows": 3}), CASES)
        torch.distributed.barrier()  # the first process keeps the address book of both: it must not leave before the second is in

    group = pair(work)
    for process in group:
        process.join()
    assert [process.exitcode for process in group] == [0, 0]


def test_a_run_leaves_weights_that_the_engine_loads_and_a_log_of_its_losses(through: tuple[Run, Path]) -> None:
    run, folder = through
    model, _, _ = load_weights(folder / "7" / "weights")
    assert model.config == run.model.config
    lines = (folder / "7" / "losses.csv").read_text().splitlines()
    assert len(lines) == 8
    assert lines[0].startswith("stage,step,samples")


def test_losses_and_masks_are_drawn(tmp_path: Path, through: tuple[Run, Path]) -> None:
    run, _ = through
    (tmp_path / "pictures").mkdir()
    draw_losses(run.log, tmp_path / "pictures" / "losses.png")
    run.counts = Counts()
    draw(run, CASES[:2], tmp_path)
    assert {path.name for path in (tmp_path / "pictures").iterdir()} == {"losses.png", "0-000000.png"}


def test_what_was_taught_after_training_is_named_once_training_goes_on(through: tuple[Run, Path]) -> None:
    run, _ = through
    assert outdated(run) == [], "nothing was"
    segmenter = run.model.config.segmenter.model_copy(
        update={"pointable": True, "memory": MemoryConfig(layers=1, intermediate_size=64, masks=2, pointers=2)}
    )
    finished = run.model.config.model_copy(update={"segmenter": segmenter, "presence": PresenceConfig()})
    later = replace(run, model=SimpleNamespace(config=finished))
    assert outdated(later) == ["training.clicks", "training.memory", "training.calibrate"]
    warm_up = run.config.model_copy(update={"stages": run.config.stages[1:2]})
    assert outdated(replace(later, config=warm_up)) == ["training.calibrate"], "the segmenter stayed as it was"


def test_one_command_fits_goes_on_and_starts_a_further_run(tmp_path: Path) -> None:
    for split, number in (("train", 4), ("held_out_scenes", 1)):
        write_shard(tmp_path / split, [Scene(case.kind, case.image, case.masks) for case in CASES[:number]], "phantom")
    shards = [{"name": split, "split": split, "scenes": number} for split, number in (("train", 4), ("held_out_scenes", 1))]
    (tmp_path / "manifest.json").write_text(json.dumps({"shards": shards}))
    config = tmp_path / "config.yaml"
    stages = [stage.model_dump(mode="json", exclude_none=True) for stage in configuration().stages[:2]]
    config.write_text(yaml.safe_dump({"model": "tiny", "threads": 1, "row_tokens": 512, "window": 4, "stages": stages}))

    main(config, [tmp_path], tmp_path / "first", steps=1)
    main(config, [tmp_path], tmp_path / "first", resume=True)
    names = [line.split(",")[0] for line in (tmp_path / "first" / "losses.csv").read_text().splitlines()[1:]]
    assert names == ["pictures"] * 2 + ["warm-up"] * 3
    assert {path.name for path in (tmp_path / "first" / "pictures").iterdir()} == {"losses.png", "0-000002.png", "1-000003.png"}

    main(config, [tmp_path], tmp_path / "second", start=tmp_path / "first", rehearse=[tmp_path], steps=1)
    first, second = (load_weights(tmp_path / name / "weights")[0].state_dict() for name in ("first", "second"))
    projector = [name for name in first if name.startswith("seg_projector.")]
    assert projector
    assert all(torch.equal(first[name], second[name]) for name in projector)  # the first stage leaves it alone


@pytest.mark.slow
def test_one_scene_is_learned_by_heart() -> None:
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
    run = begin(config, [case])
    train(run, lambda run: None)
    assert run.log[149]["token"] < 0.5 * run.log[0]["token"]
    assert run.log[-1]["dice"] < 0.5 * run.log[150]["dice"]

    reading = Assistant(run.model.eval(), run.language, maximum_new_tokens=300).read(case.image.astype(np.float32), "projection")
    masks = {sentence.name: place.mask for sentence in reading.sentences for place in sentence.places}
    assert "mediastinum" in masks
    assert masks["mediastinum"] is not None
    assert dice(masks["mediastinum"].pixels, case.masks["mediastinum"]) > 0.7


def test_the_segmenter_learns_by_itself_from_prompts_of_labels() -> None:
    stage = {"name": "masks", "steps": 60, "images": 2, "learning_rates": {"segmenter": 4e-3}, "weights": {"token": 0, "quality": 0.1}}
    config = Config.model_validate({"model": "tiny", "window": 2, "augmentation": STILL, "stages": [stage]})
    run = begin(config, [chest(0), chest(1)])
    spoken = {name: value.clone() for name, value in run.model.mllm.state_dict().items()}
    train(run, lambda run: None)
    assert run.log[-1]["dice"] < 0.5 * run.log[0]["dice"]
    assert all(torch.equal(value, spoken[name]) for name, value in run.model.mllm.state_dict().items())


def test_the_prompts_of_labels_begin_where_the_weights_already_put_them(through: tuple[Run, Path], tmp_path: Path) -> None:
    """A folder of weights has none of its own; random ones would first make the segmenter forget what it knows."""
    weights = through[1] / "10" / "weights"
    stage = {"name": "masks", "steps": 1, "images": 2, "learning_rates": {"segmenter": 1e-3}, "weights": {"token": 0}}
    config = configuration().model_dump() | {"model": None, "start": {"mllm": weights}, "stages": [stage]}
    begun = begin(Config.model_validate(config), CASES)
    prompts = begun.scaffold.prompts.weight.detach()
    said: dict[str, list[torch.Tensor]] = {label: [] for label in ("right lung", "left lung", "mediastinum")}
    for row in islice(begun.streams[0].materials(Stage(name="", steps=1, learning_rates={"projector": 1.0})), 8):
        assert isinstance(row, Row)
        targets = cached(begun.model, row)
        for state, label in zip(targets.states, targets.mask_labels.tolist(), strict=True):
            said[LABELS[label]].append(begun.model.project(state).detach())
    for label, projected in said.items():
        away = [(each - prompts[LABELS.index(label)]).norm() for each in projected]
        elsewhere = [(each - prompts[LABELS.index("right nodule")]).norm() for each in projected]
        assert max(away) < 0.2 * min(elsewhere), f"{label} begins near what the projector makes of it"


@pytest.mark.parametrize(("able", "precision"), [({"amx_bf16": True}, "bf16"), ({"avx2": True, "avx512_bf16": False}, "no")])
def test_a_machine_that_only_imitates_bfloat16_is_spared_it(monkeypatch: pytest.MonkeyPatch, able: dict[str, bool], precision: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    config = configuration().model_copy(update={"precision": "auto"})

    def work() -> None:
        assert begin(config, CASES).machine.mixed_precision == precision

    process = forked(0, 1, 0, work)
    process.join()
    assert process.exitcode == 0


def test_a_joint_run_starts_from_the_parts_of_two_others(tmp_path: Path) -> None:
    runs = {}
    for part, seed in (("mllm", 1), ("segmenter", 2)):
        runs[part] = begin(configuration(seed), [chest(0)])
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
    assert joint.language.to_json() == runs["mllm"].language.to_json()
