"""Evaluate weights: ``python -m training.evaluate --data DIR --weights DIR --json FILE [--cases DIR]``.

On the held-out scenes: Dice of masks, IoU of boxes, precision and recall of findings, and unreadable answers; every figure beside a
trivial baseline that knows the training split but not the image (the mean mask, the mean box, the majority sentence). ``--cases`` is a
folder of real radiographs with masks (``manifest.json``, ``negatives.json``). A structure that the report gave no mask counts as Dice 0.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, get_args

import numpy as np
import torch
import typer
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from ai_engine.model.assistant import Assistant
from ai_engine.model.images import Kind
from radiology.errors import UnreadableAnswer
from training.data.cases import Case, Cases
from training.scores import Baseline, Measured, Score, Truth, baseline, said

FILM_STRUCTURES = {"right_lung": "right lung", "left_lung": "left lung", "cardiomediastinum": "mediastinum"}
FILM_FINDINGS = {
    "pleural_effusion": "pleural effusion",
    "pneumothorax": "pneumothorax",
    "consolidation": "consolidation",
    "ground_glass_opacity": "ground glass opacity",
}
"""Names of the real films' masks in the words of :data:`radiology.terms.TERMS`."""


def films(folder: Path, file: str) -> Iterator[Truth]:
    """Real radiographs of ``manifest.json`` or ``negatives.json``, with the masks that have a name here."""
    names = FILM_STRUCTURES | FILM_FINDINGS
    for entry in json.loads((folder / file).read_text()):
        image = np.asarray(Image.open(folder / "images" / f"{entry['id']}.png").convert("L"), np.float32)
        masks = {
            names[name]: np.asarray(Image.open(folder / "masks" / path).convert("L")) > 0
            for name, path in entry["masks"].items()
            if name in names
        }
        yield Truth(entry["id"], image, "projection", masks)


def measure(assistant: Assistant, truths: Iterable[Truth], base: dict[Kind, Baseline], sided: bool = True) -> dict[Kind, Score]:
    """Read every image and score the answers, by kind of image."""
    size = assistant.config.image_size
    measured = {kind: Measured(base[kind], size) for kind in base}
    for truth in truths:
        try:
            answer = said(assistant.read(truth.image, truth.kind), (truth.image.shape[0], truth.image.shape[1]))
        except UnreadableAnswer:
            answer = None
        measured[truth.kind].add(truth, answer, sided)
    return {kind: result.score() for kind, result in measured.items() if result.images}


def scenes(cases: Sequence[Case], limit: int | None) -> list[Truth]:
    """The scenes of a split, evenly chosen where there are more than ``limit``."""
    count = len(cases) if limit is None else min(limit, len(cases))
    chosen = (cases[index * len(cases) // count] for index in range(count))
    return [Truth(case.name, case.image.astype(np.float32), case.kind, dict(case.masks)) for case in chosen]


def main(
    data: Annotated[Path, typer.Option(help="Cases made by training.data.cases.")],
    weights: Annotated[Path, typer.Option(help="Weights folder.")],
    json_file: Annotated[Path, typer.Option("--json", help="Where the figures go.")],
    cases: Annotated[Path | None, typer.Option(help="Folder of real radiographs with manifest.json and negatives.json.")] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many scenes of each split.")] = None,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 2,
) -> None:
    """Score weights on held-out scenes, and on real radiographs."""
    assistant = Assistant.load(weights, threads=threads)
    base: dict[Kind, Baseline] = {kind: baseline(Cases(data, "train"), kind, assistant.config.image_size) for kind in get_args(Kind)}
    result: Score = {"weights_sha256": assistant.weights_hash, "splits": {}}
    started, images = time.perf_counter(), 0
    for split in ("held_out_patient", "held_out_scenes"):
        truths = scenes(Cases(data, split), limit)
        result["splits"][split] = measure(assistant, track(truths, description=split), base)
        images += len(truths)
    if cases is not None:
        for name, file in (("annotated", "manifest.json"), ("negatives", "negatives.json")):
            truths = list(films(cases, file))
            scores = measure(assistant, track(truths, description=f"films {name}"), base, sided=False)
            result.setdefault("films", {})[name] = scores["projection"]
            images += len(truths)
    result["seconds_per_image"] = round((time.perf_counter() - started) / images, 2)
    json_file.write_text(json.dumps(result, indent=1) + "\n")
    show(result, Console())


def show(result: Score, console: Console) -> None:
    """Print the figures as tables."""
    groups = {f"{split}, {kind}": score for split, kinds in result["splits"].items() for kind, score in kinds.items()}
    groups |= {f"real films, {name}": score for name, score in result.get("films", {}).items()}
    for title, score in groups.items():
        console.print(f"\n[bold]{title}[/bold]: {score['images']} images, {score['unreadable_share']:.1%} unreadable")
        for section in ("masks", "boxes", "findings"):
            rows = score[section]
            if rows:
                table = Table(section, *(name.replace("_", " ") for name in next(iter(rows.values()))))
                for label, figures in rows.items():
                    table.add_row(label, *("-" if value is None else str(value) for value in figures.values()))
                console.print(table)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    typer.run(main)
