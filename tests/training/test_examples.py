"""What a training example shows and says."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from ai_engine.model.config import TINY
from ai_engine.model.language import Language
from ai_engine.model.prompt import Task
from ai_engine.model.unified import UnifiedModel
from tests.training.phantom import SIDE, chest, with_nodule
from training.augment import moved
from training.data.tasks import FOLLOW_UPS
from training.examples import MASKS_A_PICTURE, Encoder, texts, varied
from training.packing import IGNORED
from training.parts import LABELS, PARTS
from training.stages import Augmentation, Weights

EVERYTHING = Weights(token=1, dice=2, mask_cross_entropy=1, coverage=1)


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
    sample = encoder.sample(with_nodule(40, 66), np.random.default_rng(0), EVERYTHING)
    marks = int((sample.input_ids == encoder.language.seg).sum())
    assert sample.masks is not None
    assert marks == len(sample.masks) == 4
    supervised = sample.labels != IGNORED
    assert torch.equal(sample.labels[supervised], sample.input_ids[supervised])
    answer = encoder.language.decode(sample.input_ids[supervised].tolist())
    assert answer.startswith("<think>")
    assert torch.equal(sample.position_ids, encoder.model.positions(sample.input_ids)[1:])
    assert "eft nodule" in answer
    assert not supervised[: int(torch.nonzero(sample.input_ids == encoder.language.image).max()) + 1].any()


def test_coverage_says_which_image_tokens_a_part_lies_on(encoder: Encoder) -> None:
    sample = encoder.sample(with_nodule(40, 66), np.random.default_rng(0), EVERYTHING)
    assert sample.coverage is not None
    grid = sample.coverage.reshape(4, 4, len(PARTS))
    assert grid[:, :2, PARTS.index("right lung")].sum() > 3 * grid[:, 2:, PARTS.index("right lung")].sum()
    assert grid[..., PARTS.index("nodule")].max() == 1
    assert grid[:, :2, PARTS.index("nodule")].sum() == 0
    assert grid[..., PARTS.index("pneumothorax")].max() == 0


def test_the_same_draw_gives_the_same_example(encoder: Encoder) -> None:
    one, other = (encoder.sample(chest(2), np.random.default_rng(5), EVERYTHING) for _ in range(2))
    assert torch.equal(one.input_ids, other.input_ids)
    assert one.masks is not None
    assert other.masks is not None
    assert torch.equal(one.masks, other.masks)
    assert one.pixel_values is not None
    assert other.pixel_values is not None
    assert torch.equal(one.pixel_values, other.pixel_values)


def test_a_stage_without_masks_or_coverage_computes_neither(encoder: Encoder) -> None:
    sample = encoder.sample(with_nodule(40, 66), np.random.default_rng(0), Weights(token=1, dice=0, mask_cross_entropy=0))
    assert (sample.segmenter_pixels, sample.masks, sample.coverage) == (None, None, None)
    whole = encoder.sample(with_nodule(40, 66), np.random.default_rng(0), EVERYTHING)
    assert torch.equal(sample.input_ids, whole.input_ids)


def test_pictures_hold_a_mask_for_everything_that_is_to_be_seen_and_for_nothing_else(encoder: Encoder) -> None:
    cases = [chest(1), with_nodule(40, 66)]
    weights = Weights(token=0, dice=1, mask_cross_entropy=1, coverage=1)
    pictures = encoder.pictures(cases, [np.random.default_rng(seed) for seed in range(2)], weights)
    shown = [(int(image), LABELS[label]) for image, label in zip(pictures.mask_images, pictures.mask_labels, strict=True)]
    assert sorted(shown) == sorted((number, label) for number, case in enumerate(cases) for label in case.masks)
    assert all(mask.max() > 0 for mask in pictures.masks)
    assert pictures.segmenter_pixels is not None
    assert pictures.segmenter_pixels.shape == (2, 3, TINY.segmenter_size, TINY.segmenter_size)
    assert pictures.coverage is not None
    assert pictures.coverage.shape == (2 * TINY.visual_tokens, len(PARTS))


def test_pictures_show_what_a_sample_of_the_same_draw_shows(encoder: Encoder) -> None:
    sample = encoder.sample(with_nodule(40, 66), np.random.default_rng(3), EVERYTHING)
    pictures = encoder.pictures([with_nodule(40, 66)], [np.random.default_rng(3)], Weights(token=0, coverage=1))
    assert sample.pixel_values is not None
    assert pictures.pixel_values is not None
    assert torch.equal(sample.pixel_values, pictures.pixel_values)
    assert sample.segmenter_pixels is not None
    assert pictures.segmenter_pixels is not None
    assert torch.equal(sample.segmenter_pixels, pictures.segmenter_pixels[0])


def test_a_few_masks_of_a_picture_are_learned_at_a_time_each_by_its_own_label(encoder: Encoder) -> None:
    case = chest(0)
    many = replace(case, masks=case.masks | {"heart": case.masks["mediastinum"], "ribs": case.masks["right lung"]})
    learned = set()
    for seed in range(12):
        pictures = encoder.pictures([many], [np.random.default_rng(seed)], Weights(token=0))
        assert len(pictures.masks) == len(pictures.mask_labels) == MASKS_A_PICTURE < len(many.masks)
        learned |= {LABELS[index] for index in pictures.mask_labels.tolist()}
        right = [mask for mask, index in zip(pictures.masks, pictures.mask_labels.tolist(), strict=True) if LABELS[index] == "right lung"]
        assert all(mask[:, : mask.shape[1] // 2].sum() > 0.8 * mask.sum() for mask in right)
    assert learned == set(many.masks)


@pytest.mark.parametrize(
    ("task", "asked", "answered"),
    [("detection", "b(ounding )?box", "bbox_2d|seen"), ("segmentation", "", r"\[SEG\]|seen"), ("question", "", "")],
)
def test_every_task_is_asked_about_the_picture_and_its_masks_follow_its_seg_tokens(
    encoder: Encoder, task: Task, asked: str, answered: str
) -> None:
    for seed in range(6):
        sample = encoder.sample(with_nodule(40, 66), np.random.default_rng(seed), EVERYTHING, task)
        supervised = sample.labels != IGNORED
        assert re.search(asked, encoder.language.decode(sample.input_ids[~supervised].tolist()))
        assert re.search(answered, encoder.language.decode(sample.input_ids[supervised].tolist()))
        assert int((sample.input_ids == encoder.language.seg).sum()) == (0 if sample.masks is None else len(sample.masks))
        assert torch.equal(sample.position_ids, encoder.model.positions(sample.input_ids)[1:])


def test_a_short_question_goes_on_with_others_about_the_same_picture_each_with_its_own_answer(encoder: Encoder) -> None:
    case = with_nodule(40, 66)
    for seed in range(6):
        sample = encoder.sample(case, np.random.default_rng(seed), Weights(), "question")
        text = encoder.language.decode(sample.input_ids.tolist())
        turns = re.findall(r"Is there any (right|left) ([a-z ]+)\? [^?]*?assistant\n(yes|no)<", text)
        assert len(turns) >= FOLLOW_UPS
        assert all((answer == "yes") == (f"{side} {name}" in case.masks) for side, name, answer in turns)
        assert sum(answer == "yes" for *_, answer in turns) >= 1
        told = encoder.language.decode(sample.labels[sample.labels != IGNORED].tolist())
        assert "Is there" not in told
        assert len(re.findall("yes|no", told)) >= FOLLOW_UPS


def test_findings_that_are_not_there_are_learned_as_masks_worth_nothing(encoder: Encoder) -> None:
    case, without_words = with_nodule(40, 66), Weights(token=0, quality=1)
    pictures = encoder.pictures([case], [np.random.default_rng(0)], without_words)
    empty = ~pictures.masks.flatten(1).any(1)
    named = {LABELS[label] for label in pictures.mask_labels[empty].tolist()}
    assert len(named) == 2
    assert not named & set(case.masks)
    samples = [encoder.sample(case, np.random.default_rng(seed), without_words) for seed in range(12)]
    untrue = [int((~sample.masks.flatten(1).any(1)).sum()) for sample in samples if sample.masks is not None]
    assert set(untrue) == {0, 1}
    spoken = [encoder.sample(case, np.random.default_rng(seed), Weights(quality=1)) for seed in range(12)]
    assert all(bool(sample.masks.flatten(1).any(1).all()) for sample in spoken if sample.masks is not None)
