"""Masks are carried along slices as SAM 2's own video predictor carries them, several at once, and nothing else changes."""

import pytest
import torch
from transformers import Sam2VideoInferenceSession

from ai_engine.model.config import TINY, MemoryConfig
from ai_engine.model.memory import Track
from ai_engine.model.segmenter import Prompts, Segmenter

SIZE = TINY.segmenter_size
SLICES = 6
WITHOUT = TINY.segmenter.model_copy(update={"feature_size": 128})
MEMORY = MemoryConfig(layers=2, intermediate_size=64, masks=3, pointers=4)


def with_memory(**sizes: object) -> Segmenter:
    """A segmenter whose memory has a say from the start."""
    torch.manual_seed(0)
    segmenter = Segmenter(WITHOUT.model_copy(update={"memory": MEMORY.model_copy(update=sizes)}), SIZE)
    segmenter.initialise()
    sam = segmenter.sam2_model
    for layer in sam.memory_attention.layers:
        for last in (layer.self_attn.o_proj, layer.cross_attn_image.o_proj, layer.linear2):
            last.reset_parameters()
    for values in (sam.memory_temporal_positional_encoding, sam.no_object_pointer, sam.no_memory_embedding):
        torch.nn.init.normal_(values)
    segmenter.eval()
    return segmenter


@pytest.fixture
def segmenter() -> Segmenter:
    return with_memory()


@pytest.fixture
def slices() -> torch.Tensor:
    return torch.randn(SLICES, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def carried(segmenter: Segmenter, slices: torch.Tensor, prompts: torch.Tensor) -> list[torch.Tensor]:
    """Logits [mask, row, column] on every slice after the first."""
    with torch.no_grad():
        features = [segmenter.encode_image(picture[None]) for picture in slices]
        track = Track(segmenter, features[0], Prompts(prompts))
        return [track.step(each).logits for each in features[1:]]


@pytest.mark.parametrize("sam2_1", [True, False], ids=["SAM 2.1", "SAM 2.0"])
def test_masks_are_carried_as_by_the_video_predictor_of_transformers(slices: torch.Tensor, sam2_1: bool) -> None:
    segmenter = with_memory(sam2_1=sam2_1)
    sam = segmenter.sam2_model
    sam.config.multimask_output_in_sam = False
    session = Sam2VideoInferenceSession(video=slices, video_height=SIZE, video_width=SIZE, dtype=torch.float32)
    # The one prompt that the predictor gives on every slice, unasked, is "not a point"; so the key slice has it too.
    nothing = {"point_coords": torch.zeros(1, 1, 1, 2), "point_labels": torch.full((1, 1, 1), -1)}
    session.add_point_inputs(session.obj_id_to_idx(1), 0, nothing)
    session.obj_with_new_inputs = [1]
    sam(session, frame_idx=0)
    theirs = [out.pred_masks[0, 0] for out in sam.propagate_in_video_iterator(session, start_frame_idx=0) if out.frame_idx]
    ours = carried(segmenter, slices, sam.prompt_encoder.not_a_point_embed.weight.detach())
    assert len(theirs) == len(ours) == SLICES - 1
    for mine, their in zip(ours, theirs, strict=True):
        assert torch.allclose(mine[0], their, atol=0.02 * float(their.std()))  # they keep memories in bfloat16


def test_objects_carried_together_are_drawn_as_each_alone(segmenter: Segmenter, slices: torch.Tensor) -> None:
    prompts = torch.randn(3, 128)
    together = carried(segmenter, slices, prompts)
    for number in range(3):
        alone = carried(segmenter, slices, prompts[number : number + 1])
        assert all(torch.allclose(a[number], b[0], atol=1e-4) for a, b in zip(together, alone, strict=True))


def test_tracks_of_two_volumes_run_side_by_side(segmenter: Segmenter, slices: torch.Tensor) -> None:
    prompts = torch.randn(3, 128)
    with torch.no_grad():
        features = [segmenter.encode_image(slices[[index, index + 3]]) for index in range(3)]
        track = Track(segmenter, features[0], Prompts(prompts), image_index=torch.tensor([0, 1, 1]))
        side_by_side = [track.step(each).logits for each in features[1:]]
    second = carried(segmenter, slices[3:], prompts[1:])
    assert all(torch.allclose(both[1:], one, atol=1e-4) for both, one in zip(side_by_side, second, strict=True))


def test_what_is_known_of_the_key_slice_is_remembered_instead_of_what_is_drawn(segmenter: Segmenter, slices: torch.Tensor) -> None:
    with torch.no_grad():
        key, after = (segmenter.encode_image(picture[None]) for picture in slices[:2])
        prompts = torch.randn(1, 128)
        drawn = segmenter.decode(key, Prompts(prompts)).logits

        def next_to(masks: torch.Tensor | None) -> torch.Tensor:
            return Track(segmenter, key, Prompts(prompts), masks=masks).step(after).logits

        as_drawn = (next_to((drawn > 0).float()) - next_to(None)).abs().mean()  # its edges are drawn more finely than a mask's cells
        as_opposite = (next_to((drawn <= 0).float()) - next_to(None)).abs().mean()
        assert as_drawn < 0.5 * as_opposite


def test_the_memory_changes_nothing_on_a_single_image(segmenter: Segmenter, slices: torch.Tensor) -> None:
    plain = Segmenter(WITHOUT, SIZE).eval()
    known = segmenter.state_dict()
    plain.load_state_dict({name: known[name] for name in plain.state_dict()})
    prompts = torch.randn(2, 128)
    with torch.no_grad():
        logits = [segment.decode(segment.encode_image(slices[:1]), Prompts(prompts)).logits for segment in (plain, segmenter)]
    assert torch.equal(*logits)


def test_without_a_memory_every_slice_is_decoded_by_its_prompts_alone(slices: torch.Tensor) -> None:
    torch.manual_seed(0)
    plain = Segmenter(WITHOUT, SIZE).eval()
    prompts = torch.randn(2, 128)
    with torch.no_grad():
        alone = [plain.decode(plain.encode_image(picture[None]), Prompts(prompts)).logits for picture in slices[1:]]
    assert all(torch.equal(a, b) for a, b in zip(carried(plain, slices, prompts), alone, strict=True))


def test_absent_objects_are_remembered_as_absent(segmenter: Segmenter, slices: torch.Tensor) -> None:
    """Once an object is taken for gone, what is drawn later depends on that."""
    presence = segmenter.sam2_model.mask_decoder.pred_obj_score_head.proj_out
    prompts = torch.randn(1, 128)
    there = carried(segmenter, slices, prompts)
    torch.nn.init.constant_(presence.bias, -1.0)
    gone = carried(segmenter, slices, prompts)
    assert torch.allclose(there[0], gone[0], atol=1e-5), "the key slice's object is there, whatever the decoder thinks"
    assert not torch.allclose(there[1], gone[1], atol=1e-3)
