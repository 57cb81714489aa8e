"""Every figure from one command: ``python -m training.evaluate --cases DIR --json FILE [--weights DIR]``.

DIR holds radiographs with masks (:mod:`training.evaluation.truth` says how), or cases of :mod:`training.data.cases`. Images are read as the
engine reads them, and only what the engine would pass on counts; ``raw`` are the headline figures of everything that the model says.
:mod:`training.evaluation.figures` defines the figures; docs/evaluation.md explains them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ai_engine.engine import WEIGHTS
from ai_engine.model.assistant import Assistant
from training.evaluation.facts import radfact
from training.evaluation.figures import HEADLINE, Figures, figures, headline, rounded, subgroups
from training.evaluation.measured import measure
from training.evaluation.shown import Reader, Shown, show
from training.evaluation.truth import Truth, read_truths
from training.evaluation.words import cider, rouge_l

app = typer.Typer(add_completion=False)


def evaluate(reader: Reader, truths: Sequence[Truth], unreliable: Sequence[str] = (), times: int = 1000) -> Figures:
    """Read every image once and compute all figures; ``unreliable`` names what the engine passes nothing on of."""
    started = time.perf_counter()
    readings = list(track(show(reader, truths), description="reading", total=len(truths)))
    seconds = (time.perf_counter() - started) / max(1, len(truths))
    shown = [reading.passed_on(unreliable) for reading in readings]
    measured = [measure(each) for each in shown]
    return figures(measured, times) | {
        "raw": headline([measure(reading) for reading in readings]),
        "radfact": radfact(shown),
        "text": _text(shown),
        "subgroups": subgroups(measured, times),
        "seconds_per_image": seconds,
        "by_image": {
            image.name: {
                "dice": {name: score.dice for name, score in image.structures.items()},
                "abnormal": image.abnormal,
                "text": [statement.sentence.text for statement in each.statements],
            }
            for image, each in zip(measured, shown, strict=True)
        },
    }


def _text(shown: Sequence[Shown]) -> Figures | None:
    """ROUGE-L and CIDEr of the shown sentences against the reference reports; None where no image has one."""
    pairs = [
        (" ".join(statement.sentence.text for statement in each.statements), " ".join(each.truth.report))
        for each in shown
        if each.truth.report
    ]
    if not pairs:
        return None
    return {
        "rouge_l": sum(rouge_l(mine, reference) for mine, reference in pairs) / len(pairs),
        "cider": cider([mine for mine, _ in pairs], [reference for _, reference in pairs]),
        "n": len(pairs),
    }


@app.command()
def main(
    cases: Annotated[Path, typer.Option(help="Folder of radiographs with masks, or of cases of training.data.cases.")],
    json_file: Annotated[Path, typer.Option("--json", help="Where the figures go.")],
    weights: Annotated[Path, typer.Option(help="Weights folder.")] = WEIGHTS,
    patients: Annotated[Path | None, typer.Option(help="A text file of patients, one a line: only their images.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many images of either list, evenly chosen.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
    device: Annotated[str, typer.Option(help="torch device.")] = "cpu",
) -> None:
    """Score weights on images with a known truth."""
    torch.set_grad_enabled(False)
    assistant = Assistant.load(weights, device, threads)
    truths = read_truths(cases, limit)
    if patients is not None:
        named = set(patients.read_text().split())
        truths = [truth for truth in truths if truth.patient in named]
    result = {"weights": assistant.config.name, "weights_sha256": assistant.weights_hash}
    result |= rounded(evaluate(assistant, truths, assistant.config.unreliable))
    json_file.write_text(json.dumps(result, indent=1) + "\n")
    print_headline(result, Console())


def print_headline(result: Figures, console: Console) -> None:
    """Print the headline figures as a table."""
    title = f"{result['images']} images, {result['patients']} patients"
    table = Table("figure", "value", "95 % interval", "n", "before the check", title=title)
    for name in HEADLINE:
        value: object = result
        for key in name.split("."):
            value = value[key] if isinstance(value, dict) and key in value else None
        ends = result["intervals"][name]
        cells = (value, f"{ends[0]:.3f} to {ends[1]:.3f}" if ends else None, result["n"][name], result["raw"][name])
        table.add_row(name, *(f"{cell:.3f}" if isinstance(cell, float) else "-" if cell is None else str(cell) for cell in cells))
    console.print(table)


if __name__ == "__main__":
    app()
