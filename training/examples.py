"""From a case to a sample: vary the image, write its report, make the model's two pictures the way a reading does."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray

from ai_engine.model.images import Box, Letterbox, mllm_input, segmenter_input, windowed
from ai_engine.model.language import Language
from ai_engine.model.prompt import Task, answer_ids, follow_up_ids, prompt_ids
from ai_engine.model.unified import UnifiedModel
from training.augment import AIR_HU, moved, regreyed
from training.data.cases import Case
from training.data.tasks import SIDED, ask, follow_ups
from training.evaluation.overlap import box_of
from training.packing import IGNORED, Sample, Tensors
from training.parts import LABELS, PARTS, is_finding, name_of, part_index
from training.stages import Augmentation, Weights

MASKS_A_PICTURE = 4
"""How many masks of a picture without text are learned at a time: each is decoded by itself, and a picture has up to ten."""
ABSENT_A_PICTURE = 2
"""And how many findings that it does not show: the segmenter learns to expect nothing of their masks."""
UNTRUE_SHARE = 0.5
"""How often an answer whose words are not learned from says one finding too many, so that its mask is known to be worth nothing."""
TOUCHED = 20.0
"""A twentieth of an image token is enough for a finding to count as there."""
VOCABULARY_CASES = 300
STILL_VISIBLE = 0.7
"""A finding that keeps less of its area is not shown that way: the image stays where it was."""


def varied(case: Case, how: Augmentation, rng: np.random.Generator) -> tuple[NDArray[np.float32], dict[str, NDArray[np.bool_]]]:
    """The case's image and masks, seen a little differently; no finding leaves the field."""
    image = case.image.astype(np.float32)
    outside = AIR_HU if case.kind == "ct" else float(image.min())
    masks = np.stack(list(case.masks.values())) if case.masks else np.zeros((0, *image.shape), bool)
    there, seen = moved(image, masks, outside, how, rng)
    for label, before, after in zip(case.masks, masks, seen, strict=True):
        if is_finding(label) and after.sum() < STILL_VISIBLE * before.sum():
            there, seen = image, masks
            break
    return regreyed(there, case.kind, how, rng), dict(zip(case.masks, seen, strict=True))


@dataclass(frozen=True, eq=False)
class Seen:
    """One variation of a case, on its way into the model.

    Attributes:
        channels: (channel, row, column) as the model sees them, 0 to 255.
        masks: (row, column) in source pixels, by label; what is not in view is missing.
        unjudged: as its case has it.
    """

    channels: NDArray[np.uint8]
    masks: dict[str, NDArray[np.bool_]]
    unjudged: frozenset[str]


@dataclass(frozen=True, eq=False)
class Pictures(Tensors):
    """Pictures without text: for the vision tower, the segmenter, or both.

    Attributes:
        pixel_values: [picture x patch, pixel] the language model's pictures, or None.
        coverage: [picture x token, part], what they show.
        segmenter_pixels: [N, 3, S, S] the segmenter's pictures, or None.
        masks: [K, M, M] some of what is to be seen in them.
        mask_images: [K] which picture mask k lies on.
        mask_labels: [K] index in :data:`training.parts.LABELS`.
        names: the cases in order.
    """

    pixel_values: torch.Tensor | None
    coverage: torch.Tensor | None
    segmenter_pixels: torch.Tensor | None
    masks: torch.Tensor
    mask_images: torch.Tensor
    mask_labels: torch.Tensor
    names: tuple[str, ...]


class Encoder:
    """Turns cases into what one model learns from. What a stage does not use is not computed."""

    def __init__(self, model: UnifiedModel, language: Language, how: Augmentation) -> None:
        self.model, self.language, self.how = model, language, how
        self.side = 2 * model.config.mask_size
        self._prompt = lru_cache(1024)(self._encode_prompt)

    def sample(self, case: Case, rng: np.random.Generator, weights: Weights, task: Task = "report") -> Sample:
        """One case with a query and its answer; the wording, too, is drawn from ``rng``."""
        seen = self._seen(case, rng)
        letterbox = self._letterbox(seen)
        boxes = {label: letterbox.box_to_model(box) for label, mask in seen.masks.items() if (box := box_of(mask))}
        if weights.quality and not weights.token and rng.random() < UNTRUE_SHARE:
            boxes |= _untrue(boxes, seen.unjudged, rng)
        query, text, marked = ask(task, case, boxes, rng)
        asked, places = self._prompt(query)
        said, labels = self._said(text, follow_ups(case, boxes, rng) if task == "question" else ())
        segmented = bool(weights.masks and marked)
        return Sample(
            input_ids=torch.cat([asked, said]),
            labels=torch.cat([torch.full_like(asked, IGNORED), labels]),
            position_ids=torch.cat([places, (places.max() + 1 + torch.arange(len(said))).expand(3, -1)], 1),
            pixel_values=self._patches(seen),
            segmenter_pixels=self._segmenter_pixels(seen) if segmented else None,
            masks=torch.from_numpy(self._covered(seen, marked, self.side)) if segmented else None,
            mask_labels=torch.tensor([LABELS.index(label) for label in marked]) if segmented else None,
            coverage=self._coverage(seen) if weights.coverage else None,
            name=case.name,
        )

    def pictures(self, cases: Sequence[Case], draws: Sequence[np.random.Generator], weights: Weights) -> Pictures:
        """Many cases without text."""
        seen = [self._seen(case, rng) for case, rng in zip(cases, draws, strict=True)]
        pairs = list(zip(seen, draws, strict=True))
        absent = ABSENT_A_PICTURE if weights.quality else 0
        drawn = [_some(each.masks, rng) + _absent(each.masks, each.unjudged, absent, rng) if weights.masks else [] for each, rng in pairs]
        places = [(number, label) for number, labels in enumerate(drawn) for label in labels]
        masks = [self._covered(each, labels, self.side) for each, labels in zip(seen, drawn, strict=True) if labels]
        return Pictures(
            pixel_values=torch.cat([self._patches(each) for each in seen]) if weights.coverage else None,
            coverage=torch.cat([self._coverage(each) for each in seen]) if weights.coverage else None,
            segmenter_pixels=torch.stack([self._segmenter_pixels(each) for each in seen]) if weights.masks else None,
            masks=torch.from_numpy(np.concatenate(masks)) if masks else torch.zeros(0, self.side, self.side),
            mask_images=torch.tensor([number for number, _ in places], dtype=torch.long),
            mask_labels=torch.tensor([LABELS.index(label) for _, label in places], dtype=torch.long),
            names=tuple(case.name for case in cases),
        )

    def _said(self, text: str, further: Sequence[tuple[str, str]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens and labels of an answer and of the questions and answers after it; the questions are not learned."""
        said = answer_ids(self.language, text)
        labels = list(said)
        for query, answer in further:
            asked, told = follow_up_ids(self.language, query), answer_ids(self.language, answer)
            said += asked + told
            labels += [IGNORED] * len(asked) + told
        return torch.tensor(said), torch.tensor(labels)

    def _encode_prompt(self, query: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Tokens of a query, and their places in the image and the text [3, token]."""
        ids = torch.tensor(prompt_ids(self.language, self.model.config.visual_tokens, query))
        return ids, self.model.positions(ids)[1:]

    def _seen(self, case: Case, rng: np.random.Generator) -> Seen:
        image, masks = varied(case, self.how, rng)
        return Seen(windowed(image, case.kind), {label: mask for label, mask in masks.items() if mask.any()}, case.unjudged)

    def _letterbox(self, seen: Seen, size: int | None = None) -> Letterbox:
        _, rows, columns = seen.channels.shape
        return Letterbox.fit((rows, columns), size or self.model.config.image_size)

    def _patches(self, seen: Seen) -> torch.Tensor:
        return torch.from_numpy(mllm_input(self._letterbox(seen).image(seen.channels)))

    def _segmenter_pixels(self, seen: Seen) -> torch.Tensor:
        return torch.from_numpy(segmenter_input(self._letterbox(seen, self.model.config.segmenter_size).image(seen.channels)))

    def _covered(self, seen: Seen, labels: Sequence[str], side: int) -> NDArray[np.float32]:
        """[label, side, side]: which part of each cell the label's mask covers; nothing where it is not there."""
        if not labels:
            return np.zeros((0, side, side), np.float32)
        nowhere = np.zeros(seen.channels.shape[1:], bool)
        return self._letterbox(seen).mask_to_model(np.stack([seen.masks.get(label, nowhere) for label in labels]), side)

    def _coverage(self, seen: Seen) -> torch.Tensor:
        """[image tokens, parts]: the covered share of each token; for a finding, which may be small, whether it is touched at all.

        NaN for what is not shown and was not looked for.
        """
        tokens = round(self.model.config.visual_tokens**0.5)
        coverage = np.zeros((len(PARTS), tokens, tokens), np.float32)
        for label, share in zip(seen.masks, self._covered(seen, list(seen.masks), tokens), strict=True):
            if is_finding(label):
                share = np.clip(share * TOUCHED, 0, 1)
            np.maximum(coverage[part_index(label)], share, out=coverage[part_index(label)])
        for name in seen.unjudged - set(map(name_of, seen.masks)):
            coverage[part_index(name)] = np.nan
        return torch.from_numpy(coverage.reshape(len(PARTS), -1).T.copy())


def _some(masks: dict[str, NDArray[np.bool_]], rng: np.random.Generator) -> list[str]:
    """Labels drawn from a picture's, in their order."""
    drawn = set(rng.permutation(len(masks))[:MASKS_A_PICTURE].tolist())
    return [label for number, label in enumerate(masks) if number in drawn]


def _absent(there: Collection[str], unjudged: Collection[str], count: int, rng: np.random.Generator) -> list[str]:
    """Findings, with their side, that are known not to be ``there``; at most ``count``."""
    missing = [label for label in SIDED if label not in there and name_of(label) not in unjudged]
    return [missing[number] for number in rng.permutation(len(missing))[:count]]


def _untrue(boxes: Mapping[str, Box], unjudged: Collection[str], rng: np.random.Generator) -> dict[str, Box]:
    """One finding that is not there, with a box somewhere in its lung; none where that lung is not in view, or too little is known."""
    label = next(iter(_absent(boxes, unjudged, 1, rng)), "")
    lung = boxes.get(f"{label.split(' ')[0]} lung")
    if lung is None:
        return {}
    rows, columns = (np.sort(rng.integers(lung[axis], lung[axis + 2] + 1, 2)).tolist() for axis in (0, 1))
    return {label: (rows[0], columns[0], rows[1] + 1, columns[1] + 1)}


def texts(cases: Sequence[Case], seed: int) -> Iterator[str]:
    """What to learn a vocabulary from: queries and answers of every task, about cases drawn at random; reports most of all."""
    rng = np.random.default_rng(seed)
    for index in rng.integers(len(cases), size=VOCABULARY_CASES):
        case = cases[int(index)]
        boxes: dict[str, Box] = dict.fromkeys(case.masks, (0, 0, 1, 1))
        for task in get_args(Task):
            query, answer, _ = ask(task, case, boxes, rng)
            yield query
            yield answer
