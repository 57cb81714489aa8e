"""A tiny model and hand-made samples for it."""

from collections.abc import Callable

import pytest
import torch

from ai_engine.model.config import TINY
from ai_engine.model.language import Language
from ai_engine.model.prompt import QUERIES, answer_ids, prompt_ids
from ai_engine.model.unified import UnifiedModel
from training.packing import IGNORED, Sample
from training.parts import PARTS

SENTENCES = [
    "The right lung [SEG] is clear.",
    "The left lung [SEG] is clear.",
    "There is a nodule [SEG] in the left lung.",
    "No pleural effusion.",
]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    """Whatever other tests of this process have set: the order of additions depends on it."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def language() -> Language:
    return Language.train(SENTENCES * 4, TINY.vocabulary_size)


@pytest.fixture
def model(language: Language) -> UnifiedModel:
    torch.manual_seed(0)
    return UnifiedModel(TINY, language).train()


@pytest.fixture
def make_sample(model: UnifiedModel, language: Language) -> Callable[..., Sample]:
    def make(answer: str, seed: int = 0, image: bool = True) -> Sample:
        drawn = torch.Generator().manual_seed(seed)
        asked = prompt_ids(language, TINY.visual_tokens if image else 0, QUERIES["projection"])
        said = answer_ids(language, answer)
        ids = torch.tensor(asked + said)
        labels = ids.clone()
        labels[: len(asked)] = IGNORED
        marks = answer.count("[SEG]")
        patches = 4 * TINY.visual_tokens
        return Sample(
            ids,
            labels,
            model.positions(ids)[1:],
            torch.randn(patches, 1176, generator=drawn) if image else None,
            torch.randn(3, TINY.segmenter_size, TINY.segmenter_size, generator=drawn) if marks else None,
            (torch.rand(marks, 32, 32, generator=drawn) > 0.7).float(),
            torch.rand(TINY.visual_tokens, len(PARTS), generator=drawn) if image else None,
            answer,
            torch.arange(marks),
        )

    return make
