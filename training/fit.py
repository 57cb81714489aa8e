"""Fit the unified model: ``python -m training.fit --config FILE --data DIR --out DIR [--resume]``.

Goes through the stages of the configuration; ``accelerate launch -m training.fit ...`` does so in many processes. Leaves in the output
folder: ``weights/`` (what the engine loads), ``checkpoint.pt`` (what ``--resume`` continues from; the same state as a run that was never
stopped), ``scaffold.safetensors`` (what another run that starts from this one wants besides the weights), ``losses.csv``, ``pictures/``.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from safetensors.torch import save_file

from ai_engine.model.weights import save_weights
from training import command
from training.data.cases import Case, Cases
from training.data.manifest import ManifestError
from training.pictures import draw_losses, draw_masks, draw_readings
from training.run import FIGURES, SCAFFOLD, WEIGHTS, Run, begin, train
from training.stages import Config

CHECKPOINT = "checkpoint.pt"
PRINTED = 25
"""A line in the log after so many steps; the progress bar is for people who watch."""
COLUMNS = ("stage", "step", "samples", "seconds", "rate", *FIGURES)


def write(run: Run, out: Path) -> None:
    """Leave weights, checkpoint and losses in ``out``; each file is complete or the one before. To be called in every process."""
    state = run.state()
    if not run.machine.is_main_process:
        return
    save_weights(out / WEIGHTS, run.model, run.language)
    save_file(run.scaffold.state_dict(), out / SCAFFOLD)
    torch.save(state, out / "checkpoint.part")
    os.replace(out / "checkpoint.part", out / CHECKPOINT)
    with (out / "losses.csv").open("w", newline="") as file:
        lines = csv.DictWriter(file, COLUMNS)
        lines.writeheader()
        lines.writerows(run.log)


def outdated(run: Run) -> list[str]:
    """The commands after training whose part of the weights a run has left behind, in the order in which they are to be run."""
    taught, config = {part for stage in run.config.stages for part in stage.learning_rates}, run.model.config
    of_masks = {"training.clicks": config.segmenter.pointable, "training.memory": config.segmenter.memory is not None}
    return [name for name, there in of_masks.items() if there and "segmenter" in taught] + ["training.calibrate"] * (
        config.presence is not None
    )


def draw(run: Run, shown: Sequence[Case], out: Path) -> None:
    """Pictures of what the model makes of a few scenes that it does not learn from: its readings, or its masks before it can speak."""
    stage, path = run.stage, out / "pictures" / f"{run.counts.stage}-{run.counts.step:06d}.png"
    if stage is None or not len(shown):
        return
    if not stage.images:
        draw_readings(run.model, run.language, shown, path)
    elif stage.weights.masks:
        draw_masks(run.learner, run.streams[0].encode, shown, path)


def main(
    config: Annotated[Path, typer.Option(help="YAML file, see training/configs.")],
    data: Annotated[list[Path], typer.Option(help="Cases made by training.data.cases; may be given again, for more or to count twice.")],
    out: Annotated[Path, typer.Option(help="Where weights, checkpoint, losses and pictures go.")],
    start: Annotated[Path | None, typer.Option(help="Begin with what this run (or this folder of weights) holds.")] = None,
    rehearse: Annotated[
        list[Path] | None,
        typer.Option(help="Cases of an earlier training, to keep what they taught: as many as of --data are mixed in. May be given again."),
    ] = None,
    resume: Annotated[bool, typer.Option(help="Continue from the checkpoint in the output folder, if there is one.")] = False,
    steps: Annotated[int | None, typer.Option(help="Stop after so many steps; --resume goes on, also with cases that came since.")] = None,
) -> None:
    """Train the unified model on generated or collected cases."""
    settings = Config.read(config, start)
    cases = Cases(data[0], "train", *data[1:])
    if not cases:
        raise ManifestError(f"Nothing in {', '.join(map(str, data))} is there to train on; see the splits in manifest.json.")
    torch.set_num_threads(settings.threads)
    (out / "pictures").mkdir(parents=True, exist_ok=True)
    resume = resume and (out / CHECKPOINT).exists()
    rehearsed = Cases(rehearse[0], "train", *rehearse[1:]) if rehearse else ()
    run = begin(settings, cases, out if resume else None, rehearsed)
    shown = Cases(data[0], "held_out_scenes") or Cases(data[0], "held_out_patient")
    if resume:
        run.restore(torch.load(out / CHECKPOINT, weights_only=True))
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[losses]}"),
    )
    with Progress(*columns, disable=not run.machine.is_main_process) as progress:
        bars = [progress.add_task(stage.name, total=1.0, losses="") for stage in settings.stages]

        def after_step(run: Run) -> None:
            last, counts = run.log[-1], run.counts
            told = "  ".join(f"{name} {last[name]:.3f}" for name in FIGURES if name in last)
            speed = f"{counts.samples / counts.seconds:.1f} samples/s"
            progress.update(bars[counts.stage], completed=run.share, losses=f"{told}  {speed}")
            if counts.step % settings.checkpoint_steps == 0 or run.share >= 1:
                write(run, out)
                if run.machine.is_main_process:
                    draw_losses(run.log, out / "pictures" / "losses.png")
            if (counts.step % settings.picture_steps == 0 or run.share >= 1) and run.machine.is_main_process:
                draw(run, shown, out)
            if counts.step % PRINTED == 0:
                run.machine.print(f"{last['stage']} step {counts.step}: {told}; {speed}", flush=True)

        train(run, after_step, steps)
    if run.stage:
        write(run, out)
    dropped = {name for stream in run.streams for name in stream.dropped}
    if dropped:
        run.machine.print(f"{len(dropped)} cases are longer than row_tokens={settings.row_tokens} and were left out.")
    if stale := outdated(run):
        run.machine.print(f"What {', '.join(stale)} gave is of the weights that this run began with; run it again before these are used.")


if __name__ == "__main__":
    command.run(main)
