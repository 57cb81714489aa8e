"""Packing against padding: ``python -m benchmarks.packing [--samples N] [--rounds N] [--threads N] [--masks] [--json FILE]``.

The same samples of a mixed stage 3 (texts of 10 to 1024 tokens, as the paper's quality filter keeps them, even on a logarithmic scale, or
up to ``--longest-text``; short questions, detection and segmentation on images; reports), the same weights, the same tokens in every
step: packed, a step is one row that best-fit fills; padded, it is a batch of as many samples as fit if each is as long as the longest,
and all are padded to that. ``speedup`` is the ratio of samples per processor second, through forward, backward and the optimizer's
update. ``speedup_over_batches`` is that over batches which are padded to their own longest sample only, so that their steps are smaller.
Padding is on the right and needs no mask, its fastest form. ``loss_difference`` is that of the mean token loss over all supervised
tokens. The model has the 8b model's proportions between language model and vision tower, which sees every image by itself in either way,
as the segmenter does (``--masks`` adds it).
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch.nn import functional

from ai_engine.model.config import SMALL, TextConfig
from ai_engine.model.language import Language
from ai_engine.model.prompt import Task
from ai_engine.model.unified import UnifiedModel
from training.command import run
from training.data.cases import Case
from training.examples import Encoder, texts
from training.joint import Learner, Scaffold, total
from training.packing import IGNORED, Row, Sample, join, pack
from training.stages import Augmentation, Stage, Weights, multiplies_bfloat16

SHARES: dict[Task | None, float] = {None: 0.65, "question": 0.17, "detection": 0.05, "segmentation": 0.05, "report": 0.08}
"""What the set is mixed from; None is a question and an answer without an image."""
SHORTEST_TEXT = 10
SIZE = SMALL.model_copy(
    update={
        "text": TextConfig(hidden_size=512, layers=4, heads=8, key_value_heads=2, intermediate_size=1408, mrope_section=(1,) * 32),
    }
)
_SIDE = 96


def chest(rng: np.random.Generator) -> Case:
    """A phantom radiograph; what it shows does not matter for the time that it takes."""
    rows, columns = np.mgrid[:_SIDE, :_SIDE]
    places = {"right lung": (46, 28, 30, 15), "left lung": (46, 68, 30, 15), "mediastinum": (52, 48, 28, 9)}
    if rng.random() < 0.5:
        places["left nodule"] = (round(rng.uniform(35, 55)), 68, 5, 5)
    masks = {
        label: np.asarray(((rows - row) / height) ** 2 + ((columns - column) / width) ** 2 < 1)
        for label, (row, column, height, width) in places.items()
    }
    return Case("phantom", "phantom", "projection", rng.normal(100, 20, (_SIDE, _SIDE)).astype(np.int16), masks)


def mixed(encode: Encoder, count: int, weights: Weights, longest_text: int) -> list[Sample]:
    """The samples, in the order in which both ways meet them."""
    rng = np.random.default_rng(0)
    tasks = [list(SHARES)[index] for index in rng.choice(len(SHARES), count, p=list(SHARES.values()))]
    lengths = np.exp(rng.uniform(np.log(SHORTEST_TEXT), np.log(longest_text), count)).round().astype(int)
    return [
        _text(rng, int(length), len(encode.language)) if task is None else encode.sample(chest(rng), rng, weights, task)
        for task, length in zip(tasks, lengths, strict=True)
    ]


def _text(rng: np.random.Generator, length: int, vocabulary: int) -> Sample:
    ids = torch.from_numpy(rng.integers(vocabulary // 2, vocabulary, length))
    labels = torch.where(torch.arange(len(ids)) < len(ids) // 2, IGNORED, ids)
    return Sample(ids, labels, torch.arange(len(ids)).expand(3, -1))


def padded(samples: Sequence[Sample], seg_token: int, length: int) -> Row:
    """One batch [sample, token], padded on the right to ``length``."""
    row = join(samples, seg_token)
    lengths = torch.tensor([len(sample.input_ids) for sample in samples])
    starts = lengths.cumsum(0) - lengths
    sample = torch.searchsorted(starts, row.mask_places[:, 1].contiguous(), right=True) - 1

    def batched(values: torch.Tensor, filler: int) -> torch.Tensor:
        """[..., token of the row] as [..., sample, token]."""
        parts = [functional.pad(part, (0, length - part.shape[-1]), value=filler) for part in values.split(lengths.tolist(), -1)]
        return torch.stack(parts, -2)

    return replace(
        row,
        input_ids=batched(row.input_ids[0], 0),
        labels=batched(row.labels[0], IGNORED),
        position_ids=batched(row.position_ids[:, 0], 0),
        mask_places=torch.stack([sample, row.mask_places[:, 1] - starts[sample]], 1),
    )


def mean_loss(learner: Learner, rows: Sequence[Row], stage: Stage) -> float:
    """The token loss over all supervised tokens of ``rows``."""
    tokens = [int((row.labels[:, 1:] != IGNORED).sum()) for row in rows]
    with torch.no_grad():
        losses = [learner(row, stage)["token"].item() for row in rows]
    return float(np.average(losses, weights=tokens))


def seconds_of(learner: Learner, rows: Sequence[Row], stage: Stage) -> float:
    """Processor seconds of one step on each of ``rows``, so that whoever else computes does not blur the ratio."""
    optimizer = torch.optim.AdamW(learner.parameters(), lr=0.0, fused=True)
    begun = time.process_time()
    for row in rows:
        with torch.autocast("cpu", torch.bfloat16, enabled=multiplies_bfloat16()):
            loss = total(learner(row, stage), stage.weights)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return time.process_time() - begun


def main(
    samples: Annotated[int, typer.Option(help="Samples of the set.")] = 96,
    rounds: Annotated[int, typer.Option(help="How often the set is gone through in each way.")] = 3,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
    row_tokens: Annotated[int, typer.Option(help="Tokens of a step, of which the padded way may use a few less.")] = 2048,
    longest_text: Annotated[int, typer.Option(help="Tokens of the longest text; lengths are even on a logarithmic scale.")] = 1024,
    masks: Annotated[bool, typer.Option(help="Learn masks too.")] = False,
    file: Annotated[Path | None, typer.Option("--json", help="Where the figures go.")] = None,
) -> None:
    """Measure both ways, in turn."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    weights = Weights(token=1, dice=2 * masks, mask_cross_entropy=1 * masks)
    stage = Stage(name="3", steps=1, learning_rates={"language": 1e-5}, weights=weights, mask_gradient_scale=0.001)
    rng = np.random.default_rng(0)
    language = Language.train(texts([chest(rng) for _ in range(20)], 0), SIZE.vocabulary_size, SIZE.image_size)
    model = UnifiedModel(SIZE, language).train()
    learner = Learner(model, Scaffold(SIZE))
    encoded = mixed(Encoder(model, language, Augmentation()), samples, weights, longest_text)
    lengths = [len(sample.input_ids) for sample in encoded]
    batches = [encoded[first : first + row_tokens // max(lengths)] for first in range(0, samples, row_tokens // max(lengths))]
    ways: dict[str, list[Row]] = {
        "packed": pack(encoded, row_tokens, language.seg, _refuse),
        "padded": [padded(batch, language.seg, max(lengths)) for batch in batches],
        "padded_to_batch": [padded(batch, language.seg, max(len(each.input_ids) for each in batch)) for batch in batches],
    }
    losses = {way: mean_loss(learner, ways[way], stage) for way in ("packed", "padded")}
    for rows in ways.values():  # kernels are made for each shape when it is first met
        seconds_of(learner, rows[:2], stage)
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, rows in ways.items():
            taken[way].append(seconds_of(learner, rows, stage))
    speedups = {way: [slow / fast for slow, fast in zip(taken[way], taken["packed"], strict=True)] for way in ways}
    figures = {
        "speedup": statistics.median(speedups["padded"]),
        "speedup_range": [min(speedups["padded"]), max(speedups["padded"])],
        "speedup_over_batches": statistics.median(speedups["padded_to_batch"]),
        "loss_difference": abs(losses["packed"] - losses["padded"]) / losses["padded"],
        "samples_per_processor_second": {way: samples / statistics.median(seconds) for way, seconds in taken.items()},
        "steps": {way: len(rows) for way, rows in ways.items()},
        "tokens": {"mean": statistics.mean(lengths), "longest": max(lengths), "row": row_tokens},
        "masks": masks,
        "machine": f"{platform.processor() or platform.machine()}, {threads} thread(s), torch {torch.__version__}",
    }
    print(json.dumps(figures, indent=2))
    if file:
        file.write_text(json.dumps(figures, indent=2) + "\n")


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is longer than a row.")


if __name__ == "__main__":
    run(main)
