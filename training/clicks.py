"""Teach a model's segmenter points and boxes: ``python -m training.clicks --weights DIR --data CASES --out DIR [--minutes 12]``.

An extra stage after the paper's four, whose segmenter is only ever prompted by [SEG] states, and before the memory, which learns from the
decoder as it is here. SAM 2's prompt encoder and mask decoder learn; the picture encoder, the language model and the projector stay bit
for bit, so features and [SEG] states are computed once. A reader is simulated: a click well inside the object, a loose box around it, or
a mask that needs correcting, then clicks where drawn and true mask differ most, each with the mask before. Objects are the masks of a
scene, unions of two and parts of one, so that what is pointed at counts more than what has a name. Every step also draws the masks of the
pictures' own [SEG] states, which are to stay what they were before this stage: reports keep theirs.

The output folder holds the weights, ``losses.png`` and, with ``--scores``, the Dice of both kinds of prompts, before and after.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.progress import track as watched
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional

from ai_engine.model.hint import corrected
from ai_engine.model.language import Language
from ai_engine.model.prompt import Task
from ai_engine.model.segmenter import FIRST_CORNER, LAST_CORNER, NEGATIVE, NO_POINT, POSITIVE, Prompts, Segmenter, sure
from ai_engine.model.unified import UnifiedModel
from ai_engine.model.weights import load_weights, save_weights
from radiology.question import Point
from training.command import run
from training.data.cases import Case, Cases, Split
from training.evaluation.overlap import box_of, dice
from training.examples import Encoder
from training.joint import cached, compared
from training.packing import join
from training.parts import LABELS
from training.pictures import draw_losses
from training.stages import Augmentation, Stage, Weights

LEARNS, FROZEN = ("prompt_encoder.", "mask_decoder."), ("mask_decoder.conv_s", "mask_decoder.pred_obj_score_head.")
"""Names of SAM 2's parameters that learn, and of those among them that do not: the picture's features, and what the memory learns."""
STAGE = Stage(
    name="clicks",
    steps=20000,
    warmup_steps=60,
    final_rate=0.02,
    learning_rates={"segmenter": 5e-4},
    weights=Weights(token=0, dice=2, mask_cross_entropy=1, quality=0.5),
)
KEPT = {"state kept": 2.0, "state quality": 2.0}
"""Weights of the losses that hold the [SEG] states' masks."""
TASKS: tuple[tuple[Task, float], ...] = (("report", 0.7), ("segmentation", 0.3))
"""What the [SEG] states are of, and how often."""
STILL = Augmentation(zoom=0, stretch=0, bend=0, shift=0, turn_degrees=0, contrast=0, noise=0)
"""Held-out pictures are measured as they are."""
PICTURES, OBJECTS, STATES = 4, 2, 3
"""Pictures of a step, objects that are pointed at and [SEG] states that are drawn of each."""
CORRECTIONS = 2
"""At most so many clicks after the first prompt."""
LEAST_CELLS = 12
"""Smaller objects are not pointed at."""
LOOSE = 0.1
"""Standard deviation of a box's edges, as a share of its side."""
FIRST_PROMPTS: dict[First, float] = {"point": 0.45, "box": 0.25, "state": 0.2, "mask": 0.1}
"""What begins, and how often: a click, a box, a click on what a [SEG] state drew, or a mask alone that nearly fits."""
SAVED = 200
"""Weights and losses are written after so many steps, and at the end."""
CLICKS = (1, 2, 3, 5)
"""After so many clicks masks are measured."""

First = Literal["point", "box", "state", "mask"]
Pixels = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A picture as the decoder gets it.

    Attributes:
        features: finest first, [channel, row, column] in half precision.
        prompts: [mask, channel], projected [SEG] states.
        masks: [mask, row, column], what each of them is of, on twice the mask's grid; empty where it is not there.
        drawn: [mask, row, column], the logits that each of them draws on the mask's grid before this stage, in half precision.
        expected_iou: [mask], and the IoU that is expected of it.
        labels: of the masks.
    """

    features: list[Tensor]
    prompts: Tensor
    masks: Tensor
    drawn: Tensor
    expected_iou: Tensor
    labels: tuple[str, ...]

    @property
    def there(self) -> list[int]:
        """The masks that can be pointed at."""
        return [index for index, mask in enumerate(self.masks) if int(mask.sum()) >= LEAST_CELLS]


@torch.no_grad()
def prepare(model: UnifiedModel, encode: Encoder, case: Case, rng: np.random.Generator) -> Prepared | None:
    """Write a report or a segmentation of a case for its [SEG] states, and encode its picture; None where it has no mask."""
    tasks, shares = zip(*TASKS, strict=True)
    sample = encode.sample(case, rng, STAGE.weights, tasks[int(rng.choice(len(tasks), p=shares))])
    if sample.masks is None:
        return None
    targets = cached(model, join([sample], encode.language.seg))
    features, prompts = model.encode_image(targets.segmenter_pixels.float()), model.project(targets.states).float()
    drawn, expected_iou = model.decode_masks(features, prompts)
    labels = tuple(LABELS[label] for label in targets.mask_labels)
    return Prepared([level[0].half() for level in features], prompts, targets.masks > 0.5, drawn.half(), expected_iou, labels)


def ready(model: UnifiedModel) -> None:
    """Let weights that have never seen a point begin from what SAM 2 is: places of points count as the picture's cells do.

    A mask to correct says nothing at first.
    """
    if model.config.segmenter.pointable:
        return
    sam = model.grounding_encoder.sam2_model
    prompts = sam.prompt_encoder
    prompts.shared_embedding.positional_embedding.copy_(sam.shared_image_embedding.positional_embedding)
    nn.init.zeros_(prompts.mask_embed.conv3.weight)
    prompts.mask_embed.conv3.bias.data.copy_(prompts.no_mask_embed.weight[0].detach())


def freeze(segmenter: Segmenter) -> list[nn.Parameter]:
    """Let only prompts and decoder learn; return the parameters."""
    sam = segmenter.sam2_model
    learning = []
    for name, parameter in sam.named_parameters():
        parameter.requires_grad_(name.startswith(LEARNS) and not name.startswith(FROZEN))
        if parameter.requires_grad:
            learning.append(parameter)
    return learning


def an_object(picture: Prepared, first: First, rng: np.random.Generator) -> tuple[Pixels, int]:
    """Draw what is pointed at: a mask of a picture and its index, or with a box or a mask at times a union or a part of one."""
    index = int(rng.choice(picture.there))
    whole = np.asarray(picture.masks[index])
    if first in ("point", "state") or rng.random() < 0.5:
        return whole, index
    if rng.random() < 0.5:
        return whole | np.asarray(picture.masks[int(rng.choice(picture.there))]), index
    places = np.argwhere(whole)
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.indices(whole.shape)
    middle = places[int(rng.integers(len(places)))]
    part = whole & ((rows - middle[0]) * np.cos(angle) + (columns - middle[1]) * np.sin(angle) >= 0)
    return (part, index) if part.sum() >= LEAST_CELLS else (whole, index)


def inside(region: Pixels, rng: np.random.Generator | None = None) -> tuple[int, int]:
    """A place (row, column) well inside a region: the one farthest from its edge, or, drawn by ``rng``, at least half as far."""
    top, left, depth = _depth(region)
    deep = np.argwhere(depth == depth.max() if rng is None else depth >= depth.max() / 2)
    row, column = deep[0 if rng is None else int(rng.integers(len(deep)))]
    return top + int(row), left + int(column)


def _depth(region: Pixels) -> tuple[int, int, NDArray[np.float64]]:
    """How far each place of a region is from its edge, in the box around it, and where that begins."""
    box = box_of(region)
    assert box is not None
    cut = np.pad(region[box[0] : box[2], box[1] : box[3]], 1)
    return box[0], box[1], np.asarray(ndimage.distance_transform_edt(cut))[1:-1, 1:-1]


def correction(truth: Pixels, drawn: Pixels, rng: np.random.Generator | None = None) -> tuple[int, int, int]:
    """Where a reader clicks next, and with which sign: inside what was missed or what was drawn wrongly, whichever is thicker."""
    missed, wrong = truth & ~drawn, drawn & ~truth
    thickness = [_depth(region)[2].max() if region.any() else 0 for region in (missed, wrong)]
    if not any(thickness):
        return (*inside(truth, rng), POSITIVE)
    is_missed = thickness[0] >= thickness[1]
    return (*inside(missed if is_missed else wrong, rng), POSITIVE if is_missed else NEGATIVE)


def loose_box(truth: Pixels, rng: np.random.Generator) -> list[tuple[float, float, int]]:
    """The two corners of a box as a reader draws it, in cells."""
    box = box_of(truth)
    assert box is not None
    sides = np.tile([box[2] - box[0], box[3] - box[1]], 2)
    top, left, bottom, right = np.clip(box + np.clip(rng.normal(0, LOOSE, 4), -0.2, 0.2) * sides, 0, len(truth))
    return [(top - 0.5, left - 0.5, FIRST_CORNER), (bottom - 0.5, right - 0.5, LAST_CORNER)]


def nearly(truth: Pixels, rng: np.random.Generator) -> Pixels:
    """A mask that nearly fits: shifted, and a little larger or smaller."""
    moved = np.roll(truth, rng.integers(-4, 5, 2), (0, 1))
    resize = ndimage.binary_dilation if rng.random() < 0.5 else ndimage.binary_erosion
    return np.asarray(resize(moved, iterations=int(rng.integers(1, 4)))) if moved.sum() > 200 else moved


def cells(masks: Tensor) -> Tensor:
    """Masks [mask, row, column] on twice the mask's grid as the covered share of each of its cells."""
    return functional.avg_pool2d(masks.float(), 2)


def kept_loss(logits: Tensor, before: Tensor) -> Tensor:
    """How far masks [mask, row, column] are from what they were: their divergence, summed over pixels, against each mask's own size."""
    likely = before.sigmoid()
    lost = functional.binary_cross_entropy_with_logits(logits, likely, reduction="none")
    least = functional.binary_cross_entropy_with_logits(before, likely, reduction="none")
    return ((lost - least).flatten(1).sum(1) / (likely.flatten(1).sum(1) + LEAST_CELLS)).mean()


class Pointing:
    """A reader that points at one object of each of some pictures, and corrects what is drawn."""

    def __init__(self, segmenter: Segmenter, features: list[Tensor], truths: Sequence[Pixels], image_index: Tensor, size: int) -> None:
        """``size``: side of the segmenter's picture; ``truths`` lie on a grid over it, each on the picture of its index."""
        self._segmenter, self._features, self._index = segmenter, features, image_index
        self.truths = truths
        self._pixels = size / len(truths[0])
        self._points: list[list[tuple[float, float, int]]] = [[] for _ in truths]
        self._clicks: list[list[Point]] = [[] for _ in truths]
        self._before: Tensor | None = None

    def add(self, points: Sequence[Sequence[tuple[float, float, int]]]) -> None:
        """Point: for each object places (row, column) in cells with what they say."""
        for mine, more in zip(self._points, points, strict=True):
            mine += more
        self._clicks = [
            [Point(int(row), int(column), kind == POSITIVE) for row, column, kind in more if kind in (NEGATIVE, POSITIVE)]
            for more in points
        ]

    def start_from(self, masks: Sequence[Pixels]) -> None:
        """Take masks that others have drawn as what is to be corrected."""
        self._before = torch.from_numpy(np.stack(masks)).float()

    def correct(self, rng: np.random.Generator | None = None) -> None:
        """Click where what was drawn is wrong."""
        assert self._before is not None
        drawn = np.asarray(self._before > 0.5)
        self.add([[correction(truth, mask, rng)] for truth, mask in zip(self.truths, drawn, strict=True)])

    def draw(self) -> tuple[Tensor, Tensor]:
        """Return logits on the mask's grid and expected IoU; what is drawn is what the next click corrects."""
        most = max([1, *map(len, self._points)])
        placed = torch.tensor([[*mine, *[(0.0, 0.0, NO_POINT)] * (most - len(mine))] for mine in self._points])
        decoded = self._segmenter.decode(
            self._features,
            Prompts(
                points=(placed[..., :2] + 0.5) * self._pixels,
                kinds=placed[..., 2].int(),
                masks=None if self._before is None else sure(cells(self._before)),
            ),
            self._index,
        )
        side = len(self.truths[0])
        whole = functional.interpolate(decoded.logits.detach().float()[:, None], size=(side, side), mode="bilinear")[:, 0] > 0
        if self._before is not None and any(self._clicks):
            pairs = zip(self.drawn, np.asarray(whole), self._clicks, strict=True)
            whole = torch.from_numpy(np.stack([corrected(before, drawn, clicks) for before, drawn, clicks in pairs]))
        self._before = whole.float()
        return decoded.logits, decoded.expected_iou

    @property
    def drawn(self) -> Pixels:
        """[object, row, column], what was drawn last."""
        assert self._before is not None
        return np.asarray(self._before > 0.5)


def step_losses(segmenter: Segmenter, pictures: Sequence[Prepared], size: int, rng: np.random.Generator) -> dict[str, Tensor]:
    """One step: some of the pictures' own [SEG] states, then objects that are pointed at and corrected."""
    features = [torch.stack([each.float() for each in level]) for level in zip(*(each.features for each in pictures), strict=True)]
    states = [(number, int(index)) for number, each in enumerate(pictures) for index in rng.permutation(len(each.masks))[:STATES]]
    prompts = torch.stack([pictures[number].prompts[index] for number, index in states])
    before = torch.stack([pictures[number].drawn[index] for number, index in states]).float()
    expected = torch.stack([pictures[number].expected_iou[index] for number, index in states])
    drawn = segmenter.decode(features, Prompts(prompts), torch.tensor([number for number, _ in states]))
    losses = {"state kept": kept_loss(drawn.logits, before), "state quality": functional.mse_loss(drawn.expected_iou, expected)}

    first = list(FIRST_PROMPTS)[int(rng.choice(len(FIRST_PROMPTS), p=list(FIRST_PROMPTS.values())))]
    numbers = [number for number, each in enumerate(pictures) if each.there for _ in range(OBJECTS)]
    if not numbers:
        return losses
    objects = [an_object(pictures[number], first, rng) for number in numbers]
    pointing = Pointing(segmenter, features, [truth for truth, _ in objects], torch.tensor(numbers), size)
    if first == "point":
        pointing.add([[(*inside(truth, rng), POSITIVE)] for truth in pointing.truths])
    elif first == "box":
        pointing.add([loose_box(truth, rng) for truth in pointing.truths])
    elif first == "mask":
        pointing.start_from([nearly(truth, rng) for truth in pointing.truths])
    else:
        own = torch.stack([pictures[number].prompts[index] for number, (_, index) in zip(numbers, objects, strict=True)])
        pointing.start_from(_drawn_by_states(segmenter, features, own, torch.tensor(numbers), len(pointing.truths[0])))
        pointing.correct(rng)
    truths = cells(torch.from_numpy(np.stack(pointing.truths)))
    rounds = [compared(*pointing.draw(), truths, STAGE.weights)]
    for _ in range(int(rng.integers(1, CORRECTIONS + 1))):
        pointing.correct(rng)
        rounds.append(compared(*pointing.draw(), truths, STAGE.weights))
    return losses | {f"click {name}": torch.stack([each[name] for each in rounds]).mean() for name in rounds[0]}


@torch.no_grad()
def _drawn_by_states(segmenter: Segmenter, features: list[Tensor], prompts: Tensor, image_index: Tensor, side: int) -> Pixels:
    """[mask, side, side]: what projected [SEG] states draw."""
    logits = segmenter.decode(features, Prompts(prompts), image_index).logits.float()
    return np.asarray(functional.interpolate(logits[:, None], size=(side, side), mode="bilinear")[:, 0] > 0)


def learn(model: UnifiedModel, pictures: Sequence[Prepared], stage: Stage, seed: int) -> Iterator[dict[str, Any]]:
    """Train prompts and decoder on prepared pictures, over and over, until the stage ends.

    Yields an entry for :func:`training.pictures.draw_losses` after every step.
    """
    segmenter = model.grounding_encoder
    ready(model)
    parameters, peak = freeze(segmenter), stage.learning_rates["segmenter"]
    optimizer = torch.optim.AdamW(parameters, lr=peak, betas=(0.9, 0.95), weight_decay=0.01, fused=True)
    rng = np.random.default_rng((seed, 1))
    order = (int(index) for _ in iter(int, 1) for index in rng.permutation(len(pictures)))
    started = time.monotonic()
    for step in count():
        seconds = time.monotonic() - started
        share = stage.share(step, 0, seconds)
        if share >= 1:
            break
        rate = peak * stage.rate(step, share)
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = [pictures[index] for index in islice(order, PICTURES)]
        losses = step_losses(segmenter, batch, model.config.segmenter_size, rng)
        weights = {name: KEPT[name] if name in KEPT else stage.weights.of(name.split()[1]) for name in losses}
        total = torch.stack([weights[name] * loss for name, loss in losses.items()]).sum()
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        if nn.utils.clip_grad_norm_(parameters, 1.0).isfinite():
            optimizer.step()
        place = {"stage": stage.name, "step": step, "samples": (step + 1) * PICTURES, "seconds": round(seconds, 2), "rate": rate}
        yield place | {"total": total.item()} | {name: loss.item() for name, loss in losses.items()}


@torch.no_grad()
def measure(model: UnifiedModel, pictures: Sequence[Prepared], seed: int = 0) -> dict[str, Any]:
    """Mean Dice on the mask's doubled grid, of all masks and of each name.

    Returns:
        ``states``: of what the [SEG] states draw, where the object is there; ``absent``: the IoU that is expected of what is not.
        ``clicks``: after so many, each where most was wrong; ``box``: a loose one; ``box and click``; ``state and click``.
    """
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    absent: list[float] = []

    def note(what: str, drawn: Pixels, labels: Sequence[str], truths: Sequence[Pixels]) -> None:
        for label, truth, mask in zip(labels, truths, drawn, strict=True):
            for name in ("all", label):
                found[what][name].append(dice(mask, truth))

    for number, picture in enumerate(pictures):
        features = [level[None].float() for level in picture.features]
        expected = model.decode_masks(features, picture.prompts)[1]
        absent += [float(iou) for iou, mask in zip(expected, picture.masks, strict=True) if not mask.any()]
        there = picture.there
        if not there:
            continue
        labels, truths = zip(*((picture.labels[each], np.asarray(picture.masks[each])) for each in there), strict=True)
        index = torch.zeros(len(there), dtype=torch.long)
        by_state = _drawn_by_states(model.grounding_encoder, features, picture.prompts[there], index, len(truths[0]))

        note("states", by_state, labels, truths)
        pointings = [Pointing(model.grounding_encoder, features, truths, index, model.config.segmenter_size) for _ in range(3)]
        clicked, boxed, stated = pointings
        clicked.add([[(*inside(truth), POSITIVE)] for truth in truths])
        for clicks in range(1, max(CLICKS) + 1):
            clicked.draw()
            if clicks in CLICKS:
                note(f"clicks {clicks}", clicked.drawn, labels, truths)
            clicked.correct()
        rng = np.random.default_rng((seed, number))
        boxed.add([loose_box(truth, rng) for truth in truths])
        boxed.draw()
        note("box", boxed.drawn, labels, truths)
        boxed.correct()
        boxed.draw()
        note("box and click", boxed.drawn, labels, truths)
        stated.start_from(list(by_state))
        stated.correct()
        stated.draw()
        note("state and click", stated.drawn, labels, truths)
    means = {
        what: {name: {"n": len(values), "dice": round(float(np.mean(values)), 4)} for name, values in sorted(names.items())}
        for what, names in found.items()
    }
    return means | {"absent": {"n": len(absent), "expected_iou": round(float(np.mean(absent)), 4) if absent else None}}


def prepared_of(
    model: UnifiedModel, language: Language, cases: Cases, wanted: int, how: Augmentation, rng: np.random.Generator
) -> list[Prepared]:
    """Up to ``wanted`` prepared pictures, evenly chosen; one may be seen several times, each time a little differently."""
    encode = Encoder(model, language, how)
    chosen = (cases[index * len(cases) // wanted % len(cases)] for index in range(wanted))
    prepared = (prepare(model, encode, case, rng) for case in watched(chosen, "pictures", total=wanted, transient=True))
    return [each for each in prepared if each is not None]


def main(
    weights: Annotated[Path, typer.Option(help="Weights to start from: after the joint stages, before the memory.")],
    data: Annotated[Path, typer.Option(help="Folder of training.data.cases.")],
    out: Annotated[Path, typer.Option(help="Where the weights that take points and boxes go, and the picture of the losses.")],
    minutes: Annotated[float, typer.Option(help="Of training, after the pictures are prepared.")] = 12,
    pictures: Annotated[int, typer.Option(help="Pictures to learn from; they are kept in memory, half a MB each.")] = 300,
    scores: Annotated[Path | None, typer.Option(help="Measure on held-out pictures, and write the figures here (JSON).")] = None,
    measured: Annotated[int, typer.Option(help="Pictures of each held-out split to measure on.")] = 60,
    seed: Annotated[int, typer.Option(help="Of pictures, wording, order and clicks.")] = 0,
) -> None:
    """Train SAM 2's prompt encoder and mask decoder on simulated clicks and boxes, and nothing else."""
    torch.set_num_threads(1)
    model, language, _ = load_weights(weights)
    splits: tuple[Split, ...] = ("held_out_scenes", "held_out_patient") if scores else ()
    held_out = {
        split: prepared_of(model, language, Cases(data, split), measured, STILL, np.random.default_rng((seed, 2))) for split in splits
    }
    before = {split: measure(model, seen) for split, seen in held_out.items()}
    started = time.monotonic()
    prepared = prepared_of(model, language, Cases(data, "train"), pictures, Augmentation(), np.random.default_rng(seed))
    print(f"{len(prepared)} pictures prepared in {time.monotonic() - started:.0f} s", flush=True)
    log: list[dict[str, Any]] = []
    for entry in learn(model, prepared, STAGE.model_copy(update={"minutes": minutes}), seed):
        log.append(entry)
        if len(log) % SAVED == 0:
            last = {name: np.mean([each[name] for each in log[-SAVED:] if name in each]) for name in sorted(entry) if " " in name}
            told = "  ".join(f"{name} {value:.3f}" for name, value in last.items())
            print(f"clicks step {len(log)}: {told}; {entry['samples'] / entry['seconds']:.1f} pictures/s", flush=True)
            write(model, language, log, out)
    write(model, language, log, out)
    if scores is not None:
        figures = {split: {"before": before[split], "after": measure(model, seen)} for split, seen in held_out.items()}
        scores.write_text(json.dumps({"pictures": measured, "steps": len(log)} | figures, indent=1) + "\n")
        print(json.dumps(figures, indent=1))


def write(model: UnifiedModel, language: Language, log: Sequence[dict[str, Any]], out: Path) -> None:
    """Leave weights that say that they take points and boxes, and the picture of the losses, in ``out``."""
    segmenter = model.config.segmenter.model_copy(update={"pointable": True})
    model.config = model.config.model_copy(update={"segmenter": segmenter})
    save_weights(out, model, language)
    draw_losses(log, out / "losses.png")


if __name__ == "__main__":
    run(main)
