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
from typing import Annotated, get_args

import torch
import typer
from rich.console import Console
from rich.progress import track
from rich.table import Column, Table

from ai_engine.engine import WEIGHTS
from ai_engine.model.assistant import Assistant
from training.command import run
from training.data.cases import Cases
from training.data.manifest import ManifestError
from training.evaluation.answers import answered
from training.evaluation.blind import Blind
from training.evaluation.corruption import Corruption, corrupted
from training.evaluation.facts import judge, radfact
from training.evaluation.figures import HEADLINE, Figures, figures, headline, rounded, subgroups
from training.evaluation.measured import measure
from training.evaluation.pages import at, write_page
from training.evaluation.shown import Reader, read
from training.evaluation.truth import Truth, read_truths
from training.evaluation.words import cider, rouge_l


def evaluate(reader: Reader, truths: Sequence[Truth], unreliable: Sequence[str] = (), times: int = 1000) -> Figures:
    """Read every image once and compute all figures.

    Args:
        reader: what is evaluated.
        truths: the images; a few at a time are held.
        unreliable: names that the engine passes nothing on of.
        times: draws of the bootstrap.
    """
    raw, measured, judged, texts, by_image = [], [], [], [], {}
    started = time.perf_counter()
    for said in read(reader, track(truths, description="reading")):
        truth, shown = said.truth, said.passed_on(unreliable)
        raw.append(measure(said))
        measured.append(measure(shown))
        judged.append(judge(shown))
        texts.append((shown.text, " ".join(truth.report)))
        by_image[truth.name] = {
            "dice": {name: score.dice for name, score in measured[-1].structures.items()},
            "abnormal": measured[-1].abnormal,
            "sides_agree": measured[-1].sides_agree,
            "text": shown.text,
        }
    seconds = time.perf_counter() - started
    return figures(measured, times) | {
        "raw": headline(raw),
        "radfact": radfact(judged),
        "text": _likeness([(mine, reference) for mine, reference in texts if reference]),
        "subgroups": subgroups(measured, times),
        "seconds_per_image": seconds / max(1, len(truths)),
        "by_image": by_image,
    }


def _likeness(pairs: Sequence[tuple[str, str]]) -> Figures | None:
    """ROUGE-L and CIDEr of shown texts against reference reports; None without a reference."""
    if not pairs:
        return None
    mine, references = zip(*pairs, strict=True)
    return {"rouge_l": sum(rouge_l(*pair) for pair in pairs) / len(pairs), "cider": cider(mine, references), "n": len(pairs)}


def worsened(reader: Reader, truths: Sequence[Truth], unreliable: Sequence[str] = ()) -> dict[str, list[Figures]]:
    """The headline figures of images made worse: by corruption, at each severity from 0 (as they are) to 5."""

    def score(how: Corruption | None, severity: int) -> Figures:
        images = track(truths, description=f"{how or 'as they are'} {severity}")
        said = read(reader, (truth if how is None else corrupted(truth, how, severity) for truth in images))
        return {"severity": severity, **headline([measure(each.passed_on(unreliable)) for each in said])}

    untouched = score(None, 0)
    return {how: [untouched, *(score(how, severity) for severity in range(1, 6))] for how in get_args(Corruption)}


def main(
    cases: Annotated[Path, typer.Option(help="Folder of radiographs with masks, or of cases of training.data.cases.")],
    json_file: Annotated[Path, typer.Option("--json", help="Where the figures go.")],
    weights: Annotated[Path, typer.Option(help="Weights folder.")] = WEIGHTS,
    name: Annotated[str | None, typer.Option(help="What the reader is called in tables; else the weights' own name.")] = None,
    patients: Annotated[Path | None, typer.Option(help="A text file of patients, one a line: only their images.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many images of either list, evenly chosen.")] = None,
    corruptions: Annotated[int, typer.Option(help="Read so many images again, made worse in 25 ways.")] = 0,
    tasks: Annotated[int, typer.Option(help="Ask about so many images by segmentation, detection and questions, too.")] = 0,
    blind: Annotated[Path | None, typer.Option(help="Training cases: add the figures of a reader who knows them and never looks.")] = None,
    docs: Annotated[Path | None, typer.Option(help="Write tables and plots into this folder, too.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
    device: Annotated[str, typer.Option(help="torch device.")] = "cpu",
) -> None:
    """Score weights on images with a known truth."""
    torch.set_grad_enabled(False)
    if not json_file.parent.is_dir():
        raise ManifestError(f"{json_file.parent} is no folder, so the figures could not be kept; make it first.")
    truths = read_truths(cases, limit, patients.read_text().split() if patients else None)
    assistant = Assistant.load(weights, device, threads)
    unreliable = assistant.config.unreliable
    result: Figures = {"reader": name or assistant.config.name, "weights_sha256": assistant.weights_hash, "withheld": unreliable}
    result |= evaluate(assistant, truths, unreliable)
    if blind is not None:
        result["blind"] = evaluate(Blind.of(Cases(blind, "train")), truths)
    if corruptions:
        result["corruptions"] = worsened(assistant, truths.some(corruptions), unreliable)
    if tasks:
        result["tasks"] = answered(assistant, track(truths.some(tasks), description="asking"), unreliable)
    result = rounded(result)
    json_file.write_text(json.dumps(result, indent=1) + "\n")
    print_headline(result, Console())
    if docs is not None:
        beside = [result["blind"] | {"reader": "never looks"}] if blind is not None else []
        print(write_page([result, *beside], cases.name, docs))


def print_headline(result: Figures, console: Console) -> None:
    """Print the headline figures as a table."""
    title = f"{result['images']} images, {result['patients']} patients"
    table = Table(Column("figure", no_wrap=True), "value", "95 % interval", "n", "before the check", title=title)
    for name in HEADLINE:
        ends = result["intervals"][name]
        cells = (at(result, name), f"{ends[0]:.3f} to {ends[1]:.3f}" if ends else None, result["n"][name], result["raw"][name])
        table.add_row(name, *(f"{cell:.3f}" if isinstance(cell, float) else "-" if cell is None else str(cell) for cell in cells))
    console.print(table)


if __name__ == "__main__":
    run(main)
