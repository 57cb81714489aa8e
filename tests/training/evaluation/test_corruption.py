from typing import get_args

import numpy as np
import pytest

from tests.training.phantom import chest
from training.evaluation.corruption import SEVERITIES, Corruption, corrupted
from training.evaluation.overlap import dice
from training.evaluation.truth import Truth

CASE = chest(0)
TRUTH = Truth("a", "a", CASE.image.astype(np.float32), "projection", CASE.masks, frozenset())


@pytest.mark.parametrize("how", get_args(Corruption))
def test_every_severity_changes_the_image_more_and_the_masks_only_where_it_is_turned(how: Corruption) -> None:
    images = [corrupted(TRUTH, how, severity) for severity in range(1, 6)]
    changes = [float(np.abs(each.image - TRUTH.image).mean()) for each in images]
    assert changes == sorted(changes)
    assert changes[0] > 0
    same = all(np.array_equal(each.masks["left lung"], TRUTH.masks["left lung"]) for each in images)
    assert same == (how != "rotation")
    assert all(each.image.dtype == np.float32 and each.image.shape == TRUTH.image.shape for each in images)


def test_masks_turn_with_the_image() -> None:
    turned = corrupted(TRUTH, "rotation", 5)
    dark = (turned.image < 90) & (np.hypot(*(np.mgrid[:96, :96] - 47.5)) < 40)
    lungs = turned.masks["left lung"] | turned.masks["right lung"]
    assert dice(dark, lungs & (np.hypot(*(np.mgrid[:96, :96] - 47.5)) < 40)) > 0.9


def test_the_last_inversion_is_whole_and_greys_stay_in_their_range() -> None:
    low, high = TRUTH.image.min(), TRUTH.image.max()
    assert np.allclose(corrupted(TRUTH, "inversion", 5).image, low + high - TRUTH.image, atol=1e-3)
    for how in SEVERITIES:
        worse = corrupted(TRUTH, how, 3).image
        assert low - 1e-3 <= worse.min()
        assert worse.max() <= high + 1e-3
