"""Fit the unified model: ``python -m training.fit --config training/configs/small.yaml --data DIR --out DIR [--resume]``.

Goes through the stages of the configuration. Leaves in the output folder: ``weights/`` (what the engine loads), ``checkpoint.pt``
(what ``--resume`` continues from; the same state as a run that was never stopped), ``scaffold.safetensors`` (what another run that
starts from this one wants besides the weights), ``losses.csv``, and ``pictures/``.
"""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from safetensors.torch import load_file, save_file
from torch import nn

from ai_engine.model.config import PRESETS
from ai_engine.model.language import Language
from ai_engine.model.unified import UnifiedModel
from ai_engine.model.weights import load_weights, save_weights
from radiology.errors import EngineError
from training.data.cases import Case, Cases
from training.examples import Encoder, Pictures, texts
from training.joint import Losses, Scaffold, Targets, cached, mask_losses, picture_losses, row_losses, total
from training.packing import Row
from training.pictures import draw_losses, draw_readings
from training.stages import Config, Stage, freeze, optimizer
from training.stream import Material, Stream

WEIGHTS, SCAFFOLD = "weights", "scaffold.safetensors"
PRINTED = 25
"""A line in the log after so many steps; the progress bar is for people who watch."""
COLUMNS = ("stage", "step", "samples", "seconds", "rate", "total", "token", "dice", "mask_cross_entropy", "quality", "coverage")


@dataclass
class Run:
    """Everything that a checkpoint holds and a step changes.

    ``seconds`` are of the wall clock, pictures and checkpoints included; ``entered`` of them had passed when the current stage began.
    """

    config: Config
    model: UnifiedModel
    language: Language
    scaffold: Scaffold
    stream: Stream
    stage: int = 0
    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    entered: float = 0.0
    log: list[dict[str, Any]] = field(default_factory=list)

    def enter(self) -> None:
        """Freeze what the current stage freezes, and start its optimizer."""
        stage = self.config.stages[self.stage]
        self.groups = freeze(self.model, stage)
        extra = list(self.scaffold.coverage.parameters()) if stage.weights.coverage else []
        if stage.images and stage.weights.masks:
            extra += self.scaffold.prompts.parameters()
        self.optimizer = optimizer(self.groups, extra, stage, self.config)

    @property
    def share(self) -> float:
        """How much of the current stage is done; 1 or more ends it."""
        return self.config.stages[self.stage].share(self.step, self.seconds - self.entered)

    def state(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {
            "model": self.model.state_dict(),
            "scaffold": self.scaffold.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "stream": (self.stream.window, self.stream.row),
            "counts": (self.stage, self.step, self.samples, self.seconds, self.entered),
            "log": self.log,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Stand where ``state`` was saved."""
        self.model.load_state_dict(state["model"])
        self.scaffold.load_state_dict(state["scaffold"])
        self.stream.window, self.stream.row = state["stream"]
        self.stage, self.step, self.samples, self.seconds, self.entered = state["counts"]
        self.log = state["log"]
        self.enter()
        self.optimizer.load_state_dict(state["optimizer"])


def begin(config: Config, cases: Sequence[Case], tokenizer: Path | None = None) -> Run:
    """A run at its first step.

    Args:
        config: says where it starts: random weights of a model size, or what finished runs left.
        cases: what it learns from.
        tokenizer: of an earlier part of the same run; None learns one from the cases' reports.

    Raises:
        EngineError: where weights to start from are missing, or do not fit each other.
    """
    torch.manual_seed(config.seed)
    if config.model:
        size = PRESETS[config.model]
        language = (
            Language.load(tokenizer) if tokenizer else Language.train(texts(cases, config.seed), size.vocabulary_size, size.image_size)
        )
        model = UnifiedModel(size, language)
        scaffold = Scaffold(size)
    else:
        model, language, scaffold = _started(config.start["mllm"])
    if "segmenter" in config.start:
        other, _, labelled = _started(config.start["segmenter"])
        if (other.config.segmenter, other.config.segmenter_size) != (model.config.segmenter, model.config.segmenter_size):
            raise EngineError(f"The segmenter of {config.start['segmenter']} has another size than this model's.")
        model.grounding_encoder.load_state_dict(other.grounding_encoder.state_dict())
        scaffold.prompts.load_state_dict(labelled.prompts.state_dict())
    run = Run(config, model, language, scaffold, Stream(cases, Encoder(model, language, config.augmentation), config))
    run.enter()
    return run


def _started(folder: Path) -> tuple[UnifiedModel, Language, Scaffold]:
    """What a run left in its output folder, or a folder of weights without a scaffold."""
    model, language, _ = load_weights(folder / WEIGHTS if (folder / WEIGHTS).is_dir() else folder)
    scaffold = Scaffold(model.config)
    if (folder / SCAFFOLD).exists():
        scaffold.load_state_dict(load_file(folder / SCAFFOLD))
    return model.train(), language, scaffold


def learn(run: Run, loss: torch.Tensor, stage: Stage, rate: float) -> None:
    """One optimizer step from a loss, at ``rate`` of the peak learning rates; a gradient that is not finite is left out."""
    loss.backward()
    if stage.mask_gradient_at == "segmentation_parameters":
        for parameter in (*run.groups.get("projector", []), *run.groups.get("segmenter", [])):
            if parameter.grad is not None:
                parameter.grad.mul_(stage.mask_gradient_scale)
    norms = [nn.utils.clip_grad_norm_(parameters, run.config.clip_norm) for parameters in run.groups.values()]
    if not all(norm.isfinite() for norm in norms):
        run.optimizer.zero_grad(set_to_none=True)
        return
    for block in run.optimizer.param_groups:
        block["lr"] = block["peak"] * rate
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)


def _materials(run: Run, stage: Stage) -> Iterator[Material | Targets]:
    """Material for the stage's remaining steps: from the stream, or a cached set again and again in shuffled order."""
    if not stage.cached_rows:
        yield from run.stream.materials(stage)
        return
    rows = replace(run.stream).materials(stage)
    wanted = min(stage.cached_rows, stage.steps or stage.cached_rows)
    kept = [cached(run.model, row) for row in islice(rows, wanted) if isinstance(row, Row)]
    for step in count(run.step):
        order = np.random.default_rng((run.config.seed, 3, step // len(kept))).permutation(len(kept))
        yield kept[order[step % len(kept)]]


def _losses(run: Run, material: Material | Targets, stage: Stage) -> Losses:
    with torch.autocast("cpu", torch.bfloat16):
        if isinstance(material, Row):
            return row_losses(run.model, run.scaffold, material, stage)
        if isinstance(material, Pictures):
            return picture_losses(run.model, run.scaffold, material, stage)
        return mask_losses(run.model, material, stage)


def train(run: Run, after_step: Callable[[Run], None], stop_after: int | None = None) -> None:
    """Go through the stages from where the run stands.

    Args:
        run: fresh or restored; changed in place.
        after_step: called after every step (checkpoints, progress).
        stop_after: end early, after so many steps of this call.
    """
    done, clock = 0, time.perf_counter()
    while run.stage < len(run.config.stages):
        stage = run.config.stages[run.stage]
        materials = _materials(run, stage)
        while run.share < 1:
            material = next(materials)
            rate = stage.rate(run.step, run.share)
            losses = _losses(run, material, stage)
            loss = total(losses, stage.weights)
            learn(run, loss, stage, rate)
            run.samples += len(material.segmenter_pixels) if isinstance(material, Targets) else len(material.names)
            clock, begun = time.perf_counter(), clock
            run.seconds += clock - begun
            place = {"stage": stage.name, "step": run.step, "samples": run.samples, "seconds": round(run.seconds, 2), "rate": rate}
            run.log.append(place | {"total": loss.item()} | {name: value.item() for name, value in losses.items()})
            run.step += 1
            done += 1
            after_step(run)
            if done == stop_after:
                return
        run.stage, run.step, run.entered = run.stage + 1, 0, run.seconds
        run.stream.turn()
        if run.stage < len(run.config.stages):
            run.enter()


def write(run: Run, out: Path) -> None:
    """Leave weights, checkpoint and losses in ``out``; each file is complete or the one before."""
    save_weights(out / WEIGHTS, run.model, run.language)
    save_file(run.scaffold.state_dict(), out / SCAFFOLD)
    torch.save(run.state(), out / "checkpoint.part")
    os.replace(out / "checkpoint.part", out / "checkpoint.pt")
    with (out / "losses.csv").open("w", newline="") as file:
        lines = csv.DictWriter(file, COLUMNS)
        lines.writeheader()
        lines.writerows(run.log)
    (out / "pictures").mkdir(exist_ok=True, parents=True)
    if run.log:
        draw_losses(run.log, out / "pictures" / "losses.png")


def main(
    config: Annotated[Path, typer.Option(help="YAML file, see training/configs.")],
    data: Annotated[Path, typer.Option(help="Cases made by training.data.cases.")],
    out: Annotated[Path, typer.Option(help="Where weights, checkpoint, losses and pictures go.")],
    start: Annotated[Path | None, typer.Option(help="Begin with what this run (or this folder of weights) holds.")] = None,
    resume: Annotated[bool, typer.Option(help="Continue from the checkpoint in the output folder.")] = False,
    steps: Annotated[int | None, typer.Option(help="Stop after so many steps; --resume goes on, also with cases that came since.")] = None,
) -> None:
    """Train the unified model on generated or collected cases."""
    settings = Config.read(config, start)
    torch.set_num_threads(settings.threads)
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    run = begin(settings, Cases(data, "train"), out / WEIGHTS / "tokenizer.json" if resume else None)
    shown = Cases(data, "held_out_scenes")
    if resume:
        run.restore(torch.load(out / "checkpoint.pt", weights_only=True))
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[losses]}"),
    )
    with Progress(*columns) as progress:
        bars = [progress.add_task(stage.name, total=1.0, losses="") for stage in settings.stages]

        def after_step(run: Run) -> None:
            last = run.log[-1]
            told = "  ".join(f"{name} {last[name]:.3f}" for name in COLUMNS[5:] if name in last)
            progress.update(bars[run.stage], completed=run.share, losses=f"{told}  {run.samples / run.seconds:.1f} samples/s")
            if run.step % settings.checkpoint_steps == 0 or run.share >= 1:
                write(run, out)
            if (run.step % settings.picture_steps == 0 or run.share >= 1) and not settings.stages[run.stage].images:
                draw_readings(run.model, run.language, shown, out / "pictures" / f"{run.stage}-{run.step:06d}.png")
            if run.step % PRINTED == 0:
                print(f"{last['stage']} step {run.step}: {told}; {run.samples / run.seconds:.1f} samples/s", flush=True)

        train(run, after_step, steps)
    if run.stage < len(settings.stages):
        write(run, out)
    dropped = len(run.stream.dropped)
    if dropped:
        print(f"{dropped} cases are longer than row_tokens={settings.row_tokens} and were left out.")


if __name__ == "__main__":
    typer.run(main)
