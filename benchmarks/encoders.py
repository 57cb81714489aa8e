"""What the picture encoders take, and what OpenVINO and bfloat16 change of it.

``python -m benchmarks.encoders [--weights DIR] [--cases FILMS] [--limit N] [--rounds N] [--json FILE]`` lets both encoders, the vision
tower and SAM 2's, look at the same picture in three ways, in turn: torch in float32, which is how Sightline runs unless told otherwise,
torch in bfloat16, and OpenVINO (``SIGHTLINE_ENGINE__ENCODERS=openvino``), which chooses bfloat16 itself where the CPU has it. ``speedup``
is the ratio of processor seconds to those of torch in float32. With ``--cases``, films laid out as for ``training.evaluate`` are read in
each way, and ``dice_difference`` is the largest change of a structure's mean Dice; of OpenVINO it may be at most 0.005.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ai_engine.engine import WEIGHTS
from ai_engine.model.assistant import Assistant
from ai_engine.model.images import Letterbox, mllm_input, segmenter_input, windowed
from training.command import run
from training.evaluation.figures import headline
from training.evaluation.measured import STRUCTURES, measure
from training.evaluation.shown import read
from training.evaluation.truth import Truths, read_truths
from training.stages import multiplies_bfloat16

PLAIN, HALF, COMPILED = "torch, float32", "torch, bfloat16", "OpenVINO"
MOST_DIFFERENCE = 0.005


def assistants(weights: Path, threads: int) -> dict[str, Assistant]:
    """The same weights in three ways."""
    ways = {PLAIN: Assistant.load(weights, threads=threads), HALF: Assistant.load(weights, threads=threads)}
    ways[PLAIN].model.to(torch.float32)
    ways[HALF].model.to(torch.bfloat16)
    return ways | {COMPILED: Assistant.load(weights, threads=threads, encoders="openvino")}


@torch.inference_mode()
def seconds_of(assistant: Assistant, pictures: int) -> float:
    """Processor seconds that both encoders take for a picture, over ``pictures`` one after the other."""
    config, model = assistant.config, assistant.model
    channels = windowed(np.random.default_rng(0).normal(1000, 300, (512, 512)).astype(np.float32), "projection")
    like = model.seg_projector[0].weight.dtype
    patches = torch.from_numpy(mllm_input(Letterbox.fit((512, 512), config.image_size).image(channels))).to(like)
    pixels = torch.from_numpy(segmenter_input(Letterbox.fit((512, 512), config.segmenter_size).image(channels)))[None].to(like)
    begun = time.process_time()
    for _ in range(pictures):
        model.see(patches)
        model.encode_image(pixels)
    return (time.process_time() - begun) / pictures


def speed(ways: Mapping[str, Assistant], rounds: int, pictures: int) -> dict[str, Any]:
    """Time every way in turn; the first round also warms up and does not count."""
    taken = [{name: seconds_of(assistant, pictures) for name, assistant in ways.items()} for _ in range(rounds + 1)][1:]
    ratios = {name: [each[PLAIN] / each[name] for each in taken] for name in ways}
    return {
        name: {
            "milliseconds": round(1000 * statistics.median(each[name] for each in taken), 1),
            "speedup": {"min": min(ratio), "median": statistics.median(ratio), "max": max(ratio)},
        }
        for name, ratio in ratios.items()
    }


def dice_of(assistant: Assistant, truths: Truths, name: str) -> dict[str, float | None]:
    """Mean Dice of each structure over films."""
    scores = headline([measure(each) for each in read(assistant, track(truths, description=name))])
    return {structure: scores[f"structures.{structure}.dice"] for structure in STRUCTURES}


def difference(mine: Mapping[str, float | None], plain: Mapping[str, float | None]) -> float:
    """The largest change of a structure's mean Dice; of the structures that both have."""
    return max(
        (abs(value - other) for name, value in mine.items() if value is not None and (other := plain[name]) is not None), default=0.0
    )


def main(
    weights: Annotated[Path, typer.Option(help="Weights folder.")] = WEIGHTS,
    cases: Annotated[Path | None, typer.Option(help="Films with masks: how much Dice changes.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many films.")] = None,
    rounds: Annotated[int, typer.Option(help="How often each way is timed.")] = 9,
    pictures: Annotated[int, typer.Option(help="Pictures of a round.")] = 20,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
    file: Annotated[Path | None, typer.Option("--json", help="Where the figures go.")] = None,
) -> None:
    """Measure all ways in turn; exit 1 where OpenVINO changes Dice by more than it may."""
    truths = read_truths(cases, limit) if cases else None
    ways = assistants(weights, threads)
    figures = speed(ways, rounds, pictures)
    if truths is not None:
        for name, assistant in ways.items():
            figures[name]["dice"] = dice_of(assistant, truths, name)
            figures[name]["dice_difference"] = difference(figures[name]["dice"], figures[PLAIN]["dice"])
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, {threads} thread(s), bfloat16 {'native' if multiplies_bfloat16() else 'imitated'}"
    )
    table = Table("encoders", "ms a picture", "ratio (min, median, max)", "change of Dice", title=f"{ways[PLAIN].config.name} on {machine}")
    for name, each in figures.items():
        spread = ", ".join(f"{each['speedup'][end]:.2f}" for end in ("min", "median", "max"))
        table.add_row(name, str(each["milliseconds"]), spread, f"{each['dice_difference']:.4f}" if cases else "-")
    Console().print(table)
    if file:
        file.write_text(json.dumps({"machine": machine, "films": truths and len(truths), "ways": figures}, indent=2) + "\n")
    if cases and figures[COMPILED]["dice_difference"] > MOST_DIFFERENCE:
        raise SystemExit(1)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run(main)
