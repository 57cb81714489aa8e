"""A clip shows one volume with one set of lesions, slice after slice, in one field of view."""

import numpy as np
import pytest

from tests.training.data.chest import ball, chest
from training.data.clips import Clip, clip


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    rng = np.random.default_rng(3)
    return [clip(chest(), [ball(5)], 5, rng, longest_step=2) for _ in range(10)]


def test_everything_that_is_named_is_on_the_key_slice_and_hangs_together_along_the_slices(clips: list[Clip]) -> None:
    assert {"right lung", "left lung"} < {label for each in clips for label in each.masks}
    assert any("nodule" in label or "opacity" in label or "consolidation" in label for each in clips for label in each.masks)
    for each in clips:
        assert each.images.shape[0] == 5
        for label, mask in each.masks.items():
            assert mask.shape == each.images.shape
            assert mask[0].any()
            if label.endswith("lung") and mask[1].any():
                assert (mask[0] & mask[1]).sum() > 0.5 * min(mask[0].sum(), mask[1].sum()), "the same field of view"


def test_clips_run_to_the_head_and_to_the_feet_at_several_steps(clips: list[Clip]) -> None:
    assert {each.step_mm / chest().spacing_mm[0] for each in clips} == {1, 2}
    lungs = [each.masks["left lung"] for each in clips if "left lung" in each.masks]
    grows = {np.sign(int(lung[-1].sum()) - int(lung[0].sum())) for lung in lungs}
    assert {-1, 1} <= grows


def test_a_clip_that_is_longer_than_a_lesion_is_shaped_is_refused() -> None:
    with pytest.raises(ValueError, match="reach further"):
        clip(chest(), [ball(4)], 9, np.random.default_rng(0), longest_step=2)
