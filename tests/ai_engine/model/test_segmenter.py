from dataclasses import replace

import pytest
import torch

from ai_engine.model.config import TINY
from ai_engine.model.segmenter import FIRST_CORNER, LAST_CORNER, NEGATIVE, POSITIVE, Prompts, Segmenter

SEVERAL = TINY.segmenter.model_copy(update={"multimask": True})


@pytest.fixture
def prompted() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(1, 3, TINY.segmenter_size, TINY.segmenter_size), torch.randn(4, SEVERAL.feature_size)


def test_of_several_masks_the_one_that_expects_the_highest_iou_is_drawn(prompted: tuple[torch.Tensor, torch.Tensor]) -> None:
    pixels, prompts = prompted
    segmenter = Segmenter(SEVERAL, TINY.segmenter_size).eval()
    drawn = {}
    segmenter.sam2_model.mask_decoder.register_forward_hook(lambda _, __, output: drawn.update(masks=output[0], iou=output[1]))
    with torch.no_grad():
        decoded = segmenter.decode(segmenter.encode_image(pixels), Prompts(prompts))
    assert drawn["iou"].shape == (4, 1, 3)
    for mask in range(4):
        best = int(drawn["iou"][mask, 0].argmax())
        assert torch.equal(decoded.logits[mask], drawn["masks"][mask, 0, best])
        assert decoded.expected_iou[mask] == drawn["iou"][mask, 0].max()
    assert decoded.tokens.shape == prompts.shape


def test_masks_of_one_image_are_those_drawn_one_by_one(prompted: tuple[torch.Tensor, torch.Tensor]) -> None:
    pixels, prompts = prompted
    for config in (TINY.segmenter, SEVERAL):
        segmenter = Segmenter(config, TINY.segmenter_size).eval()
        with torch.no_grad():
            features = segmenter.encode_image(pixels)
            together = segmenter.decode_masks(features, prompts)[0]
            alone = torch.cat([segmenter.decode_masks(features, prompt[None])[0] for prompt in prompts])
        assert (together - alone).abs().max() < 1e-4


def placed(*points: tuple[float, float, int]) -> Prompts:
    """Prompts for one mask: row, column and kind of each point."""
    numbers = torch.tensor(points)
    return Prompts(points=numbers[None, :, :2], kinds=numbers[None, :, 2].int())


@pytest.mark.parametrize("before", [None, torch.randn(1, TINY.mask_size, TINY.mask_size)], ids=["first", "to correct"])
@pytest.mark.parametrize(
    ("prompts", "theirs"),
    [
        (Prompts.none(1, torch.zeros(1)), {}),
        (placed((20.5, 30.5, POSITIVE)), {"input_points": [(30.0, 20.0)], "input_labels": [1]}),
        (
            placed((20.5, 30.5, POSITIVE), (5.0, 60.0, NEGATIVE)),
            {"input_points": [(30.0, 20.0), (59.5, 4.5)], "input_labels": [1, 0]},
        ),
        (placed((8.0, 10.0, FIRST_CORNER), (40.0, 50.0, LAST_CORNER)), {"input_boxes": (9.5, 7.5, 49.5, 39.5)}),
        (
            placed((8.0, 10.0, FIRST_CORNER), (40.0, 50.0, LAST_CORNER), (20.5, 30.5, POSITIVE)),
            {"input_boxes": (9.5, 7.5, 49.5, 39.5), "input_points": [(30.0, 20.0)], "input_labels": [1]},
        ),
    ],
    ids=["nothing", "a point", "two points", "a box", "a box and a point"],
)
def test_points_boxes_and_masks_are_taken_as_transformers_takes_them(
    prompted: tuple[torch.Tensor, torch.Tensor], prompts: Prompts, theirs: dict[str, list[float]], before: torch.Tensor | None
) -> None:
    pixels, _ = prompted
    segmenter = Segmenter(TINY.segmenter, TINY.segmenter_size).eval()
    given = {name: torch.tensor(value)[None, None] for name, value in theirs.items()}
    with torch.no_grad():
        ours = segmenter.decode(segmenter.encode_image(pixels), replace(prompts, masks=before))
        expected = segmenter.sam2_model(
            pixel_values=pixels, **given, input_masks=None if before is None else before[None], multimask_output=False
        )
    assert (ours.logits - expected.pred_masks[0, 0]).abs().max() < 1e-5 * expected.pred_masks.abs().max()
    assert torch.allclose(ours.expected_iou, expected.iou_scores.flatten(), atol=1e-6)


def test_several_masks_are_drawn_for_one_point_and_one_for_more() -> None:
    point, corner = (20.5, 30.5, POSITIVE), (8.0, 10.0, NEGATIVE)
    assert placed(point).is_ambiguous
    assert not placed(point, corner).is_ambiguous
    assert not replace(placed(point), masks=torch.zeros(1, 16, 16)).is_ambiguous


def test_a_state_with_points_is_another_prompt_than_either(prompted: tuple[torch.Tensor, torch.Tensor]) -> None:
    pixels, states = prompted
    segmenter = Segmenter(TINY.segmenter, TINY.segmenter_size).eval()
    point = placed((20.5, 30.5, POSITIVE))
    with torch.no_grad():
        features = segmenter.encode_image(pixels)
        drawn = [segmenter.decode(features, each).logits for each in (Prompts(states[:1]), point, replace(point, states=states[:1]))]
    assert not torch.allclose(drawn[2], drawn[0])
    assert not torch.allclose(drawn[2], drawn[1])
