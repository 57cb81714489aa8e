from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch.nn import functional

from ai_engine.model.assistant import Assistant
from ai_engine.model.config import TINY
from ai_engine.model.images import Letterbox, mllm_input, windowed
from ai_engine.model.language import STRUCTURE_TOKENS, Language
from ai_engine.model.prompt import QUERIES, answer_ids, prompt_ids
from ai_engine.model.unified import UnifiedModel
from tests.ai_engine.conftest import REPORT, chest

PATCHES = (TINY.image_size // 14) ** 2


def sample(language: Language, answer: str, pictures: int = 1) -> torch.Tensor:
    return torch.tensor(prompt_ids(language, pictures * TINY.visual_tokens, "What is there?") + answer_ids(language, answer))


def patches_of(rows: int, columns: int) -> torch.Tensor:
    channels = windowed(chest(rows, columns), "projection")
    return torch.from_numpy(mllm_input(Letterbox.fit((rows, columns), TINY.image_size).image(channels)))


@pytest.fixture
def mixed(tiny_language: Language) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """A question, a segmentation, a text without a picture and another segmentation: (input_ids, patches) each."""
    answers = [("Yes.", 1), ("The right lung [SEG] and the left lung [SEG].", 1), ("No pleural effusion.", 0), ("A nodule [SEG].", 1)]
    return [(sample(tiny_language, text, pictures), torch.randn(pictures * PATCHES, 1176)) for text, pictures in answers]


def pack(model: UnifiedModel, samples: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    ids, patches = zip(*samples, strict=True)
    return torch.cat(ids)[None], torch.cat([model.positions(each) for each in ids], 1)[:, None], torch.cat(patches)


def test_parameters_have_the_names_of_the_paper(tiny_model: UnifiedModel) -> None:
    prefixes = ("mllm.", "seg_projector.0.", "seg_projector.2.", "grounding_encoder.sam2_model.")
    assert all(name.startswith(prefixes) for name in tiny_model.state_dict())
    assert all(any(name.startswith(prefix) for name in tiny_model.state_dict()) for prefix in prefixes)


def test_packed_samples_do_not_see_each_other(tiny_model: UnifiedModel, mixed: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
    with torch.no_grad():
        together = tiny_model(*pack(tiny_model, mixed))
        alone = [tiny_model(*pack(tiny_model, [each])) for each in mixed]
    assert (together.hidden - torch.cat([each.hidden for each in alone], 1)).abs().max() < 1e-4
    assert (together.visual - torch.cat([each.visual for each in alone])).abs().max() < 1e-4


def test_packing_does_not_change_the_token_loss(tiny_model: UnifiedModel, mixed: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
    def loss(samples: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        ids, positions, patches = pack(tiny_model, samples)
        hidden = tiny_model(ids, positions, patches).hidden
        keep = positions[0, 0, 1:] > 0  # the first token of a sample is not the next of the one before it
        return functional.cross_entropy(tiny_model.logits(hidden[0, :-1][keep]), ids[0, 1:][keep], reduction="sum")

    with torch.no_grad():
        assert loss(mixed).item() == pytest.approx(sum(loss([each]).item() for each in mixed), rel=1e-5)


def test_every_seg_of_a_mixed_pack_draws_on_its_own_image(
    tiny_model: UnifiedModel, tiny_language: Language, mixed: list[tuple[torch.Tensor, torch.Tensor]]
) -> None:
    pixels = torch.randn(3, 3, TINY.segmenter_size, TINY.segmenter_size)

    def masks(samples: list[tuple[torch.Tensor, torch.Tensor]], images: torch.Tensor, image_index: list[int]) -> torch.Tensor:
        ids, positions, patches = pack(tiny_model, samples)
        states = tiny_model(ids, positions, patches).hidden[ids == tiny_language.seg]
        return tiny_model.decode_masks(tiny_model.encode_image(images), tiny_model.project(states), torch.tensor(image_index))[0]

    with torch.no_grad():
        together = masks(mixed, pixels, [1, 1, 2])
        second = masks([mixed[1]], pixels[1:2], [0, 0])
        fourth = masks([mixed[3]], pixels[2:], [0])
    assert together.shape == (3, TINY.mask_size, TINY.mask_size)
    assert (together - torch.cat([second, fourth])).abs().max() < 1e-4


def test_a_model_without_a_seg_draws_nothing(tiny_model: UnifiedModel) -> None:
    features = tiny_model.encode_image(torch.randn(1, 3, TINY.segmenter_size, TINY.segmenter_size))
    logits, iou = tiny_model.decode_masks(features, torch.zeros(0, TINY.segmenter.feature_size))
    assert logits.shape[0] == iou.shape[0] == 0


def test_gradients_reach_every_part(tiny_model: UnifiedModel, tiny_language: Language) -> None:
    ids = sample(tiny_language, "A nodule [SEG].")
    thought = tiny_model(*pack(tiny_model, [(ids, torch.randn(PATCHES, 1176))]))
    features = tiny_model.encode_image(torch.randn(1, 3, TINY.segmenter_size, TINY.segmenter_size))
    logits, _ = tiny_model.decode_masks(features, tiny_model.project(thought.hidden[0, ids == tiny_language.seg]))
    logits.square().mean().backward()
    for part in (
        tiny_model.mllm.model.visual.patch_embed.proj,
        tiny_model.mllm.model.language_model.layers[0].self_attn.q_proj,
        tiny_model.seg_projector[0],
        tiny_model.grounding_encoder.sam2_model.vision_encoder.backbone.patch_embed.projection,
    ):
        assert part.weight.grad is not None
        assert part.weight.grad.abs().sum() > 0


def test_visual_tokens_are_the_places_of_the_picture_row_by_row(tiny_model: UnifiedModel, tiny_language: Language) -> None:
    # One window of attention per quarter, so that a change stays near its place in the first layers; the largest change tells.
    ids = sample(tiny_language, "Yes.")
    patches = torch.zeros(PATCHES, 1176)
    changed = patches.clone()
    row, column, side = 2, 1, TINY.image_size // 28
    changed[(row * side + column) * 4 : (row * side + column + 1) * 4] = 3.0
    with torch.no_grad():
        difference = tiny_model(*pack(tiny_model, [(ids, changed)])).visual - tiny_model(*pack(tiny_model, [(ids, patches)])).visual
    assert int(difference.norm(dim=1).argmax()) == row * side + column


QUERY = QUERIES["projection"]


def teacher_forced(
    model: UnifiedModel, prompt: list[int], answer: tuple[int, ...], patches: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The whole text with its states, written at once."""
    ids = torch.tensor([*prompt, *answer])
    with torch.no_grad():
        return ids, model(ids[None], model.positions(ids)[:, None], patches).hidden[0]


def test_the_state_of_a_generated_seg_is_that_of_the_written_text(taught_assistant: Assistant) -> None:
    model, language = taught_assistant.model, taught_assistant.language
    prompt, patches = prompt_ids(language, TINY.visual_tokens, QUERY), patches_of(112, 112)
    (generated,) = model.generate([prompt], model.see(patches), 300)
    assert language.decode(generated.ids) == REPORT + "<|im_end|>"
    ids, hidden = teacher_forced(model, prompt, generated.ids, patches)
    written = hidden[ids == language.seg]
    assert written.shape == generated.seg_states.shape == (2, TINY.text.hidden_size)
    assert (generated.seg_states - written).abs().max() < 1e-4
    scores = model.logits(hidden[len(prompt) - 1 : -1])[:, : len(language)]
    scores[:, [language.special_ids[token] for token in STRUCTURE_TOKENS]] = -torch.inf  # these are never answered
    expected = scores.log_softmax(-1).gather(1, torch.tensor(generated.ids)[:, None])[:, 0]
    assert torch.tensor(generated.log_probabilities) == pytest.approx(expected.detach(), abs=1e-4)


def test_answers_written_together_are_those_written_alone(taught_assistant: Assistant, tiny_model: UnifiedModel) -> None:
    language = taught_assistant.language
    prompts = [prompt_ids(language, TINY.visual_tokens, *asked) for asked in ((QUERY,), ("Short?",), (QUERIES["ct"], "cough " * 9))]
    pictures = [patches_of(112, 112), patches_of(224, 100), torch.randn(PATCHES, 1176)]
    for model in (taught_assistant.model, tiny_model):
        together = model.generate(prompts, model.see(torch.cat(pictures)), 150)
        for prompt, patches, answer in zip(prompts, pictures, together, strict=True):
            (alone,) = model.generate([prompt], model.see(patches), 150)
            assert answer.ids == alone.ids
            assert answer.log_probabilities == pytest.approx(alone.log_probabilities, abs=1e-4)
            assert answer.seg_states.shape == alone.seg_states.shape
            ids, hidden = teacher_forced(model, prompt, answer.ids, patches)
            written = hidden[len(prompt) :][ids[len(prompt) :] == language.seg]
            assert torch.allclose(answer.seg_states, written, atol=1e-4)


def test_an_answer_that_is_closed_leaves_the_others_to_be_written(taught_assistant: Assistant) -> None:
    model, language = taught_assistant.model, taught_assistant.language
    closing = prompt_ids(language, TINY.visual_tokens, QUERY)
    almost_done = closing + answer_ids(language, REPORT)[:-1]
    patches = patches_of(112, 112)
    answers = model.generate([closing, almost_done, closing], model.see(patches.repeat(3, 1)), 300)
    assert [language.decode(each.ids) for each in answers] == [REPORT + "<|im_end|>", "<|im_end|>", REPORT + "<|im_end|>"]
    assert len(answers[1].seg_states) == 0


def test_an_answer_cut_right_after_a_seg_still_has_its_state(taught_assistant: Assistant) -> None:
    model, language = taught_assistant.model, taught_assistant.language
    prompt, visual = prompt_ids(language, TINY.visual_tokens, QUERY), taught_assistant.model.see(patches_of(112, 112))
    (whole,) = model.generate([prompt], visual, 300)
    (cut,) = model.generate([prompt], visual, whole.ids.index(language.seg) + 1)
    assert cut.ids[-1] == language.seg
    assert (cut.seg_states - whole.seg_states[:1]).abs().max() < 1e-4


def test_chances_of_answers_to_one_picture_are_those_of_each_prompt_alone(tiny_model: UnifiedModel, tiny_language: Language) -> None:
    prompts = [prompt_ids(tiny_language, TINY.visual_tokens, query) for query in ("Any nodule?", "Is it a chest?", "Which side is it on?")]
    common = prompts[0].index(tiny_language.special_ids["<|vision_end|>"]) + 1
    patches = torch.randn(PATCHES, 1176)
    chances = tiny_model.chances(
        tiny_model.continued(prompts[0][:common], [prompt[common:] for prompt in prompts], tiny_model.see(patches))
    )
    assert chances.sum(-1).tolist() == pytest.approx([1] * 3)
    for prompt, each in zip(prompts, chances, strict=True):
        (alone,) = tiny_model.generate([prompt], tiny_model.see(patches), 1)
        assert int(each.argmax()) == alone.ids[0]
        assert each.max().log().item() == pytest.approx(alone.log_probabilities[0], abs=1e-4)


def test_generations_at_the_same_time_do_not_disturb_each_other(tiny_model: UnifiedModel, tiny_language: Language) -> None:
    def answer(question: tuple[list[int], torch.Tensor]) -> tuple[int, ...]:
        return tiny_model.generate([question[0]], tiny_model.see(question[1]), 12)[0].ids

    questions = [(prompt_ids(tiny_language, TINY.visual_tokens, "word " * length), torch.randn(PATCHES, 1176)) for length in (1, 40, 7)]
    one_by_one = list(map(answer, questions))
    with ThreadPoolExecutor(3) as threads:
        at_once = list(threads.map(answer, questions))
    assert at_once == one_by_one
    assert tiny_model.mllm.model.rope_deltas is None
