"""Points, boxes and corrections are learned by prompts and decoder alone, from clicks as a reader makes them; [SEG] masks are held."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ai_engine.model.language import Language
from ai_engine.model.segmenter import FIRST_CORNER, LAST_CORNER, NEGATIVE, POSITIVE, Prompts
from ai_engine.model.unified import UnifiedModel
from ai_engine.model.weights import load_weights, save_weights
from tests.training.phantom import chest, with_nodule
from training.clicks import (
    STAGE,
    STILL,
    Pointing,
    Prepared,
    correction,
    inside,
    kept_loss,
    learn,
    loose_box,
    measure,
    prepare,
    ready,
    step_losses,
    write,
)
from training.examples import Encoder

SHORT = STAGE.model_copy(update={"steps": 3, "minutes": 5.0})


@pytest.fixture
def pictures(model: UnifiedModel, language: Language) -> list[Prepared]:
    encode, rng = Encoder(model.eval(), language, STILL), np.random.default_rng(0)
    prepared = (prepare(model, encode, case, rng) for case in (chest(1), chest(2), with_nodule(30, 60), chest(3)) for _ in range(3))
    return [each for each in prepared if each is not None]


def test_a_picture_is_prepared_with_a_state_and_a_mask_for_every_mark(pictures: list[Prepared]) -> None:
    assert any(each.there for each in pictures)
    for each in pictures:
        assert len(each.prompts) == len(each.masks) == len(each.labels) == len(each.drawn) == len(each.expected_iou)
        assert each.masks.shape[-1] == 2 * each.drawn.shape[-1]


def test_only_prompts_and_decoder_learn_and_the_weights_say_that_they_take_points(
    model: UnifiedModel, language: Language, pictures: list[Prepared], tmp_path: Path
) -> None:
    save_weights(tmp_path / "before", model, language)
    log = list(learn(model, pictures, SHORT, seed=0))
    write(model, language, log, tmp_path / "after")
    before, after = (load_file(tmp_path / folder / "model.safetensors") for folder in ("before", "after"))
    assert before.keys() == after.keys()
    changed = {name.removeprefix("grounding_encoder.sam2_model.") for name in before if not torch.equal(before[name], after[name])}
    assert {name.split(".")[0] for name in changed} == {"prompt_encoder", "mask_decoder"}
    assert not any(name.startswith(("mask_decoder.conv_s", "mask_decoder.pred_obj_score_head")) for name in changed)
    assert {"prompt_encoder.point_embed.weight", "prompt_encoder.mask_embed.conv3.weight"} <= changed
    assert not load_weights(tmp_path / "before")[0].config.segmenter.pointable
    assert load_weights(tmp_path / "after")[0].config.segmenter.pointable
    assert len(log) == SHORT.steps


def test_points_are_placed_like_the_cells_of_the_picture_and_a_mask_says_nothing_at_first(model: UnifiedModel) -> None:
    ready(model)
    sam = model.eval().grounding_encoder.sam2_model
    assert torch.equal(sam.prompt_encoder.shared_embedding.positional_embedding, sam.shared_image_embedding.positional_embedding)
    with torch.no_grad():
        features = model.encode_image(torch.randn(1, 3, model.config.segmenter_size, model.config.segmenter_size))
        points, kinds = torch.tensor([[[9.0, 9.0]]]), torch.tensor([[POSITIVE]])
        masks = torch.randn(1, model.config.mask_size, model.config.mask_size)
        plain, corrected = (
            model.grounding_encoder.decode(features, Prompts(points=points, kinds=kinds, masks=given)).logits for given in (None, masks)
        )
    assert torch.allclose(plain, corrected, atol=1e-5)


def test_what_is_pointed_at_is_drawn_better_once_it_has_learned(model: UnifiedModel, pictures: list[Prepared]) -> None:
    def lost() -> float:
        with torch.no_grad():
            draws = [np.random.default_rng(seed) for seed in range(4)]
            losses = [step_losses(model.grounding_encoder, pictures[:4], 64, rng)["click dice"] for rng in draws]
        return float(torch.stack(losses).mean())

    before = lost()
    quick = STAGE.model_copy(update={"steps": 24, "minutes": 5.0, "warmup_steps": 2, "learning_rates": {"segmenter": 3e-3}})
    list(learn(model, pictures[:4], quick, seed=0))
    assert lost() < before - 0.005


def test_masks_that_stay_as_they_were_cost_nothing() -> None:
    before = torch.randn(2, 8, 8)
    assert kept_loss(before, before) == pytest.approx(0, abs=1e-6)
    assert kept_loss(-before, before) > 0.1


def square(top: int, left: int, side: int) -> np.ndarray:
    mask = np.zeros((32, 32), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_the_first_click_is_well_inside_the_object() -> None:
    truth = square(4, 6, 9)
    assert inside(truth) == (8, 10)
    for seed in range(20):
        row, column = inside(truth, np.random.default_rng(seed))
        assert 6 <= row <= 10
        assert 8 <= column <= 12


def test_a_reader_clicks_where_most_is_wrong_with_the_right_sign() -> None:
    truth = square(4, 4, 12)
    missed, spilled = truth & ~square(4, 4, 7), truth | square(20, 20, 9)
    row, column, kind = correction(truth, truth & ~missed)
    assert missed[row, column]
    assert kind == POSITIVE
    row, column, kind = correction(truth, spilled)
    assert spilled[row, column]
    assert not truth[row, column]
    assert kind == NEGATIVE
    row, column, kind = correction(truth, truth)
    assert truth[row, column]
    assert kind == POSITIVE


def test_a_box_is_loose_around_the_object() -> None:
    for seed in range(10):
        (top, left, first), (bottom, right, last) = loose_box(square(8, 10, 10), np.random.default_rng(seed))
        assert (first, last) == (FIRST_CORNER, LAST_CORNER)
        assert abs(top + 0.5 - 8) <= 2
        assert abs(right + 0.5 - 20) <= 2
        assert left < right
        assert top < bottom


def test_every_click_goes_with_the_clicks_and_the_mask_before(model: UnifiedModel, pictures: list[Prepared]) -> None:
    picture = next(each for each in pictures if each.there)
    truth = np.asarray(picture.masks[picture.there[0]])
    pointing = Pointing(model.grounding_encoder, [level[None].float() for level in picture.features], [truth], torch.tensor([0]), 64)
    pointing.add([[(*inside(truth), POSITIVE)]])
    drawn = []
    with torch.no_grad():
        for _ in range(3):
            drawn.append(pointing.draw()[0])
            pointing.correct()
    assert not torch.allclose(drawn[0], drawn[1])
    assert not torch.allclose(drawn[1], drawn[2])


def test_states_clicks_and_boxes_are_measured_by_name(model: UnifiedModel, pictures: list[Prepared]) -> None:
    figures = measure(model, pictures[:4])
    assert {"states", "clicks 1", "clicks 2", "clicks 3", "clicks 5", "box", "box and click", "state and click"} <= figures.keys()
    assert figures["clicks 1"]["all"]["n"] == sum(len(each.there) for each in pictures[:4])
    assert 0 <= figures["box"]["all"]["dice"] <= 1
