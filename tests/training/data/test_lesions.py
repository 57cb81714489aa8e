"""Lesions lie inside their lung, where their pattern says."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from tests.training.data.chest import ellipsoid
from training.data import lesions


def lung_with_depth() -> tuple[np.ndarray, np.ndarray]:
    lung = ellipsoid((140, 120, 90), (120, 80, 55))
    box = np.argwhere(lung)
    (a, b, c), (d, e, f) = box.min(0), box.max(0) + 1
    lung = lung[a:d, b:e, c:f]
    depth = distance_transform_edt(np.pad(lung, 1))[1:-1, 1:-1, 1:-1]
    return lung, (depth / depth.max()).astype(np.float32)


@pytest.mark.parametrize("pattern", lesions.PATTERNS)
@pytest.mark.parametrize("extent", [0.1, 0.5])
def test_an_opacity_takes_its_share_of_the_lung_and_nothing_else(pattern: lesions.Pattern, extent: float) -> None:
    lung, depth = lung_with_depth()
    weight = lesions.opacity(lung, depth, pattern, extent, 0.05, np.random.default_rng(1))
    assert not weight[~lung].any()
    assert (weight[lung] > 0.3).mean() == pytest.approx(extent, abs=0.12)


def test_patterns_lie_where_they_say() -> None:
    lung, depth = lung_with_depth()
    weights = {name: lesions.opacity(lung, depth, name, 0.3, 0.05, np.random.default_rng(2)) for name in lesions.PATTERNS}
    mean_depth = {name: np.average(depth[lung], weights=weight[lung]) for name, weight in weights.items()}
    assert mean_depth["peripheral"] < mean_depth["diffuse"] < mean_depth["central"]
    height = np.broadcast_to(np.arange(lung.shape[0])[:, None, None], lung.shape)
    assert np.average(height[lung], weights=weights["basal"][lung]) < 0.4 * lung.shape[0]


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_collapsed_lung_keeps_to_its_hilum_and_leaves_air_at_the_wall(side: str) -> None:
    lung, _ = lung_with_depth()
    left_over = lesions.collapsed(lung, side, 0.4, (4.0, 3.0, 3.0))
    assert not (left_over & ~lung).any()
    air = lung & ~left_over
    assert 0.2 < air.sum() / lung.sum() < 0.9
    columns = np.broadcast_to(np.arange(lung.shape[2]), lung.shape)
    outwards = -1 if side == "right" else 1  # the patient's right lung has its wall at low columns
    assert outwards * (columns[air].mean() - columns[left_over].mean()) > 0
    more = lung & ~lesions.collapsed(lung, side, 0.6, (4.0, 3.0, 3.0))
    assert more.sum() > air.sum()
