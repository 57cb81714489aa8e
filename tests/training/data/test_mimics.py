"""What looks like fluid whitens a base as fluid does, has its upper edge elsewhere, and is never in the truth."""

import numpy as np
import pytest

from tests.training.data.chest import ball, chest
from training.data import drr, mimics
from training.data.mimics import DOME, MIMICS, Base


@pytest.fixture(scope="module")
def body() -> drr.Body:
    return drr.pose(chest(), np.random.default_rng(0), amount=0)


def base_of(body: drr.Body, side: str) -> Base:
    return Base.of(side, body.shadows[f"{side} lung"])


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", MIMICS)
def test_it_whitens_the_base_of_its_side_as_fluid_does(body: drr.Body, name: str, side: str) -> None:
    lung = body.shadows[f"{side} lung"]
    lower = lung & (np.arange(lung.shape[0]) > np.flatnonzero(lung.any(1)).mean())[:, None]
    other = body.shadows["left lung" if side == "right" else "right lung"]
    changes = [MIMICS[name](body, base_of(body, side), np.random.default_rng(seed)) for seed in range(4)]
    assert min(change.min() for change in changes) > -1e-5
    assert max(change[lower].max() for change in changes) > drr.CONSPICUOUS
    assert np.mean([change[lower].mean() for change in changes]) > 2 * np.mean([change[other].mean() for change in changes])


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_dome_is_highest_in_its_middle_and_fluid_is_not(body: drr.Body, side: str) -> None:
    lung = body.shadows[f"{side} lung"]
    dome = raised(body, side)
    line, _ = drr.render(body, drr.Wanted({side: 60.0}), [], np.random.default_rng(1))
    fluid = line - drr.render(body, drr.Wanted({}), [], np.random.default_rng(1))[0] > drr.CONSPICUOUS
    columns = np.flatnonzero((dome & lung).any(0))
    middle, wall = columns[len(columns) // 2], columns[2] if side == "right" else columns[-3]
    assert np.flatnonzero(dome[:, middle])[0] < np.flatnonzero((dome & lung)[:, wall])[0]
    assert abs(int(fluid[:, wall].argmax()) - int(fluid[:, middle].argmax())) < 0.2 * np.ptp(np.flatnonzero(lung.any(1)))  # nearly level


def raised(body: drr.Body, side: str) -> np.ndarray:
    return MIMICS[DOME](body, base_of(body, side), np.random.default_rng(3)) > drr.ABDOMEN_MM * drr.MU_WATER


def test_a_lung_ends_at_its_raised_dome_and_what_was_seen_under_it_is_gone(body: drr.Body) -> None:
    covered = raised(body, "left")
    masks = {"left lung": body.shadows["left lung"], "right lung": body.shadows["right lung"], "left consolidation": covered.copy()}
    mimics.hide(masks, "left", covered)
    assert masks.keys() == {"left lung", "right lung"}
    assert not (masks["left lung"] & covered).any()
    assert masks["left lung"].any()
    assert np.array_equal(masks["right lung"], body.shadows["right lung"])


def test_the_truth_holds_fluid_only_where_fluid_was_put_in(body: drr.Body, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mimics, "FLUID_SHARE", 0.0)
    scenes = [mimics.scene(body, [ball(5)], np.random.default_rng(seed)) for seed in range(16)]
    assert not [label for scene in scenes for label in scene.masks if label.endswith("pleural effusion")]
    assert len({name for scene in scenes for name in scene.mimics}) > 4
    assert all(scene.mimics for scene in scenes)


def test_nothing_is_laid_over_a_base_with_fluid(body: drr.Body) -> None:
    masks = dict(body.shadows) | {"left pleural effusion": body.shadows["left lung"]}
    assert [base.side for base in mimics.bases(masks)] == ["right"]


def test_little_fluid_is_in_the_truth_where_it_can_be_seen(body: drr.Body, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mimics, "FLUID_SHARE", 1.0)
    heights = [height for seed in range(40) for height in mimics.draw_wanted(np.random.default_rng(seed)).effusion_mm.values()]
    assert len(heights) == 40
    assert min(heights) < 40 < 100 < max(heights)


def test_the_same_seed_makes_the_same_film(body: drr.Body) -> None:
    first, second = (mimics.scene(body, [ball(5)], np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert first.mimics == second.mimics
