"""Collected radiographs as training cases: ``python -m training.collected --cases DIR --out DIR [--fold K] [--weights W]``.

Takes a folder of real radiographs with masks (laid out as :mod:`training.evaluation.truth` says), cuts findings by the side they are
on, and writes the cases that :mod:`training.fit` reads, split by patient: one fold is held out, its patients listed in
``held_out.txt`` for ``training.evaluate --patients``. Radiographs without findings have no masks; with ``--weights`` a model draws
their lungs and mediastinum, so that they, too, teach where things are (the paper's X-ray route, 3.2.4).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from ai_engine.model.assistant import Assistant
from radiology.finding import Side
from radiology.terms import TERMS
from training.command import run
from training.data.cases import write_shard
from training.data.manifest import ManifestError
from training.data.scene import SIZE, Scene
from training.evaluation.shown import Reader, read
from training.evaluation.truth import Truth, read_truths
from training.parts import name_of


def folds(patients: Sequence[str], count: int, seed: int) -> list[list[str]]:
    """Deal patients into ``count`` folds, each patient into one."""
    dealt = np.random.default_rng(seed).permutation(sorted(set(patients))).tolist()
    return [sorted(dealt[number::count]) for number in range(count)]


def scene(truth: Truth, drawn: dict[str, NDArray[np.bool_]]) -> Scene | None:
    """One radiograph at the size of a training scene; ``drawn`` are masks of structures that nobody marked.

    None where nobody looked for any finding: a report of it could neither state nor deny anything.
    """
    if not any(TERMS[name].kind == "finding" for name in truth.judged):
        return None
    masks = {label: mask for label, mask in truth.masks.items() if TERMS[name_of(label)].kind != "finding"} | drawn
    unjudged = {name for name, term in TERMS.items() if term.kind != "structure"} - truth.judged
    for name in sorted(truth.judged):
        if TERMS[name].paired:
            cut = {f"{side} {name}": there for side in (Side.RIGHT, Side.LEFT) if (there := truth.where({name}, side)).any()}
            masks |= cut
            if not cut and truth.where({name}).any():  # marked, and in neither lung
                unjudged.add(name)
    factor = SIZE / max(truth.shape)
    size = round(truth.shape[1] * factor), round(truth.shape[0] * factor)
    image = np.asarray(Image.fromarray(truth.image).resize(size, Image.Resampling.BILINEAR))
    small = {label: np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)) for label, mask in masks.items()}
    visible = {label: mask for label, mask in small.items() if mask.any()}
    unjudged |= {name_of(label) for label in small} - {name_of(label) for label in visible}  # there, and too thin to be shown
    return Scene("projection", image.astype(np.int16), visible, unjudged=frozenset(unjudged))


def structures(reader: Reader, truth: Truth) -> dict[str, NDArray[np.bool_]]:
    """Where a model shows lungs and mediastinum."""
    shown = next(read(reader, [truth])).passed_on()
    masks = {f"{side} lung": shown.where({"lung"}, side) for side in (Side.RIGHT, Side.LEFT)} | {
        "mediastinum": shown.where({"mediastinum"})
    }
    return {label: mask for label, mask in masks.items() if mask.any()}


def main(
    cases: Annotated[Path, typer.Option(help="Folder of radiographs with manifest.json and negatives.json.")],
    out: Annotated[Path, typer.Option(help="Folder of the cases to write; must not exist.")],
    fold: Annotated[int, typer.Option(help="Which fold is held out.")] = 0,
    count: Annotated[int, typer.Option("--folds", help="How many folds there are.")] = 5,
    seed: Annotated[int, typer.Option(help="Deals the patients.")] = 0,
    learn_from: Annotated[
        int | None, typer.Option(min=1, help="Take only so many patients to learn from: what do more of them bring?")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Draws structures on radiographs without any mask.")] = None,
) -> None:
    """Write collected cases, split by patient."""
    if not 0 <= fold < count:
        raise ManifestError(f"There is no fold {fold} of {count}; they are counted from 0.")
    if out.exists():
        raise ManifestError(f"{out} is there already; name another folder, or remove it first.")
    assistant = Assistant.load(weights) if weights else None
    truths = read_truths(cases)
    dealt = folds([truth.patient for truth in truths], count, seed)
    held_out = set(dealt.pop(fold))
    others = np.random.default_rng(seed).permutation(sorted(patient for each in dealt for patient in each)).tolist()
    taken = held_out.union(others[:learn_from])  # fewer of them are always some of more
    out.mkdir(parents=True)
    scenes: dict[str, list[Scene]] = defaultdict(list)
    unknown = 0
    for truth in track(truths, description="radiographs"):
        if truth.patient not in taken:
            continue
        drawn = structures(assistant, truth) if assistant is not None and not truth.masks else {}
        if (known := scene(truth, drawn)) is not None:
            scenes[truth.patient].append(known)
        else:
            unknown += 1
    if unknown:
        print(f"{unknown} radiographs are left out: nobody looked for findings on them. Add masks, or list them in negatives.json.")
    shards = []
    for number, (patient, films) in enumerate(sorted(scenes.items())):
        name = f"collected-{number:04d}"
        split = "held_out_patient" if patient in held_out else "train"
        entry = {"name": name, "split": split, "patient": patient, "kind": "projection", "scenes": len(films)}
        shards.append(entry | {"sha256": write_shard(out / name, films, patient)})
    (out / "manifest.json").write_text(
        json.dumps({"seed": seed, "fold": fold, "folds": count, "learn_from": learn_from, "shards": shards}, indent=1)
    )
    (out / "held_out.txt").write_text("\n".join(sorted(held_out)) + "\n")


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    run(main)
