"""A training run: its state, its steps, and how it stops and goes on, in one process or in many.

Many processes (``accelerate launch -m training.fit ...``) hold the same weights. The rows of one optimizer step are dealt out among
them, and their gradients are averaged, so that the update is the one that a single process with as many rows makes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator, DistributedDataParallelKwargs, DistributedType, PartialState
from accelerate.utils import broadcast_object_list, gather_object
from safetensors.torch import load_file
from torch import nn

from ai_engine.model.config import PRESETS
from ai_engine.model.language import Language
from ai_engine.model.unified import UnifiedModel
from ai_engine.model.weights import load_weights
from radiology.errors import EngineError
from training.data.cases import Case
from training.examples import Encoder, texts
from training.joint import Learner, Losses, Scaffold, Targets, cached, total
from training.packing import Row
from training.stages import Config, Part, Stage, freeze, multiplies_bfloat16, optimizer
from training.stream import Material, Stream

WEIGHTS, SCAFFOLD = "weights", "scaffold.safetensors"
LABELLED_ROWS = 24
"""Packed rows of reports, some hundred masks, on which the projector's prompts are looked at."""
FIGURES = ("total", "token", "dice", "mask_cross_entropy", "quality", "prompt", "coverage", "seg_token_gradient", "seg_mask_gradient")
"""What is logged of a step: losses, and the gradient norms of :class:`training.joint.Learner`."""


@dataclass(frozen=True)
class Counts:
    """Where a run stands. ``seconds`` are of the wall clock, pictures and checkpoints included; ``entered_*`` is where the stage began."""

    stage: int = 0
    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    entered_samples: int = 0
    entered_seconds: float = 0.0


@dataclass
class Run:
    """Everything that a checkpoint holds and a step changes; ``streams`` are this process's own."""

    config: Config
    model: UnifiedModel
    language: Language
    scaffold: Scaffold
    machine: Accelerator
    streams: list[Stream]
    counts: Counts = Counts()
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def stage(self) -> Stage | None:
        """The current stage; None where all are done."""
        return self.config.stages[self.counts.stage] if self.counts.stage < len(self.config.stages) else None

    @property
    def share(self) -> float:
        """How much of the current stage is done; 1 or more ends it."""
        if self.stage is None:
            return 1.0
        passes = (self.counts.samples - self.counts.entered_samples) / self.streams[0].pass_samples
        return self.stage.share(self.counts.step, passes, self.counts.seconds - self.counts.entered_seconds)

    @property
    def is_under_deepspeed(self) -> bool:
        """Whether DeepSpeed keeps a part of the optimizer in each process, and clips by itself."""
        return self.machine.distributed_type is DistributedType.DEEPSPEED

    def enter(self) -> None:
        """Freeze what the current stage freezes, and start its optimizer."""
        stage = self.stage
        if stage is None:
            return
        self.groups: dict[Part, list[nn.Parameter]] = freeze(self.model, stage)
        self.scaffold.coverage.requires_grad_(stage.weights.coverage > 0)
        self.scaffold.prompts.requires_grad_(stage.prompts_labels)
        extra = [parameter for parameter in self.scaffold.parameters() if parameter.requires_grad]
        self.machine.free_memory()
        self.learner = Learner(self.model, self.scaffold)
        prepared = self.machine.prepare(self.learner, optimizer(self.groups, extra, stage, self.config))
        self.losses_of: Callable[..., Losses] = prepared[0]
        self.optimizer = prepared[1]

    def leave(self) -> None:
        """Go on to the next stage."""
        here = self.counts
        self.counts = Counts(here.stage + 1, 0, here.samples, here.seconds, here.samples, here.seconds)
        for stream in self.streams:
            stream.turn()
        self.enter()

    def state(self) -> dict[str, Any]:
        """What a resumed run needs, but for an optimizer that DeepSpeed has dealt out; to be called in every process."""
        places = gather_object([(stream.window, stream.row) for stream in self.streams])
        return {
            "model": self.model.state_dict(),
            "scaffold": self.scaffold.state_dict(),
            "optimizer": None if self.is_under_deepspeed else self.optimizer.state_dict() if self.stage else {},
            "places": places,
            "counts": [getattr(self.counts, each.name) for each in fields(Counts)],
            "log": self.log,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Stand where ``state`` was saved, with as many processes as then.

        Raises:
            EngineError: now or then under DeepSpeed, which deals the optimizer's state out among the processes.
        """
        if self.is_under_deepspeed or state["optimizer"] is None:
            raise EngineError("A run under DeepSpeed cannot be resumed; start another one from its weights with --start.")
        self.model.load_state_dict(state["model"])
        self.scaffold.load_state_dict(state["scaffold"])
        first = self.machine.process_index * len(self.streams)
        for stream, (window, row) in zip(self.streams, state["places"][first:], strict=False):
            stream.window, stream.row = window, row
        self.counts = Counts(*state["counts"])
        self.log = state["log"]
        self.enter()
        if self.stage:
            self.optimizer.load_state_dict(state["optimizer"])


def begin(config: Config, cases: Sequence[Case], folder: Path | None = None, rehearsed: Sequence[Case] = ()) -> Run:
    """A run at its first step, in each of the processes that were launched.

    Args:
        config: says where it starts: random weights of a model size, or what finished runs left.
        cases: what it learns from.
        folder: of the same run, stopped before: sizes and vocabulary are taken from there; :meth:`Run.restore` does the rest.
        rehearsed: cases of an earlier training; as many of them as of ``cases`` are learned from, so that what they taught is kept.

    Raises:
        EngineError: where weights to start from are missing or do not fit each other, processes cannot share the rows evenly, or DeepSpeed
            cannot scale gradients where a stage wants it.
    """
    torch.manual_seed(config.seed)
    # Told to stay on the CPU, accelerate would silently do without DeepSpeed.
    cpu = not torch.cuda.is_available() and os.environ.get("ACCELERATE_USE_DEEPSPEED") != "true"
    processes = PartialState(cpu=cpu).num_processes
    if config.rows % processes:
        raise EngineError(f"{processes} processes cannot share {config.rows} rows a step evenly: change rows.")
    each = config.rows // processes
    unused = DistributedDataParallelKwargs(find_unused_parameters=True)
    mixed = config.precision == "bfloat16" or (config.precision == "auto" and multiplies_bfloat16(cpu))
    machine = Accelerator(cpu=cpu, mixed_precision="bf16" if mixed else "no", gradient_accumulation_steps=each, kwargs_handlers=[unused])
    if machine.distributed_type is DistributedType.DEEPSPEED:
        for stage in config.stages:
            if stage.mask_gradient_at == "segmentation_parameters" and stage.mask_gradient_scale != 1:
                raise EngineError(
                    f"Stage {stage.name!r} scales the gradients of single parts, which DeepSpeed keeps to itself: "
                    "set mask_gradient_at to seg_state or projector_out."
                )
    if folder:
        model, language, scaffold = _left_in(folder)
    elif config.model:
        size = PRESETS[config.model]
        language = Language.train(texts(cases, config.seed), size.vocabulary_size, size.image_size)
        model, scaffold = UnifiedModel(size, language), Scaffold(size)
    else:
        model, language, scaffold = _left_in(config.start["mllm"])
    if "segmenter" in config.start and not folder:
        other, _, labelled = _left_in(config.start["segmenter"])
        if (other.config.segmenter, other.config.segmenter_size) != (model.config.segmenter, model.config.segmenter_size):
            raise EngineError(f"The segmenter of {config.start['segmenter']} has another size than this model's.")
        model.grounding_encoder.load_state_dict(other.grounding_encoder.state_dict())
        scaffold.prompts.load_state_dict(labelled.prompts.state_dict())
    if config.gradient_checkpointing:
        model.mllm.activation_checkpointing_enable()
    encode = Encoder(model, language, config.augmentation)
    streams = [
        Stream(cases, encode, config, window, rehearsed=rehearsed)
        for window in range(machine.process_index * each, (machine.process_index + 1) * each)
    ]
    prompted = any(stage.prompts_labels for stage in config.stages)
    if config.start and not folder and prompted and not (config.start.get("segmenter", config.start["mllm"]) / SCAFFOLD).exists():
        _label(scaffold, model, Stream(cases, encode, config, 0, rehearsed=rehearsed))
    run = Run(config, model.to(machine.device).train(), language, scaffold.to(machine.device), machine, streams)
    run.enter()
    return run


def _label(scaffold: Scaffold, model: UnifiedModel, stream: Stream) -> None:
    """Let the prompt of each label begin where the projector's are, on the mean over some reports; a label that none of them has stays."""
    asked = Stage(name="", steps=1, learning_rates={"projector": 1.0})
    rows = (row for row in stream.materials(asked) if isinstance(row, Row) and len(row.masks))
    known = [cached(model, row) for row in islice(rows, LABELLED_ROWS)]
    labels = torch.cat([each.mask_labels for each in known])
    with torch.no_grad():
        prompts = model.project(torch.cat([each.states for each in known]))
        for label in labels.unique():
            scaffold.prompts.weight[label] = prompts[labels == label].mean(0)


def _left_in(folder: Path) -> tuple[UnifiedModel, Language, Scaffold]:
    """What a run left in its output folder, or a folder of weights without a scaffold; in float32, as bfloat16 loses small steps."""
    model, language, _ = load_weights(folder / WEIGHTS if (folder / WEIGHTS).is_dir() else folder, torch.float32)
    scaffold = Scaffold(model.config)
    if (folder / SCAFFOLD).exists():
        scaffold.load_state_dict(load_file(folder / SCAFFOLD))
    return model, language, scaffold


def train(run: Run, after_step: Callable[[Run], None], stop_after: int | None = None) -> None:
    """Go through the stages from where the run stands.

    Args:
        run: fresh or restored; changed in place.
        after_step: called after every step (checkpoints, progress).
        stop_after: end early, after so many steps of this call.
    """
    done, clock = 0, time.perf_counter()
    while stage := run.stage:
        materials = [_materials(run, stream, stage) for stream in run.streams]
        while run.share < 1:
            rate = stage.rate(run.counts.step, run.share)
            samples, figures = 0, dict.fromkeys(FIGURES, 0.0)
            told = dict.fromkeys(FIGURES, 0)
            for each in materials:
                material = next(each).to(run.machine.device)
                samples += len(material.segmenter_pixels) if isinstance(material, Targets) else len(material.names)
                for name, value in learn(run, material, stage, rate).items():
                    figures[name] += value.item()
                    told[name] += 1
            clock, begun = time.perf_counter(), clock
            _count(run, samples, clock - begun, figures, told, rate)
            done += 1
            after_step(run)
            if done == stop_after:
                return
        run.leave()


def learn(run: Run, material: Material | Targets, stage: Stage, rate: float) -> Losses:
    """Learn from one row; with the last one of a step, at ``rate`` of the peak learning rates, the weights change.

    A gradient that is not finite is left out. Returns losses and gradient norms.
    """
    with run.machine.accumulate(run.losses_of):
        losses = run.losses_of(material, stage)
        loss = total(losses, stage.weights)
        # Where nothing in this row is for the stage's parts, or not for all of them, the other processes wait for a gradient all the same;
        # DeepSpeed does not even find out which parameters have none.
        if not loss.requires_grad or run.is_under_deepspeed:
            loss = loss + 0 * torch.stack([parameter.sum() for group in run.groups.values() for parameter in group]).sum()
        run.learner.seg_gradients = {}
        run.machine.backward(loss)
        if run.machine.sync_gradients and not run.is_under_deepspeed:
            if stage.mask_gradient_at == "segmentation_parameters":
                for parameter in (*run.groups.get("projector", []), *run.groups.get("segmenter", [])):
                    if parameter.grad is not None:
                        parameter.grad.mul_(stage.mask_gradient_scale)
            norms = [nn.utils.clip_grad_norm_(parameters, run.config.clip_norm) for parameters in run.groups.values()]
            if not all(norm.isfinite() for norm in norms):
                run.optimizer.zero_grad()
        for block in run.optimizer.param_groups:
            block["lr"] = block["peak"] * rate
        run.optimizer.step()
        run.optimizer.zero_grad()
    whole = {name: norm * run.machine.gradient_accumulation_steps for name, norm in run.learner.seg_gradients.items()}
    return losses | {"total": loss} | whole


def _count(run: Run, samples: int, seconds: float, figures: dict[str, float], told: dict[str, int], rate: float) -> None:
    """Count a step, and log the means over the rows of all processes that have a figure; the first process's clock is everybody's."""
    of_all = run.machine.reduce(torch.tensor([samples, *figures.values(), *told.values()], dtype=torch.float64), "sum").tolist()
    samples, sums, rows = int(of_all[0]), of_all[1 : 1 + len(FIGURES)], of_all[1 + len(FIGURES) :]
    elapsed = broadcast_object_list([seconds])[0] if run.machine.num_processes > 1 else seconds
    here, stage = run.counts, run.config.stages[run.counts.stage]
    run.counts = replace(here, step=here.step + 1, samples=here.samples + samples, seconds=here.seconds + elapsed)
    place = {"stage": stage.name, "step": here.step, "samples": run.counts.samples, "seconds": round(run.counts.seconds, 2), "rate": rate}
    run.log.append(place | {name: figure / row for name, figure, row in zip(FIGURES, sums, rows, strict=True) if row})


def _materials(run: Run, stream: Stream, stage: Stage) -> Iterator[Material | Targets]:
    """Material for the stage's remaining steps: from the stream, or a cached set again and again in shuffled order."""
    if not stage.cached_rows:
        yield from stream.materials(stage)
        return
    rows = replace(stream).materials(stage)
    wanted = min(stage.cached_rows, stage.steps or stage.cached_rows)
    segmented = (row.to(run.machine.device) for row in rows if isinstance(row, Row) and len(row.masks))
    with run.machine.autocast():
        kept = [cached(run.model, row) for row in islice(segmented, wanted)]
    for step in count(run.counts.step):
        order = np.random.default_rng((run.config.seed, 4, step // len(kept))).permutation(len(kept))
        yield kept[order[step % len(kept)]]
