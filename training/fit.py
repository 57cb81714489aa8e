"""Fit the unified model: ``python -m training.fit --config training/configs/small.yaml --data DIR --out DIR [--resume]``.

Goes through the stages of the configuration. Leaves in the output folder: ``weights/`` (what the engine loads), ``checkpoint.pt``
(what ``--resume`` continues from; the same state as a run that was never stopped), ``losses.csv``, and ``pictures/``.
"""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from ai_engine.model.config import PRESETS
from ai_engine.model.language import Language
from ai_engine.model.unified import UnifiedModel
from ai_engine.model.weights import load_weights, save_weights
from training.data.cases import Case, Cases
from training.examples import Encoder, texts
from training.joint import Targets, cached, mask_losses, row_losses, total
from training.packing import Row, pack
from training.parts import PARTS
from training.pictures import draw_losses, draw_readings
from training.stages import Config, Stage, freeze, optimizer

PRINTED = 25
"""A line in the log after so many steps; the progress bar is for people who watch."""
COLUMNS = ("stage", "step", "samples", "seconds", "rate", "total", "token", "dice", "mask_cross_entropy", "quality", "coverage")


@dataclass
class Stream:
    """Packed rows without end: shuffled cases, encoded and packed window by window; ``window`` and ``row`` say where it stands."""

    cases: Sequence[Case]
    encode: Encoder
    config: Config
    window: int = 0
    row: int = 0
    dropped: set[str] = field(default_factory=set)

    def _rows(self, window: int) -> list[Row]:
        size = min(self.config.window, len(self.cases))
        per_epoch = len(self.cases) // size
        order = np.random.default_rng((self.config.seed, window // per_epoch)).permutation(len(self.cases))
        chosen = order[(window % per_epoch) * size :][:size]
        samples = [
            self.encode(self.cases[int(index)], np.random.default_rng((self.config.seed, 1, window, int(index)))) for index in chosen
        ]
        rows = pack(samples, self.config.row_tokens, self.encode.language.seg, self.dropped.add)
        shuffled = np.random.default_rng((self.config.seed, 2, window)).permutation(len(rows))
        return [rows[index] for index in shuffled]

    def __iter__(self) -> Iterator[Row]:
        """Yield from where the stream stands; the next window is encoded meanwhile."""
        with ThreadPoolExecutor(1) as ahead:
            waiting: Future[list[Row]] = ahead.submit(self._rows, self.window)
            while True:
                rows = waiting.result()
                waiting = ahead.submit(self._rows, self.window + 1)
                while self.row < len(rows):
                    self.row += 1
                    yield rows[self.row - 1]
                self.window, self.row = self.window + 1, 0


@dataclass
class Run:
    """Everything that a checkpoint holds and a step changes."""

    config: Config
    model: UnifiedModel
    language: Language
    head: nn.Linear
    stream: Stream
    stage: int = 0
    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    log: list[dict[str, Any]] = field(default_factory=list)

    def enter(self) -> None:
        """Freeze what the current stage freezes, and start its optimizer."""
        stage = self.config.stages[self.stage]
        self.groups = freeze(self.model, stage)
        head = list(self.head.parameters()) if stage.weights.coverage else []
        self.optimizer = optimizer(self.groups, head, stage, self.config)

    def state(self) -> dict[str, Any]:
        """What a resumed run needs."""
        return {
            "model": self.model.state_dict(),
            "head": self.head.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "stream": (self.stream.window, self.stream.row),
            "counts": (self.stage, self.step, self.samples, self.seconds),
            "log": self.log,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Stand where ``state`` was saved."""
        self.model.load_state_dict(state["model"])
        self.head.load_state_dict(state["head"])
        self.stream.window, self.stream.row = state["stream"]
        self.stage, self.step, self.samples, self.seconds = state["counts"]
        self.log = state["log"]
        self.enter()
        self.optimizer.load_state_dict(state["optimizer"])


def begin(config: Config, cases: Sequence[Case], tokenizer: Path | None = None) -> Run:
    """A run at its first step.

    Args:
        config: says where it starts: random weights for a model size, loaded ones for a folder.
        cases: what it learns from.
        tokenizer: of an earlier part of the same run; None learns one from the cases' reports.
    """
    torch.manual_seed(config.seed)
    if config.model in PRESETS:
        size = PRESETS[config.model]
        language = (
            Language.load(tokenizer) if tokenizer else Language.train(texts(cases, config.seed), size.vocabulary_size, size.image_size)
        )
        model = UnifiedModel(size, language)
    else:
        model, language, _ = load_weights(Path(config.model))
    head = nn.Linear(model.config.text.hidden_size, len(PARTS))
    run = Run(config, model, language, head, Stream(cases, Encoder(model, language, config.augmentation), config))
    run.enter()
    return run


def learn(run: Run, loss: torch.Tensor, stage: Stage) -> None:
    """One optimizer step from a loss; a gradient that is not finite is left out."""
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
        block["lr"] = block["peak"] * stage.rate(run.step)
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)


def _materials(run: Run, stage: Stage) -> Iterator[Row | Targets]:
    """Material for the stage's remaining steps: packed rows as they come, or a cached set again and again in shuffled order."""
    if not stage.cached_rows:
        yield from run.stream
        return
    rows = iter(replace(run.stream))
    kept = [cached(run.model, next(rows)) for _ in range(min(stage.cached_rows, stage.steps))]
    for step in range(run.step, stage.steps):
        order = np.random.default_rng((run.config.seed, 3, step // len(kept))).permutation(len(kept))
        yield kept[order[step % len(kept)]]


def train(run: Run, after_step: Callable[[Run], None], stop_after: int | None = None) -> None:
    """Go through the stages from where the run stands.

    Args:
        run: fresh or restored; changed in place.
        after_step: called after every step (checkpoints, progress).
        stop_after: end early, after so many steps of this call.
    """
    done = 0
    while run.stage < len(run.config.stages):
        stage = run.config.stages[run.stage]
        materials = _materials(run, stage)
        while run.step < stage.steps:
            started = time.perf_counter()
            material = next(materials)
            with torch.autocast("cpu", torch.bfloat16):
                if isinstance(material, Row):
                    losses = row_losses(run.model, run.head, material, stage)
                else:
                    losses = mask_losses(run.model, material, stage)
            loss = total(losses, stage.weights)
            learn(run, loss, stage)
            run.seconds += time.perf_counter() - started
            run.samples += len(material.names) if isinstance(material, Row) else len(material.segmenter_pixels)
            place = {
                "stage": stage.name,
                "step": run.step,
                "samples": run.samples,
                "seconds": round(run.seconds, 2),
                "rate": stage.rate(run.step),
            }
            run.log.append(place | {"total": loss.item()} | {name: value.item() for name, value in losses.items()})
            run.step += 1
            done += 1
            after_step(run)
            if done == stop_after:
                return
        run.stage, run.step = run.stage + 1, 0
        if run.stage < len(run.config.stages):
            run.enter()


def write(run: Run, out: Path) -> None:
    """Leave weights, checkpoint and losses in ``out``; each file is complete or the one before."""
    save_weights(out / "weights", run.model, run.language)
    torch.save(run.state(), out / "checkpoint.part")
    os.replace(out / "checkpoint.part", out / "checkpoint.pt")
    with (out / "losses.csv").open("w", newline="") as file:
        lines = csv.DictWriter(file, COLUMNS)
        lines.writeheader()
        lines.writerows(run.log)
    (out / "pictures").mkdir(exist_ok=True)
    draw_losses(run.log, out / "pictures" / "losses.png")


def main(
    config: Annotated[Path, typer.Option(help="YAML file, see training/configs.")],
    data: Annotated[Path, typer.Option(help="Cases made by training.data.cases.")],
    out: Annotated[Path, typer.Option(help="Where weights, checkpoint, losses and pictures go.")],
    resume: Annotated[bool, typer.Option(help="Continue from the checkpoint in the output folder.")] = False,
    steps: Annotated[int | None, typer.Option(help="Stop after so many steps; --resume goes on, also with cases that came since.")] = None,
) -> None:
    """Train the unified model on generated or collected cases."""
    settings = Config.read(config)
    torch.set_num_threads(settings.threads)
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    run = begin(settings, Cases(data, "train"), out / "weights" / "tokenizer.json" if resume else None)
    shown = Cases(data, "held_out_scenes")
    if resume:
        run.restore(torch.load(out / "checkpoint.pt", weights_only=True))
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[losses]}"),
    )
    with Progress(*columns) as progress:
        bars = [progress.add_task(stage.name, total=stage.steps, losses="") for stage in settings.stages]

        def after_step(run: Run) -> None:
            last = run.log[-1]
            told = "  ".join(f"{name} {last[name]:.3f}" for name in COLUMNS[5:] if name in last)
            progress.update(bars[run.stage], completed=run.step, losses=f"{told}  {run.samples / run.seconds:.1f} samples/s")
            if run.step % settings.checkpoint_steps == 0 or run.step == settings.stages[run.stage].steps:
                write(run, out)
            if run.step % settings.picture_steps == 0 or run.step == settings.stages[run.stage].steps:
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
