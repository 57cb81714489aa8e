"""Teach a model's segmenter to remember: ``python -m training.memory --weights DIR --out DIR [--minutes 8] [--scores FILE]``.

An extra stage after the paper's four, which have no memory: only SAM 2's memory learns, everything else stays bit for bit. On the
first slice of a clip the masks are known or decoded from their [SEG] states; on the following ones they are drawn with the memory
and compared with the truth. A segmenter that takes points (:mod:`training.clicks` comes before this stage) also learns to carry a mask
of which nothing is said, as a reader draws one. Encoder, language model and decoder are frozen, so features and [SEG] states are
computed once.

The output folder holds the weights, ``losses.png`` and, with ``--scores``, how well masks are followed in a patient that was not
learned from. Started with ``--weights`` of an earlier output, it goes on from there.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
import typer
from rich.progress import track as watched
from torch import Tensor, nn
from torch.nn import functional

from ai_engine.model.config import MemoryConfig
from ai_engine.model.images import Letterbox, mllm_input, segmenter_input, windowed
from ai_engine.model.language import Language
from ai_engine.model.memory import Track
from ai_engine.model.prompt import QUERIES, answer_ids, prompt_ids
from ai_engine.model.segmenter import Prompts, Segmenter, sure
from ai_engine.model.unified import UnifiedModel
from ai_engine.model.weights import load_weights, save_weights
from training.command import run
from training.data.cases import PATIENTS
from training.data.clips import Clip, clips_of
from training.data.reports import answer
from training.evaluation.overlap import box_of
from training.losses import dice_loss, mask_cross_entropy
from training.parts import name_of
from training.pictures import draw_losses
from training.stages import multiplies_bfloat16

SIZES = MemoryConfig(layers=1, intermediate_size=512, masks=4, pointers=8)
"""The memory that the small model gets."""
SLICES, LONGEST_STEP = 5, 3
"""Slices of a clip to learn from, and how many slices of the volume lie between two of them at most."""
BATCH = 4
DISTANCES = (0, 1, 2, 4, 8)
"""Slices from the key slice at which followed masks are measured."""
LEARNS = (
    "memory_",
    "no_memory_positional_encoding",
    "no_object_pointer",
    "occlusion_spatial_embedding_parameter",
    "object_pointer_proj.",
    "temporal_positional_encoding_projection_layer.",
    "mask_downsample.",
    "mask_decoder.pred_obj_score_head.",
)
"""Names of SAM 2's parameters that only following uses."""
Begin = Literal["drawn", "known", "mask"]
"""How the key slice's masks come about: drawn for their [SEG] states, known beside these, or known and nothing said of them."""
WEIGHTS = {"dice": 2.0, "mask_cross_entropy": 1.0, "presence": 0.2}
PEAK_RATE, FINAL_SHARE, WARM_UP = 1e-3, 0.02, 0.03
"""Learning rate at its highest; its share at the end, after a cosine; share of the stage in which it rises."""
SAVED = 100
"""Weights and losses are written after so many steps, and at the end."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A clip as the segmenter gets it.

    Attributes:
        features: of every slice, finest first, [slice, channel, row, column] in half precision.
        prompts: [mask, channel], projected [SEG] states of the key slice.
        masks: [slice, mask, row, column], the covered share of each cell of the mask's grid, in half precision.
        labels: of the masks.
    """

    features: list[Tensor]
    prompts: Tensor
    masks: Tensor
    labels: tuple[str, ...]

    def at(self, index: int) -> list[Tensor]:
        """Features of one slice, finest first, [channel, row, column]."""
        return [level[index].float() for level in self.features]


@torch.no_grad()
def prepare(model: UnifiedModel, language: Language, clip: Clip, rng: np.random.Generator) -> Prepared:
    """Write the key slice's report for its [SEG] states, and encode all slices. ``rng`` draws the wording."""
    config = model.config
    channels = [windowed(image.astype(np.float32), clip.kind) for image in clip.images]
    rows, columns = clip.images.shape[1:]
    read = Letterbox.fit((rows, columns), config.image_size)
    text, labels = answer(clip, {label: read.box_to_model(box) for label, mask in clip.masks.items() if (box := box_of(mask[0]))}, rng)
    ids = torch.tensor(prompt_ids(language, config.visual_tokens, QUERIES[clip.kind]) + answer_ids(language, text))
    patches = torch.from_numpy(mllm_input(read.image(channels[0])))
    hidden = model(ids[None], model.positions(ids)[:, None], patches).hidden[0]
    frame = Letterbox.fit((rows, columns), config.segmenter_size)
    pixels = torch.from_numpy(np.stack([segmenter_input(frame.image(each)) for each in channels]))
    masks = np.stack([frame.mask_to_model(clip.masks[label], config.mask_size) for label in labels], 1)
    return Prepared(
        [level.half() for level in model.encode_image(pixels)],
        model.project(hidden[ids == language.seg]).float(),
        torch.from_numpy(masks).half(),
        tuple(labels),
    )


def remembering(model: UnifiedModel, language: Language, prepared: Sequence[Prepared]) -> UnifiedModel:
    """The same model with a fresh memory that at first changes next to nothing; a model with a memory as it is."""
    if model.config.segmenter.memory is not None:
        return model
    segmenter = model.config.segmenter.model_copy(update={"memory": SIZES})
    grown = UnifiedModel(model.config.model_copy(update={"segmenter": segmenter}), language)
    grown.load_state_dict(model.state_dict(), strict=False)
    sam = grown.grounding_encoder.sam2_model
    nn.init.trunc_normal_(sam.memory_temporal_positional_encoding, std=0.02)
    # The attention ends in a norm; its scale and shift are set so that what it passes on is most like what the decoder knows.
    marked = torch.cat([clip.features[-1].float() for clip in prepared]).flatten(2).transpose(1, 2).flatten(0, 1)
    plain = functional.layer_norm(marked - sam.no_memory_embedding.detach()[0], marked.shape[1:])
    scale = ((plain - plain.mean(0)) * (marked - marked.mean(0))).mean(0) / plain.var(0)
    sam.memory_attention.layer_norm.weight.data = scale
    sam.memory_attention.layer_norm.bias.data = marked.mean(0) - scale * plain.mean(0)
    return grown.eval()


def freeze(segmenter: Segmenter) -> list[nn.Parameter]:
    """Let only the memory learn; return its parameters."""
    learning = []
    for name, parameter in segmenter.sam2_model.named_parameters():
        parameter.requires_grad_(name.startswith(LEARNS))
        if parameter.requires_grad:
            learning.append(parameter)
    return learning


def clip_losses(segmenter: Segmenter, clips: Sequence[Prepared], begin: Begin) -> dict[str, Tensor]:
    """Follow the masks of several clips side by side: mean Dice loss and cross-entropy where an object is, and of its presence."""
    image_index = torch.cat([torch.full((len(clip.prompts),), number) for number, clip in enumerate(clips)])
    masks = torch.cat([clip.masks.float() for clip in clips], 1)
    slices = [[torch.stack(level) for level in zip(*(clip.at(index) for clip in clips), strict=True)] for index in range(len(masks))]
    prompts = shown(masks[0]) if begin == "mask" else Prompts(torch.cat([clip.prompts for clip in clips]))
    track = Track(segmenter, slices[0], prompts, image_index, None if begin == "drawn" else masks[0])
    lost: dict[str, list[Tensor]] = {"dice": [], "mask_cross_entropy": [], "presence": []}
    for features, target in zip(slices[1:], masks[1:], strict=True):
        drawn = track.step(features)
        there = target.flatten(1).amax(1) > 0.5
        lost["presence"].append(functional.binary_cross_entropy_with_logits(drawn.presence.float(), there.float()))
        if there.any():
            lost["dice"].append(dice_loss(drawn.logits[there], target[there]))
            lost["mask_cross_entropy"].append(mask_cross_entropy(drawn.logits[there], target[there]))
    return {name: torch.stack(values).mean() for name, values in lost.items() if values}


def shown(masks: Tensor) -> Prompts:
    """Prompts that say nothing but where masks [mask, row, column], 0 to 1, are."""
    return replace(Prompts.none(len(masks), masks), masks=sure(masks))


def learn(model: UnifiedModel, clips: Sequence[Prepared], steps: int, minutes: float, seed: int) -> Iterator[dict[str, Any]]:
    """Train the memory on prepared clips, over and over, until the steps or the minutes are used up.

    Yields an entry for :func:`training.pictures.draw_losses` after every step.
    """
    segmenter = model.grounding_encoder
    parameters = freeze(segmenter)
    optimizer = torch.optim.AdamW(parameters, lr=PEAK_RATE, betas=(0.9, 0.95), weight_decay=0.01, fused=True)
    rng = np.random.default_rng((seed, 1))
    begins: tuple[Begin, ...] = ("drawn", "known", "mask") if model.config.segmenter.pointable else ("drawn", "known")
    order = (int(index) for _ in iter(int, 1) for index in rng.permutation(len(clips)))
    started = time.monotonic()
    for step in range(steps):
        seconds = time.monotonic() - started
        share = max(step / steps, seconds / (60 * minutes) if minutes else 1)
        if share >= 1:
            break
        rate = PEAK_RATE * min(1, share / WARM_UP + 0.01) * (FINAL_SHARE + (1 - FINAL_SHARE) * (1 + math.cos(math.pi * share)) / 2)
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = [clips[index] for index in islice(order, BATCH)]
        with torch.autocast("cpu", torch.bfloat16, enabled=multiplies_bfloat16()):
            losses = clip_losses(segmenter, batch, begins[int(rng.integers(len(begins)))])
        total = torch.stack([WEIGHTS[name] * loss for name, loss in losses.items()]).sum()
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        if nn.utils.clip_grad_norm_(parameters, 1.0).isfinite():
            optimizer.step()
        place = {"stage": "memory", "step": step, "samples": (step + 1) * BATCH, "seconds": round(seconds, 2), "rate": rate}
        yield place | {"total": total.item()} | {name: loss.item() for name, loss in losses.items()}


@torch.no_grad()
def measure(model: UnifiedModel, clips: Sequence[Prepared]) -> dict[str, Any]:
    """How well masks are followed from the decoded key slice: with the memory, by decoding every slice anew with the same state, and,
    by a segmenter that takes points, with the memory and nothing but the mask.

    Returns:
        ``followed``: by distance in slices and name ("all" for the mean over all masks) the number of masks and the mean Dice of each
        way on the mask's grid; ``gone``: where the object is not on the slice any more, how many masks, and how many are still drawn.
    """
    segmenter = model.grounding_encoder
    dice: dict[tuple[int, str], list[tuple[float, ...]]] = {}
    gone: list[tuple[bool, ...]] = []
    for clip in clips:
        if not len(clip.prompts):
            continue
        key = [level[None] for level in clip.at(0)]
        tracks = [Track(segmenter, key, Prompts(clip.prompts))]
        if model.config.segmenter.pointable:
            first = (segmenter.decode(key, Prompts(clip.prompts)).logits > 0).float()
            tracks.append(Track(segmenter, key, shown(first), masks=first))
        for distance, target in enumerate(clip.masks > 0.5):
            features = [level[None] for level in clip.at(distance)]
            anew = segmenter.decode(features, Prompts(clip.prompts)).logits > 0
            followed = [anew] * len(tracks)
            if distance:
                drawn = [track.step(features) for track in tracks]
                followed = [(each.logits > 0) & (each.presence[:, None, None] > 0) for each in drawn]
            ways = [followed[0], anew, *followed[1:]]
            for label, truth, *masks in zip(clip.labels, target, *ways, strict=True):
                if not truth.any():
                    gone.append(tuple(bool(mask.any()) for mask in masks))
                elif distance in DISTANCES:
                    values = tuple(float(2 * (truth & mask).sum() / (truth.sum() + mask.sum())) for mask in masks)
                    for name in ("all", name_of(label)):
                        dice.setdefault((distance, name), []).append(values)
    names = sorted({name for _, name in dice})
    return {
        "followed": {
            str(distance): {name: _means(dice[distance, name], "dice") for name in names if (distance, name) in dice}
            for distance in DISTANCES
        },
        "gone": _means(gone, "still_drawn"),
    }


def _means(values: Sequence[tuple[float, ...]], what: str) -> dict[str, Any]:
    means = np.mean(np.asarray(values, float), 0).tolist() if values else [None, None]
    ways = ("memory", "decoded_anew", "mask_alone")
    return {"n": len(values)} | {f"{what}_{way}": mean for way, mean in zip(ways, means, strict=False)}


def _mixed(sources: Path, rng: np.random.Generator) -> Iterator[Clip]:
    """Clips of the training patients by their shares, without end."""
    names, shares = zip(*PATIENTS["train"], strict=True)
    streams = {name: clips_of(name, sources, SLICES, rng, LONGEST_STEP) for name in names}
    while True:
        yield next(streams[str(rng.choice(names, p=shares))])


def write(model: UnifiedModel, language: Language, log: Sequence[dict[str, Any]], out: Path) -> None:
    """Leave the weights and the picture of the losses in ``out``."""
    save_weights(out, model, language)
    draw_losses(log, out / "losses.png")


def main(
    weights: Annotated[Path, typer.Option(help="Weights to start from; with a memory, to go on from.")],
    out: Annotated[Path, typer.Option(help="Where the weights with memory and the picture of the losses go.")],
    minutes: Annotated[float, typer.Option(help="Of training, after the clips are prepared.")] = 8,
    steps: Annotated[int, typer.Option(help="At most so many steps.")] = 5000,
    clips: Annotated[int, typer.Option(help="Clips to learn from; they are kept in memory, 2 MB each.")] = 400,
    scores: Annotated[Path | None, typer.Option(help="Measure on the held-out patient, and write the figures here (JSON).")] = None,
    measured: Annotated[int, typer.Option(help="Clips to measure on.")] = 40,
    sources: Annotated[Path, typer.Option(help="Folder of the downloaded packages.")] = Path("var/sources"),
    seed: Annotated[int, typer.Option(help="Of clips, wording and order.")] = 0,
) -> None:
    """Train SAM 2's memory of neighbouring slices, and nothing else."""
    torch.set_num_threads(1)
    model, language, _ = load_weights(weights)
    rng = np.random.default_rng(seed)
    started = time.monotonic()
    prepared = [
        prepare(model, language, clip, rng) for clip in watched(islice(_mixed(sources, rng), clips), "clips", total=clips, transient=True)
    ]
    prepared = [clip for clip in prepared if len(clip.prompts)]
    print(f"{len(prepared)} clips prepared in {time.monotonic() - started:.0f} s", flush=True)
    model = remembering(model, language, prepared)

    log: list[dict[str, Any]] = []
    for entry in watched(learn(model, prepared, steps, minutes, seed), "memory", total=steps, transient=True):
        log.append(entry)
        if len(log) % SAVED == 0:
            last = {name: np.mean([each[name] for each in log[-SAVED:] if name in each]) for name in ("total", *WEIGHTS)}
            told = "  ".join(f"{name} {value:.3f}" for name, value in last.items())
            print(f"memory step {len(log)}: {told}; {entry['samples'] / entry['seconds']:.1f} clips/s", flush=True)
            write(model, language, log, out)
    write(model, language, log, out)
    if scores is not None:
        ((patient, _),) = PATIENTS["held_out_patient"]
        held_out = list(islice(clips_of(patient, sources, max(DISTANCES) + 1, np.random.default_rng((seed, 2))), measured))
        figures = measure(model, [prepare(model, language, clip, np.random.default_rng((seed, 3))) for clip in held_out])
        scores.write_text(json.dumps({"patient": patient, "slice_mm": held_out[0].step_mm, "clips": measured} | figures, indent=1) + "\n")


if __name__ == "__main__":
    run(main)
