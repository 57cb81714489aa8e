"""What a training example shows and says."""

import numpy as np
import pytest
import torch

from ai_engine.model.config import TINY
from ai_engine.model.language import Language
from ai_engine.model.unified import UnifiedModel
from tests.training.phantom import SIDE, chest, with_nodule
from training.augment import moved
from training.examples import Encoder, texts, varied
from training.packing import IGNORED
from training.parts import PARTS
from training.stages import Augmentation


def test_image_and_masks_move_together() -> None:
    case = chest(1)
    strong = Augmentation(zoom=0.3, shift=0.1, turn_degrees=15)
    bright = (case.masks["right lung"] * 255).astype(np.float32)
    for seed in range(5):
        image, masks = moved(bright, case.masks["right lung"][None], 0.0, strong, np.random.default_rng(seed))
        assert not np.array_equal(masks[0], case.masks["right lung"])
        assert ((image > 127) == masks[0]).mean() > 0.98


def test_sides_never_change() -> None:
    strong = Augmentation(zoom=0.3, shift=0.1, turn_degrees=20)
    for seed in range(10):
        _, masks = varied(chest(seed), strong, np.random.default_rng(seed))
        columns = {label: np.flatnonzero(mask.any(0)).mean() for label, mask in masks.items()}
        assert columns["right lung"] < columns["left lung"]


def test_a_finding_at_the_border_stays_in_the_picture() -> None:
    case = with_nodule(45, SIDE - 9)
    for seed in range(10):
        _, masks = varied(case, Augmentation(zoom=0.3, shift=0.2, turn_degrees=15), np.random.default_rng(seed))
        assert masks["left nodule"].sum() >= 0.7 * 81


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    language = Language.train(texts([chest(0), with_nodule(40, 66)], 0), TINY.vocabulary_size, coordinates=TINY.image_size)
    return Encoder(UnifiedModel(TINY, language), language, Augmentation())


def test_an_example_has_a_mask_for_every_seg_token_and_supervises_the_answer_only(encoder: Encoder) -> None:
    sample = encoder(with_nodule(40, 66), np.random.default_rng(0))
    marks = int((sample.input_ids == encoder.language.seg).sum())
    assert marks == len(sample.masks) == 4
    supervised = sample.labels != IGNORED
    assert torch.equal(sample.labels[supervised], sample.input_ids[supervised])
    answer = encoder.language.decode(sample.input_ids[supervised].tolist())
    assert answer.startswith("<think>")
    assert "nodule [SEG]" in answer
    assert not supervised[: int(torch.nonzero(sample.input_ids == encoder.language.image).max()) + 1].any()


def test_coverage_says_which_image_tokens_a_part_lies_on(encoder: Encoder) -> None:
    sample = encoder(with_nodule(40, 66), np.random.default_rng(0))
    assert sample.coverage is not None
    grid = sample.coverage.reshape(4, 4, len(PARTS))
    assert grid[:, :2, PARTS.index("right lung")].sum() > 3 * grid[:, 2:, PARTS.index("right lung")].sum()
    assert grid[..., PARTS.index("nodule")].max() == 1
    assert grid[:, :2, PARTS.index("nodule")].sum() == 0
    assert grid[..., PARTS.index("pneumothorax")].max() == 0


def test_the_same_draw_gives_the_same_example(encoder: Encoder) -> None:
    one, other = (encoder(chest(2), np.random.default_rng(5)) for _ in range(2))
    assert torch.equal(one.input_ids, other.input_ids)
    assert torch.equal(one.masks, other.masks)
    assert one.pixel_values is not None
    assert other.pixel_values is not None
    assert torch.equal(one.pixel_values, other.pixel_values)
