from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from ai_engine.model.assistant import Assistant
from ai_engine.model.config import TINY, MemoryConfig
from ai_engine.model.drawing import memory_errors
from ai_engine.model.language import Language
from ai_engine.model.unified import UnifiedModel
from ai_engine.model.weights import save_weights
from radiology.errors import EngineError, OutOfMemory, UnreadableAnswer
from radiology.finding import Presence, Side
from tests.ai_engine.conftest import NODULE, REPORT, RIGHT_LUNG, TRUTH, chest


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def test_a_reading_has_sentences_with_the_places_they_are_about(taught_assistant: Assistant) -> None:
    reading = taught_assistant.read(chest(112, 112), "projection")
    assert reading.raw_text == REPORT + "<|im_end|>"
    assert reading.impression == "Nodule in the left lung."
    lung, nodule, effusion = reading.sentences
    assert (lung.text, lung.name, lung.side, lung.presence) == ("The right lung is clear.", "lung", Side.RIGHT, Presence.PRESENT)
    assert (nodule.name, nodule.side, nodule.places[0].side) == ("nodule", Side.LEFT, Side.LEFT)
    assert (effusion.name, effusion.presence, effusion.places) == ("pleural effusion", Presence.ABSENT, ())
    assert [place.box for sentence in reading.sentences for place in sentence.places] == [RIGHT_LUNG, NODULE]
    assert all(0 < sentence.confidence <= 1 for sentence in reading.sentences)


def test_there_is_one_mask_for_each_seg_where_the_image_shows_it(taught_assistant: Assistant) -> None:
    reading = taught_assistant.read(chest(112, 112), "projection")
    masks = [place.mask for sentence in reading.sentences for place in sentence.places]
    assert len(masks) == reading.raw_text.count("[SEG]")
    for mask, truth in zip(masks, TRUTH, strict=True):
        assert mask is not None
        assert dice(mask.pixels, truth) > 0.7
        assert 0 < mask.score <= 1


@pytest.mark.parametrize(("shape", "spacing_mm"), [((300, 300), None), ((112, 224), (2.0, 1.0)), ((336, 112), (0.1, 0.3))])
def test_places_come_back_in_the_pixels_of_the_source(
    taught_assistant: Assistant, shape: tuple[int, int], spacing_mm: tuple[float, float] | None
) -> None:
    place = taught_assistant.read(chest(*shape), "projection", spacing_mm).sentences[0].places[0]
    assert place.mask is not None
    assert place.mask.pixels.shape == shape
    assert place.mask.pixels.dtype == np.bool_
    scale = np.asarray(shape * 2) / 112
    assert place.box is not None
    assert np.abs(np.asarray(place.box) - np.asarray(RIGHT_LUNG) * scale).max() <= 1
    truth = chest(*shape) < 500
    truth[:, shape[1] // 2 :] = False
    assert dice(place.mask.pixels, truth) > 0.85


def test_the_reasoning_has_boxes_in_the_pixels_of_the_source(taught_assistant: Assistant) -> None:
    parts = taught_assistant.read(chest(224, 224), "projection").steps[0].parts
    assert [part.name for part in parts] == ["right lung", "left lung", "left nodule"]
    assert parts[0].box == tuple(2 * edge for edge in RIGHT_LUNG)


def test_the_same_image_is_read_the_same(taught_assistant: Assistant) -> None:
    first, second = (taught_assistant.read(chest(150, 150), "ct") for _ in range(2))
    assert first.raw_text == second.raw_text
    for one, other in zip(first.sentences, second.sentences, strict=True):
        assert one.confidence == other.confidence
        for place, again in zip(one.places, other.places, strict=True):
            assert place.mask is not None
            assert again.mask is not None
            assert np.array_equal(place.mask.pixels, again.mask.pixels)


def test_a_model_that_was_not_trained_with_indications_is_not_shown_any(taught_assistant: Assistant) -> None:
    image = chest(112, 112)
    plain, with_reason = taught_assistant.read(image, "projection"), taught_assistant.read(image, "projection", indication="cough")
    assert plain.raw_text == with_reason.raw_text
    assert plain.sentences[0].confidence == with_reason.sentences[0].confidence


def test_masks_are_followed_into_the_slices_beside_and_only_as_far_as_asked(taught_assistant: Assistant) -> None:
    image = chest(112, 112)
    places = [place for sentence in taught_assistant.read(image, "projection").sentences for place in sentence.places]
    states = [place.seg_state for place in places if place.seg_state is not None]
    looked_at = []

    def slices() -> Iterator[NDArray[np.float32]]:
        for index in range(5):
            looked_at.append(index)
            yield image

    followed = taught_assistant.follow(image, slices(), "projection", states)
    for masks in (next(followed), next(followed)):
        for place, mask in zip(places, masks, strict=True):
            assert place.mask is not None
            assert np.array_equal(place.mask.pixels, mask.pixels)
            assert place.mask.score == pytest.approx(mask.score)
    assert looked_at == [0, 1]


def test_a_followed_object_that_is_gone_has_an_empty_mask(tiny_language: Language) -> None:
    memory = MemoryConfig(layers=1, intermediate_size=32, masks=2, pointers=2)
    segmenter = TINY.segmenter.model_copy(update={"feature_size": 64, "memory": memory})
    torch.manual_seed(0)
    model = UnifiedModel(TINY.model_copy(update={"segmenter": segmenter}), tiny_language).eval()
    presence = model.grounding_encoder.sam2_model.mask_decoder.pred_obj_score_head.proj_out
    nn.init.zeros_(presence.weight)
    image = chest(64, 64)
    areas = []
    for bias in (1.0, -1.0):
        nn.init.constant_(presence.bias, bias)
        states = list(4 * torch.randn(8, TINY.text.hidden_size, generator=torch.Generator().manual_seed(0)))
        masks = next(Assistant(model, tiny_language).follow(image, [image], "ct", states))
        areas.append((sum(np.count_nonzero(mask.pixels) for mask in masks), max(mask.score for mask in masks)))
    assert areas[0][0] > 0
    assert areas[1] == (0, 0.0)


def test_text_that_is_no_answer_is_refused_and_kept(tiny_model: UnifiedModel, tiny_language: Language) -> None:
    with pytest.raises(UnreadableAnswer) as refused:
        Assistant(tiny_model, tiny_language, maximum_new_tokens=5).read(chest(64, 64), "projection")
    assert refused.value.raw_text


def test_an_answer_that_was_cut_is_refused(taught_assistant: Assistant) -> None:
    short = Assistant(taught_assistant.model, taught_assistant.language, maximum_new_tokens=60)
    with pytest.raises(UnreadableAnswer) as refused:
        short.read(chest(112, 112), "projection")
    assert REPORT.startswith(refused.value.raw_text)


def test_a_saved_assistant_reads_as_before(taught_assistant: Assistant, tmp_path: Path) -> None:
    digest = save_weights(tmp_path, taught_assistant.model, taught_assistant.language)
    loaded = Assistant.load(tmp_path, threads=1)
    assert loaded.weights_hash == digest
    assert loaded.config == TINY
    assert loaded.read(chest(112, 112), "projection").raw_text == REPORT + "<|im_end|>"


def test_a_device_that_is_not_there_is_named(taught_assistant: Assistant, tmp_path: Path) -> None:
    save_weights(tmp_path, taught_assistant.model, taught_assistant.language)
    with pytest.raises(EngineError, match="cuda:99"):
        Assistant.load(tmp_path, device="cuda:99", threads=1)


def test_too_little_memory_is_said_as_such() -> None:
    with pytest.raises(OutOfMemory), memory_errors():
        torch.empty(1 << 60, dtype=torch.uint8)
