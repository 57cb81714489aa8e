"""A tiny real model: random, and one that was taught a single report until it knows it by heart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ai_engine.model.answer import Part, Step, compose
from ai_engine.model.assistant import Assistant
from ai_engine.model.config import TINY
from ai_engine.model.images import Letterbox, mllm_input, segmenter_input, windowed
from ai_engine.model.language import Language
from ai_engine.model.prompt import QUERIES, answer_ids, prompt_ids
from ai_engine.model.unified import UnifiedModel

RIGHT_LUNG = (20, 10, 90, 50)
LEFT_LUNG = (20, 62, 90, 102)
NODULE = (40, 70, 56, 86)
REPORT = compose(
    [
        Step("lungs", (Part("right lung", RIGHT_LUNG), Part("left lung", LEFT_LUNG), Part("left nodule", NODULE)), "nodule on the left."),
        Step("pleura", (), "no effusion."),
    ],
    ["The right lung [SEG] is clear.", "There is a nodule [SEG] in the left lung.", "No pleural effusion."],
    "Nodule in the left lung.",
)
"""Boxes in pixels of the tiny model's 112 pixel picture."""


def chest(rows: int, columns: int) -> NDArray[np.float32]:
    """Return a radiograph-like image: a bright body with two dark lungs and a round nodule where REPORT has its boxes."""
    row, column = np.mgrid[:rows, :columns]
    row, column = (row + 0.5) * 112 / rows, (column + 0.5) * 112 / columns
    image = np.full((rows, columns), 1000.0, np.float32)
    for row0, column0, row1, column1 in (RIGHT_LUNG, LEFT_LUNG):
        image[(row >= row0) & (row < row1) & (column >= column0) & (column < column1)] = 200.0
    image[(row - 48) ** 2 + (column - 78) ** 2 < 64] = 900.0
    return image + np.float32(20) * np.sin(row + column).astype(np.float32)


_ROW, _COLUMN = np.mgrid[:112, :112] + 0.5
TRUTH = (
    (_ROW > RIGHT_LUNG[0]) & (_ROW < RIGHT_LUNG[2]) & (_COLUMN > RIGHT_LUNG[1]) & (_COLUMN < RIGHT_LUNG[3]),
    (_ROW - 48) ** 2 + (_COLUMN - 78) ** 2 < 64,
)
"""The masks of REPORT's two marks on :func:`chest` of 112 x 112."""


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_language() -> Language:
    return Language.train([REPORT, *QUERIES.values()] * 20, TINY.vocabulary_size, coordinates=TINY.image_size)


@pytest.fixture
def tiny_model(tiny_language: Language) -> UnifiedModel:
    torch.manual_seed(0)
    return UnifiedModel(TINY, tiny_language).eval()


@pytest.fixture(scope="session")
def taught_assistant(tiny_language: Language) -> Assistant:
    """An assistant that answers every image with REPORT, and draws the right lung and the nodule of :func:`chest`."""
    torch.manual_seed(0)
    model = UnifiedModel(TINY, tiny_language)
    channels = windowed(chest(112, 112), "projection")
    frame = Letterbox.fit((112, 112), TINY.image_size)
    patches = torch.from_numpy(mllm_input(frame.image(channels)))
    pixels = torch.from_numpy(segmenter_input(Letterbox.fit((112, 112), TINY.segmenter_size).image(channels)))[None]
    targets = torch.stack([torch.from_numpy(frame.mask_to_model(mask, TINY.mask_size)) for mask in TRUTH])
    rows = []
    for query in QUERIES.values():
        prompt, answer = prompt_ids(tiny_language, TINY.visual_tokens, query), answer_ids(tiny_language, REPORT)
        rows.append((torch.tensor(prompt + answer), len(prompt)))
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(120):
        ids, start = rows[step % len(rows)]
        hidden = model(ids[None], model.positions(ids)[:, None], patches).hidden[0]
        loss = functional.cross_entropy(model.logits(hidden[start - 1 : -1]), ids[start:])
        logits, iou = model.decode_masks(model.encode_image(pixels), model.project(hidden[ids == tiny_language.seg]))
        loss = loss + functional.binary_cross_entropy_with_logits(logits, targets) + functional.mse_loss(iou, torch.ones_like(iou))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return Assistant(model.eval(), tiny_language, maximum_new_tokens=300, weights_hash="0" * 64)
