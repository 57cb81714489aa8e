"""Pictures of a training run: its losses, and what the model reads in a few scenes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import numpy as np
import torch
from matplotlib import pyplot
from matplotlib.patches import Polygon

from ai_engine.model.assistant import Assistant
from ai_engine.model.images import windowed
from ai_engine.model.language import Language
from ai_engine.model.unified import UnifiedModel
from radiology.errors import UnreadableAnswer
from radiology.terms import TERMS
from training.data.cases import Case
from training.examples import Encoder
from training.joint import Learner
from training.parts import LABELS
from training.stages import Weights

NOT_LOSSES = {"stage", "step", "samples", "seconds", "rate"}


def draw_losses(log: Sequence[dict[str, Any]], path: Path, span: int = 25) -> None:
    """One panel a loss, against samples seen, as a running mean over ``span`` steps; a line where a stage begins."""
    names = sorted({name for entry in log for name in entry} - NOT_LOSSES)
    figure, panels = pyplot.subplots(1, len(names), figsize=(4 * len(names), 3.2), squeeze=False)
    starts = [entry["samples"] for before, entry in pairwise(log) if before["stage"] != entry["stage"]]
    for panel, name in zip(panels[0], names, strict=True):
        for _, stage in groupby(log, key=lambda entry: entry["stage"]):
            seen = [(entry["samples"], entry[name]) for entry in stage if name in entry]
            if seen:
                samples, values = np.array(seen, float).T
                width = min(span, len(values))
                panel.plot(samples[width - 1 :], np.convolve(values, np.ones(width) / width, "valid"), color="tab:blue")
        for start in starts:
            panel.axvline(start, color="grey", lw=0.5)
        panel.set(title=name.replace("_", " "), xlabel="samples", yscale="log")
    # Margins in inches of 4 inches a panel; tight_layout would take longer than a training step.
    figure.subplots_adjust(left=0.28 / len(names), right=1 - 0.02 / len(names), bottom=0.15, wspace=0.3)
    figure.savefig(path, dpi=90)
    pyplot.close(figure)


def draw_readings(model: UnifiedModel, language: Language, cases: Sequence[Case], path: Path, count: int = 4) -> None:
    """The model's masks, boxes and sentences on the first ``count`` scenes, beside the truth."""
    training = model.training
    assistant = Assistant(model.eval(), language, maximum_new_tokens=300)
    count = min(count, len(cases))
    figure, panels = pyplot.subplots(2, count, figsize=(4.2 * count, 9.5), squeeze=False)
    for column in range(count):
        case = cases[column * len(cases) // count]
        grey = windowed(case.image.astype(np.float32), case.kind)[0]
        truth, read = panels[0][column], panels[1][column]
        for panel in (truth, read):
            panel.imshow(grey, cmap="gray", vmin=0, vmax=255)
            panel.set_axis_off()
        for label, mask in case.masks.items():
            truth.contour(mask, [0.5], colors=[_colour(label)], linewidths=1)
        truth.set_title("truth: " + ", ".join(sorted(case.masks)), fontsize=7, wrap=True)
        try:
            reading = assistant.read(case.image.astype(np.float32), case.kind)
        except UnreadableAnswer:
            read.set_title("unreadable answer", fontsize=7)
            continue
        for sentence in reading.sentences:
            for place in sentence.places:
                if place.mask is not None and place.mask.pixels.any():
                    read.contour(place.mask.pixels, [0.5], colors=[_colour(sentence.name)], linewidths=1)
                if place.box is not None:
                    top, left, bottom, right = place.box
                    corners = [(left, top), (right, top), (right, bottom), (left, bottom)]
                    read.add_patch(Polygon(corners, fill=False, edgecolor=_colour(sentence.name), linewidth=0.8, linestyle=":"))
        read.set_title("\n".join(sentence.text for sentence in reading.sentences), fontsize=6)
    figure.tight_layout()
    figure.savefig(path, dpi=70)
    pyplot.close(figure)
    model.train(training)


def draw_masks(learner: Learner, encode: Encoder, cases: Sequence[Case], path: Path, count: int = 4) -> None:
    """The masks that the segmenter draws for the labels of ``count`` scenes, varied as in training, beside the truth."""
    count = min(count, len(cases))
    chosen = [cases[column * len(cases) // count] for column in range(count)]
    pictures = encode.pictures(chosen, [np.random.default_rng(column) for column in range(count)], Weights(token=0))
    if pictures.segmenter_pixels is None:
        return
    with torch.no_grad():
        logits = learner.draw(pictures.to(next(learner.parameters()).device)).float().cpu()
    figure, panels = pyplot.subplots(2, count, figsize=(4.2 * count, 9.5), squeeze=False)
    side = pictures.masks.shape[-1]
    for column in range(count):
        mine = [(LABELS[pictures.mask_labels[mask]], mask) for mask in torch.nonzero(pictures.mask_images == column).flatten().tolist()]
        for panel, name, grids in (
            (panels[0][column], "truth", pictures.masks.numpy() - 0.5),
            (panels[1][column], "drawn", logits.numpy()),
        ):
            panel.imshow(pictures.segmenter_pixels[column, 0].numpy(), cmap="gray", extent=(-0.5, side - 0.5, side - 0.5, -0.5))
            panel.set_axis_off()
            for label, mask in mine:
                panel.contour(grids[mask], [0.0], colors=[_colour(label)], linewidths=1)
            panel.set_title(f"{name}: " + ", ".join(label for label, _ in mine), fontsize=7, wrap=True)
    figure.tight_layout()
    figure.savefig(path, dpi=70)
    pyplot.close(figure)


def _colour(label: str) -> tuple[float, ...]:
    for name, term in TERMS.items():
        if name and label.endswith(name):
            return tuple(channel / 255 for channel in term.colour)
    return (1.0, 1.0, 1.0)
