import torch

from ai_engine.model.boxed import Brackets
from ai_engine.model.config import TINY
from ai_engine.model.language import Language
from ai_engine.model.prompt import QUERIES, answer_ids, prompt_ids
from ai_engine.model.tasks import compose_detection
from ai_engine.model.unified import UnifiedModel
from tests.ai_engine.conftest import LEFT_LUNG, REPORT


def test_what_training_writes_can_be_written(tiny_language: Language) -> None:
    brackets = Brackets(tiny_language)
    barred = brackets.added(torch.zeros(len(tiny_language)))
    for text, boxes in ((REPORT, 3), (compose_detection("left lung", [LEFT_LUNG, LEFT_LUNG]), 2)):
        is_open, closed = False, 0
        for number, token in enumerate(answer_ids(tiny_language, text)):
            if is_open:
                assert barred[token] == 0
            was_open, is_open = is_open, brackets.is_open(is_open, token, is_first=number == 0)
            closed += was_open and not is_open
        assert closed == boxes


def test_a_word_is_never_written_where_a_coordinate_belongs(tiny_model: UnifiedModel, tiny_language: Language) -> None:
    opening = tiny_language.encode('{"Part":"lung","bbox":"[')[-1]
    assert tiny_language.decode([opening]).endswith("[")

    def prefer_boxes(module: torch.nn.Module, states: object, scores: torch.Tensor) -> torch.Tensor:
        scores = scores.clone()
        scores[..., opening] += 1000
        return scores

    hook = tiny_model.mllm.lm_head.register_forward_hook(prefer_boxes)
    try:
        prompt = prompt_ids(tiny_language, TINY.visual_tokens, QUERIES["projection"])
        visual = torch.randn(TINY.visual_tokens, TINY.text.hidden_size)
        (generated,) = tiny_model.generate([prompt], visual, 24)
    finally:
        hook.remove()
    words = tiny_language.decode(generated.ids)
    assert words.startswith(tiny_language.decode([opening, opening]))
    for inside in words.split("[")[2:]:
        assert set(inside.partition("]")[0]) <= set("0123456789, ")
