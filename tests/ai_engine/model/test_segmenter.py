import pytest
import torch

from ai_engine.model.config import TINY
from ai_engine.model.segmenter import Segmenter

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
        decoded = segmenter.decode(segmenter.encode_image(pixels), prompts)
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
