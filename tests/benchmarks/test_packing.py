"""Packed and padded, the benchmark's samples are the same to the model."""

import numpy as np
import pytest
import torch

from ai_engine.model.config import TINY
from ai_engine.model.language import Language
from ai_engine.model.unified import UnifiedModel
from benchmarks.packing import chest, mean_loss, mixed, padded, seconds_of
from training.examples import Encoder, texts
from training.joint import Learner, Scaffold
from training.packing import IGNORED, pack
from training.stages import Augmentation, Stage, Weights


@pytest.mark.parametrize("masks", [False, True])
def test_padding_changes_neither_what_is_learned_nor_how_much(masks: bool) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    weights = Weights(token=1, dice=2 * masks, mask_cross_entropy=1 * masks)
    stage = Stage(name="3", steps=1, learning_rates={"language": 1e-5}, weights=weights)
    language = Language.train(texts([chest(rng) for _ in range(4)], 0), TINY.vocabulary_size, TINY.image_size)
    learner = Learner(UnifiedModel(TINY, language), Scaffold(TINY))
    samples = mixed(Encoder(learner.model, language, Augmentation()), 12, weights, longest_text=60)
    longest = max(len(sample.input_ids) for sample in samples)
    packed = pack(samples, 2 * longest, language.seg, pytest.fail)
    batches = [padded(samples[first : first + 3], language.seg, longest) for first in range(0, 12, 3)]
    assert len(packed) < len(batches) * 3
    assert sum(int((row.labels != IGNORED).sum()) for row in packed) == sum(int((row.labels != IGNORED).sum()) for row in batches)
    assert mean_loss(learner, packed, stage) == pytest.approx(mean_loss(learner, batches, stage), rel=1e-4)
    assert seconds_of(learner, batches[:1], stage) > 0
