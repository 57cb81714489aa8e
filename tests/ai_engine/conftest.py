"""A tiny real model: random, one that was taught a single report until it knows it by heart, and one that was taught short answers too."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

from ai_engine.model.answer import Part, Step, compose
from ai_engine.model.assistant import Assistant
from ai_engine.model.config import TINY, PresenceConfig
from ai_engine.model.images import Letterbox, mllm_input, segmenter_input, windowed
from ai_engine.model.language import Language
from ai_engine.model.prompt import BRIEFLY, DETECTION_QUERIES, QUERIES, SEGMENTATION_QUERIES, answer_ids, presence_question, prompt_ids
from ai_engine.model.tasks import absence, compose_detection, compose_segmentation
from ai_engine.model.unified import UnifiedModel

RIGHT_LUNG = (20, 10, 90, 50)
LEFT_LUNG = (20, 62, 90, 102)
NODULE = (34, 64, 62, 92)
REPORT = compose(
    [
        Step("lungs", (Part("right lung", RIGHT_LUNG), Part("left lung", LEFT_LUNG), Part("left nodule", NODULE)), "nodule on the left."),
        Step("pleura", (), "no effusion."),
    ],
    ["The right lung [SEG] is clear.", "There is a nodule [SEG] in the left lung.", "No pleural effusion."],
    "Nodule in the left lung.",
)
"""Boxes in pixels of the tiny model's 112 pixel picture."""


TAUGHT = {
    QUERIES["projection"]: REPORT,
    SEGMENTATION_QUERIES[0].format(target="right lung"): compose_segmentation(["right lung"]),
    SEGMENTATION_QUERIES[0].format(target="pneumothorax"): absence("pneumothorax"),
    DETECTION_QUERIES[0].format(target="left lung"): compose_detection("left lung", [LEFT_LUNG]),
    DETECTION_QUERIES[0].format(target="pneumothorax"): absence("pneumothorax"),
    presence_question("left nodule"): "yes",
    presence_question("pleural effusion"): "no",
    f"Which side is the nodule on? {BRIEFLY}": "left",
    f"What is in the region with bbox [24, 32, 64, 72]? {BRIEFLY}": "right lung",
}
"""Query and answer of what the versed assistant knows."""


def chest(rows: int, columns: int) -> NDArray[np.float32]:
    """Return a radiograph-like image: a bright body with two dark lungs and a round nodule where REPORT has its boxes."""
    row, column = np.mgrid[:rows, :columns]
    row, column = (row + 0.5) * 112 / rows, (column + 0.5) * 112 / columns
    image = np.full((rows, columns), 1000.0, np.float32)
    for row0, column0, row1, column1 in (RIGHT_LUNG, LEFT_LUNG):
        image[(row >= row0) & (row < row1) & (column >= column0) & (column < column1)] = 200.0
    image[(row - 48) ** 2 + (column - 78) ** 2 < 14**2] = 900.0
    return image + np.float32(20) * np.sin(row + column).astype(np.float32)


_row, _column = np.mgrid[:112, :112] + 0.5


def _within(box: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    row0, column0, row1, column1 = box
    return (row0 < _row) & (_row < row1) & (column0 < _column) & (_column < column1)


TRUTH = (
    _within(RIGHT_LUNG),
    (_row - 48) ** 2 + (_column - 78) ** 2 < 14**2,
)
"""The masks of REPORT's two marks on :func:`chest` of 112 x 112."""


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tiny_language() -> Language:
    return language()


def language() -> Language:
    """The tiny model's tokenizer."""
    return Language.train([REPORT, *QUERIES.values()] * 20, TINY.vocabulary_size, coordinates=TINY.image_size)


@pytest.fixture
def tiny_model(tiny_language: Language) -> UnifiedModel:
    torch.manual_seed(0)
    return UnifiedModel(TINY, tiny_language).eval()


@pytest.fixture(scope="session")
def taught_assistant(tiny_language: Language) -> Assistant:
    return taught(tiny_language)


def taught(tiny_language: Language) -> Assistant:
    """An assistant that answers every image with REPORT, and draws the right lung and the nodule of :func:`chest`."""
    torch.manual_seed(0)
    model = UnifiedModel(TINY, tiny_language)
    channels = windowed(chest(112, 112), "projection")
    frame = Letterbox.fit((112, 112), TINY.image_size)
    patches = torch.from_numpy(mllm_input(frame.image(channels)))
    # The radiograph and the CT slice of one body look different: the segmenter is shown both.
    looks = [windowed(chest(112, 112), "projection"), windowed(chest(112, 112) * np.float32(1.05) - 1010, "ct")]
    pixels = [torch.from_numpy(segmenter_input(Letterbox.fit((112, 112), TINY.segmenter_size).image(each)))[None] for each in looks]
    targets = torch.stack([torch.from_numpy(frame.mask_to_model(mask, TINY.mask_size)) for mask in TRUTH])
    answer = answer_ids(tiny_language, REPORT)
    samples = [torch.tensor(prompt_ids(tiny_language, TINY.visual_tokens, query) + answer) for query in QUERIES.values()]
    row = torch.cat(samples)[None]
    positions = torch.cat([model.positions(sample) for sample in samples], 1)[:, None]
    answered = torch.cat([torch.arange(len(sample)) >= len(sample) - len(answer) for sample in samples])
    optimiser = torch.optim.AdamW(model.mllm.parameters(), lr=4e-3)
    for _ in range(70):
        hidden = model(row, positions, patches.repeat(len(samples), 1)).hidden[0]
        loss = functional.cross_entropy(model.logits(hidden[:-1][answered[1:]]), row[0, 1:][answered[1:]])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        hidden = model(row, positions, patches.repeat(len(samples), 1)).hidden[0]
    states = hidden[row[0] == tiny_language.seg].split(len(TRUTH))
    optimiser = torch.optim.AdamW([*model.seg_projector.parameters(), *model.grounding_encoder.parameters()], lr=2e-3)
    for step in range(160):
        logits, iou = model.decode_masks(model.encode_image(pixels[step % 2]), model.project(states[step % 2]))
        loss = functional.binary_cross_entropy_with_logits(logits, targets) + functional.mse_loss(iou, torch.ones_like(iou))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return Assistant(model.eval(), tiny_language, maximum_new_tokens=300, weights_hash="0" * 64)


@pytest.fixture(scope="session")
def versed() -> Assistant:
    """An assistant that gives :data:`TAUGHT`'s answers about :func:`chest`; it has learned to draw nothing."""
    torch.manual_seed(0)
    language = Language.train([*TAUGHT, *TAUGHT.values()] * 9, TINY.vocabulary_size, coordinates=TINY.image_size)
    model = UnifiedModel(TINY.model_copy(update={"presence": PresenceConfig()}), language)
    channels = windowed(chest(224, 224), "projection")
    patches = torch.from_numpy(mllm_input(Letterbox.fit((224, 224), TINY.image_size).image(channels)))
    answers = [answer_ids(language, answer) for answer in TAUGHT.values()]
    samples = [
        torch.tensor(prompt_ids(language, TINY.visual_tokens, query) + answer) for query, answer in zip(TAUGHT, answers, strict=True)
    ]
    row = torch.cat(samples)[None]
    positions = torch.cat([model.positions(sample) for sample in samples], 1)[:, None]
    answered = torch.cat([torch.arange(len(one)) >= len(one) - len(answer) for one, answer in zip(samples, answers, strict=True)])
    # A yes is one token, the report a hundred: each answer counts more than its length would have it.
    weights = torch.cat([torch.full((len(answer),), len(answer) ** -0.5) for answer in answers])
    optimiser = torch.optim.AdamW(model.mllm.parameters(), lr=4e-3)
    for _ in range(70):
        hidden = model(row, positions, patches.repeat(len(samples), 1)).hidden[0]
        losses = functional.cross_entropy(model.logits(hidden[:-1][answered[1:]]), row[0, 1:][answered[1:]], reduction="none")
        loss = (losses * weights).sum() / weights.sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return Assistant(model.eval(), language, maximum_new_tokens=300)
