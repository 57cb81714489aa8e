"""A plain U-Net beside the model: ``python -m benchmarks.unet --data DIR --minutes M --cases FILMS --json FILE``.

It has as many parameters as the whole small model, sees the same three channels of the same scenes with the same variation, for as many
minutes of one CPU core, and is scored by the same figures. It draws lungs, mediastinum and opacity, and writes nothing: a side has
opacity where enough of its lung is drawn over, by a threshold that is chosen on the held-out scenes. It never says anything of other
findings, which spares it false ones. ``--out`` keeps the weights, ``--start`` goes on from kept ones, for example on collected cases.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from torch import Tensor, nn
from torch.nn import functional

from ai_engine.model.images import Kind, Letterbox, windowed
from ai_engine.model.reading import Reading
from radiology.finding import Side
from training.command import run
from training.data.cases import Case, Cases
from training.evaluate import evaluate, print_headline
from training.evaluation.counts import Tally
from training.evaluation.drawn import Drawn, reading_of
from training.evaluation.figures import rounded
from training.evaluation.measured import FINDINGS
from training.evaluation.overlap import Mask
from training.evaluation.truth import SIDES, read_truths, scenes
from training.examples import varied
from training.parts import name_of
from training.stages import Augmentation, multiplies_bfloat16

SIZE = 256
"""Side of its picture, as large as the segmenter's; it draws on a grid of half of that, like the segmenter's training masks."""
LABELS = ("right lung", "left lung", "mediastinum", "opacity")
WIDTHS = (32, 64, 128, 256, 512)
BATCH = 8
PEAK_RATE = 1e-3
WARMUP_STEPS = 30
OPACITY = FINDINGS["opacity"]
CERTAIN_SHARE = 0.01
"""The probability of opacity is the mean of this share of a lung's pixels, of those that most look like it."""


class UNet(nn.Module):
    """Ronneberger et al. 2015, with a first step of two pixels, group norm, padded convolutions and bilinear upsampling.

    7.9 million parameters.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTHS[0], 7, stride=2, padding=3)
        self.down = nn.ModuleList(_block(before, after) for before, after in zip((WIDTHS[0], *WIDTHS), WIDTHS, strict=False))
        self.up = nn.ModuleList(_block(low + high, high) for low, high in zip(WIDTHS[:0:-1], WIDTHS[-2::-1], strict=True))
        self.head = nn.Conv2d(WIDTHS[0], len(LABELS), 1)

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures [N, 3, SIZE, SIZE] to logits [N, label, SIZE / 2, SIZE / 2]."""
        there, skipped = self.stem(pictures), []
        for depth, block in enumerate(self.down):
            there = block(functional.max_pool2d(there, 2) if depth else there)
            skipped.append(there)
        for block, beside in zip(self.up, skipped[-2::-1], strict=True):
            there = functional.interpolate(there, scale_factor=2, mode="bilinear", align_corners=False)
            there = block(torch.cat([there, beside], 1))
        logits: Tensor = self.head(there)
        return logits


def _block(before: int, after: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (before, after):
        layers += [nn.Conv2d(channels, after, 3, padding=1, bias=False), nn.GroupNorm(8, after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def picture_of(array: NDArray[np.float32], kind: Kind, letterbox: Letterbox) -> Tensor:
    """[3, SIZE, SIZE], about -1 to 1, of an image (row, column)."""
    return torch.from_numpy(letterbox.image(windowed(array, kind)) / 127.5 - 1)


def example(case: Case, how: Augmentation, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """A case, varied: its picture, and which part of each cell each label covers [label, SIZE / 2, SIZE / 2]."""
    called = {label: "opacity" if name_of(label) in OPACITY else label for label in case.masks}
    image, masks = varied(replace(case, masks={label: mask for label, mask in case.masks.items() if called[label] in LABELS}), how, rng)
    letterbox = Letterbox.fit((image.shape[0], image.shape[1]), SIZE)
    target = np.zeros((len(LABELS), SIZE // 2, SIZE // 2), np.float32)
    for label, mask in masks.items():
        place = LABELS.index(called[label])
        target[place] = np.maximum(target[place], letterbox.mask_to_model(mask, SIZE // 2))
    return picture_of(image, case.kind, letterbox), torch.from_numpy(target)


def batches(cases: Cases, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of projections."""
    rng = np.random.default_rng(seed)
    films = [index for index in range(len(cases)) if cases.kind(index) == "projection"]
    while True:
        drawn = [example(cases[films[index]], Augmentation(), rng) for index in rng.integers(len(films), size=BATCH)]
        yield torch.stack([picture for picture, _ in drawn]), torch.stack([target for _, target in drawn])


def loss_of(logits: Tensor, target: Tensor) -> Tensor:
    """Dice (of each label, over the batch) and cross-entropy, weighed 2 to 1 like the model's own masks."""
    probability = logits.sigmoid()
    common = (probability * target).sum((0, 2, 3))
    dice = 1 - (2 * common + 1) / ((probability + target).sum((0, 2, 3)) + 1)
    return 2 * dice.mean() + functional.binary_cross_entropy_with_logits(logits, target)


def fit(net: UNet, cases: Cases, minutes: float, seed: int = 0, peak_rate: float = PEAK_RATE) -> int:
    """Train for so many minutes of CPU time, the rate falling along a cosine; return the number of images seen."""
    net.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=peak_rate, weight_decay=0.05, fused=True)
    started, step, spoken = time.process_time(), 0, 0.0
    for pictures, target in batches(cases, seed):
        done = (time.process_time() - started) / (60 * minutes)
        if done >= 1:
            break
        rate = min(1.0, (step + 1) / WARMUP_STEPS) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))
        for group in optimizer.param_groups:
            group["lr"] = peak_rate * rate
        with torch.autocast("cpu", torch.bfloat16, enabled=multiplies_bfloat16()):
            logits = net(pictures.contiguous(memory_format=torch.channels_last))
        loss = loss_of(logits.float(), target)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        step += 1
        if done >= spoken:
            print(f"{done:4.0%}  step {step}  loss {loss.item():.3f}", flush=True)
            spoken += 0.05
    net.eval()
    return step * BATCH


class Reader:
    """A U-Net that reads images like the model does.

    Attributes:
        threshold: opacity is there where it is drawn over more than this share of a lung.
    """

    def __init__(self, net: UNet, threshold: float) -> None:
        self.net, self.threshold = net, threshold

    @torch.no_grad()
    def logits(self, array: NDArray[np.float32], kind: Kind) -> NDArray[np.float32]:
        """Logits [label, row, column] at the source's size."""
        letterbox = Letterbox.fit((array.shape[0], array.shape[1]), SIZE)
        drawn = self.net(picture_of(array, kind, letterbox)[None])[0].float().numpy()
        return np.stack([letterbox.logits_to_source(each) for each in drawn])

    def opacity(self, logits: NDArray[np.float32]) -> dict[Side, tuple[Mask, float, float]]:
        """Of each side: what is drawn, the share of the lung that it takes, and the probability that it is there."""
        lungs = {side: logits[place] > 0 for place, side in enumerate(SIDES)}
        middle = np.mean([np.nonzero(lung)[1].mean() if lung.any() else lung.shape[1] / 2 for lung in lungs.values()])
        left = np.broadcast_to(np.arange(logits.shape[2]) >= middle, logits.shape[1:])
        found = {}
        for side, half in ((Side.RIGHT, ~left), (Side.LEFT, left)):
            drawn = (logits[3] > 0) & half
            area = max(1, int(lungs[side].sum()))
            likeliest = np.sort(logits[3][half])[-max(1, round(CERTAIN_SHARE * area)) :]
            found[side] = drawn, float(drawn.sum()) / area, float((1 / (1 + np.exp(-likeliest))).mean())
        return found

    def read_many(self, arrays: Sequence[NDArray[np.float32]], kind: Kind) -> list[Reading]:
        """Say what is drawn; opacity is called consolidation, which the figures count as the same."""
        return [self._read(array, kind) for array in arrays]

    def _read(self, array: NDArray[np.float32], kind: Kind) -> Reading:
        logits = self.logits(array, kind)
        drawn = {
            label: Drawn(mask, float((1 / (1 + np.exp(-logits[place][mask]))).mean()) if mask.any() else 0.0)
            for place, label in enumerate(LABELS[:3])
            for mask in [logits[place] > 0]
        }
        for side, (mask, share, probability) in self.opacity(logits).items():
            there = share > self.threshold
            drawn[f"{side} consolidation"] = Drawn(mask if there else np.zeros_like(mask), probability)
        return reading_of(drawn)


def choose_threshold(net: UNet, data: Path, limit: int = 96) -> float:
    """The share of a lung that gives the highest F1, by side, on the held-out scenes."""
    reader = Reader(net, 0.0)
    answers: list[tuple[float, bool]] = []
    for truth in scenes(data, "held_out_scenes", limit):
        if truth.kind == "projection":
            found = reader.opacity(reader.logits(truth.image, truth.kind))
            answers += [(found[side][1], bool(truth.where(OPACITY, side).any())) for side in SIDES]
    candidates = (0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2)
    return max(candidates, key=lambda least: Tally.of((share > least, there) for share, there in answers).f1 or 0.0)


def main(
    data: Annotated[Path, typer.Option(help="Cases of training.data.cases; the train split is learned from.")],
    minutes: Annotated[float, typer.Option(help="Minutes of CPU time, on one thread: other work on the machine takes none of it.")],
    cases: Annotated[Path, typer.Option(help="What it is scored on, as for training.evaluate.")],
    json_file: Annotated[Path, typer.Option("--json", help="Where the figures go.")],
    start: Annotated[Path | None, typer.Option(help="Go on from these weights; the threshold, too, is kept.")] = None,
    out: Annotated[Path | None, typer.Option(help="Keep the weights in this file.")] = None,
    patients: Annotated[Path | None, typer.Option(help="Score only these patients, one a line.")] = None,
    rate: Annotated[float, typer.Option(help="Highest learning rate.")] = PEAK_RATE,
    seed: Annotated[int, typer.Option(help="Of weights, order and variation.")] = 0,
) -> None:
    """Train and score a U-Net."""
    truths = read_truths(cases, patients=patients.read_text().split() if patients else None)
    torch.set_num_threads(1)
    torch.manual_seed(seed)
    net = UNet()
    threshold = None
    if start is not None:
        kept = torch.load(start, weights_only=True)
        net.load_state_dict(kept["net"])
        threshold = float(kept["threshold"])
    images = fit(net, Cases(data, "train"), minutes, seed, rate) if minutes else 0
    if threshold is None:
        threshold = choose_threshold(net, data)
    if out is not None:
        torch.save({"net": net.state_dict(), "threshold": threshold}, out)
    figures = evaluate(Reader(net, threshold), truths)
    result = {
        "reader": "U-Net",
        "parameters": sum(parameter.numel() for parameter in net.parameters()),
        "minutes": minutes,
        "images_seen": images,
        "threshold": threshold,
        **rounded(figures),
    }
    json_file.write_text(json.dumps(result, indent=1) + "\n")
    print_headline(result, Console())


if __name__ == "__main__":
    run(main)
