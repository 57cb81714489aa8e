import pytest
import torch
from transformers import DynamicCache

from ai_engine.model.config import TINY, TextConfig
from ai_engine.model.decoding import Rows, SmallRows
from ai_engine.model.language import Language
from ai_engine.model.unified import UnifiedModel

BLOCKS = TextConfig(hidden_size=64, layers=2, heads=4, key_value_heads=2, intermediate_size=96, mrope_section=(2, 3, 3))
"""Sections in three blocks and untied words, as published Qwen2.5-VL has them."""
SHAPES = {"small": TINY, "published": TINY.model_copy(update={"text": BLOCKS.model_copy(update={"tie_word_embeddings": False})})}


@pytest.mark.parametrize("write", [Rows, SmallRows])
@pytest.mark.parametrize("shape", SHAPES)
def test_text_written_token_by_token_is_that_of_transformers(shape: str, write: type[Rows], tiny_language: Language) -> None:
    torch.manual_seed(0)
    model = UnifiedModel(SHAPES[shape], tiny_language).eval()
    tower = model.mllm.model.language_model
    for norm in (each for each in tower.modules() if "norm" in type(each).__name__.lower()):
        torch.nn.init.uniform_(norm.weight, 0.5, 1.5)
    texts = [torch.randint(20, 300, (length,)) for length in (5, 12, 9)]
    starts, news = (3, 1, 2), torch.randint(20, 300, (3, 6))

    def places(start: int, count: int) -> torch.Tensor:
        return torch.arange(start, start + count).expand(3, 1, -1)

    with torch.no_grad():
        cache = DynamicCache(config=model.mllm.config.text_config)
        at = torch.cat([places(start, len(text)) for start, text in zip(starts, texts, strict=True)], 2)
        own = torch.cat([torch.arange(len(text)) for text in texts])[None, None]
        tower(input_ids=torch.cat(texts)[None], position_ids=torch.cat([own, at]), past_key_values=cache, use_cache=True)
        ends = [start + len(text) for start, text in zip(starts, texts, strict=True)]
        rows = write(tower, cache, [len(text) for text in texts], ends, 6)
        first = torch.stack([rows.write(news[:, step]) for step in range(3)], 1)
        rows.keep(torch.tensor([0, 2]))
        rest = torch.stack([rows.write(news[[0, 2], step]) for step in range(3, 6)], 1)
        for row, (text, start) in enumerate(zip(texts, starts, strict=True)):
            whole = torch.cat([text, news[row]])
            expected = tower(input_ids=whole[None], position_ids=places(start, len(whole))).last_hidden_state[0, len(text) :]
            assert (first[row] - expected[:3]).abs().max() < 1e-4
            if row != 1:
                assert (rest[row // 2] - expected[3:]).abs().max() < 1e-4
