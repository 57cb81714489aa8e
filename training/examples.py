"""From a case to a sample: vary the image, write its report, make the model's two pictures the way a reading does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from ai_engine.model.images import Letterbox, mllm_input, segmenter_input, windowed
from ai_engine.model.language import Language
from ai_engine.model.prompt import QUERIES, answer_ids, prompt_ids
from ai_engine.model.unified import UnifiedModel
from radiology.finding import Box
from training.augment import AIR_HU, moved, regreyed
from training.data.cases import Case
from training.data.reports import answer
from training.packing import IGNORED, Sample
from training.parts import PARTS, is_finding, part_index
from training.stages import Augmentation

TOUCHED = 20.0
"""A twentieth of an image token is enough for a finding to count as there."""
VOCABULARY_REPORTS = 300
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


class Encoder:
    """Turns cases into samples for one model."""

    def __init__(self, model: UnifiedModel, language: Language, how: Augmentation) -> None:
        self.model, self.language, self.how = model, language, how
        self.side = 2 * model.config.mask_size

    def __call__(self, case: Case, rng: np.random.Generator) -> Sample:
        """Encode one case; the wording of its report, too, is drawn from ``rng``."""
        image, masks = varied(case, self.how, rng)
        config = self.model.config
        shape = (image.shape[0], image.shape[1])
        channels = windowed(image, case.kind)
        letterbox = Letterbox.fit(shape, config.image_size)
        boxes = {label: letterbox.box_to_model(box_of(mask)) for label, mask in masks.items() if mask.any()}
        covered = {label: letterbox.mask_to_model(masks[label], self.side) for label in boxes}
        text, marked = answer(case, boxes, rng)
        asked = prompt_ids(self.language, config.visual_tokens, QUERIES[case.kind])
        said = answer_ids(self.language, text)
        ids = torch.tensor(asked + said)
        labels = ids.clone()
        labels[: len(asked)] = IGNORED
        return Sample(
            input_ids=ids,
            labels=labels,
            position_ids=self.model.positions(ids)[1:],
            pixel_values=torch.from_numpy(mllm_input(letterbox.image(channels))),
            segmenter_pixels=torch.from_numpy(segmenter_input(Letterbox.fit(shape, config.segmenter_size).image(channels))),
            masks=torch.from_numpy(np.stack([covered[label] for label in marked])) if marked else torch.zeros(0, self.side, self.side),
            coverage=torch.from_numpy(self._coverage(covered)),
            name=case.name,
        )

    def _coverage(self, covered: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """[image tokens, parts]: the covered share of each token; for a finding, which may be small, whether it is touched at all."""
        tokens = round(self.model.config.visual_tokens**0.5)
        coverage = np.zeros((len(PARTS), tokens, tokens), np.float32)
        for label, cells in covered.items():
            share = cells.reshape(tokens, self.side // tokens, tokens, self.side // tokens).mean((1, 3))
            if is_finding(label):
                share = np.clip(share * TOUCHED, 0, 1)
            np.maximum(coverage[part_index(label)], share, out=coverage[part_index(label)])
        return coverage.reshape(len(PARTS), -1).T.copy()


def texts(cases: Sequence[Case], seed: int) -> Iterator[str]:
    """Reports to learn a vocabulary from, of cases drawn at random, and the queries."""
    yield from QUERIES.values()
    rng = np.random.default_rng(seed)
    for index in rng.integers(len(cases), size=VOCABULARY_REPORTS):
        case = cases[int(index)]
        yield answer(case, dict.fromkeys(case.masks, (0, 0, 1, 1)), rng)[0]


def box_of(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """(row0, column0, row1, column1) around a mask."""
    box = Box.around(mask[None])
    return box.start[1], box.start[2], box.stop[1], box.stop[2]
