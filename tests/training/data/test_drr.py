"""Projections follow Beer-Lambert, and masks lie where their voxels cast their shadow."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.training.data.chest import ball, chest, ellipsoid
from training.data import drr
from training.data.drr import Opacity, Wanted, attenuation, project, project_mask, render
from training.data.sources import ABDOMEN, HEART, LEFT_LUNG

SPACING = (0.8, 2.5, 0.8)


def sphere(centre_mm: tuple[float, float, float], radius_mm: float, shape: tuple[int, int, int] = (60, 24, 70)) -> np.ndarray:
    grid = np.meshgrid(*(np.arange(size) * step for size, step in zip(shape, SPACING, strict=True)), indexing="ij")
    return sum((axis - middle) ** 2 for axis, middle in zip(grid, centre_mm, strict=True)) < radius_mm**2


def extent(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return rows[0], columns[0], rows[-1] + 1, columns[-1] + 1


def test_a_sphere_of_water_casts_its_shadow_and_its_line_integral() -> None:
    body = sphere((24, 31.25, 28), 15)
    shadow = project_mask(body)
    row0, column0, row1, column1 = extent(shadow)
    centre_row, centre_column = 59 - 24 / 0.8, 28 / 0.8
    analytic = (centre_row - 15 / 0.8, centre_column - 15 / 0.8, centre_row + 15 / 0.8 + 1, centre_column + 15 / 0.8 + 1)
    assert np.abs(np.subtract((row0, column0, row1, column1), analytic)).max() <= 1
    line = project(attenuation(np.where(body, 0, -1000).astype(np.float32)), SPACING[1])
    assert line.max() == pytest.approx(0.02 * 30, rel=0.03)


def test_moving_the_body_moves_the_shadow() -> None:
    before = extent(project_mask(sphere((24, 30, 28), 10)))
    after = extent(project_mask(sphere((24 + 4 * 0.8, 30, 28 + 3 * 0.8), 10)))
    assert after == tuple(np.add(before, (-4, 3, -4, 3)))


def test_one_behind_the_other_keep_two_shadows() -> None:
    front, back = sphere((24, 15, 28), 8), sphere((24, 45, 30), 12)
    assert extent(project_mask(front)) != extent(project_mask(back))
    assert (project_mask(front) & project_mask(back)).any()


def test_a_mirrored_body_has_a_mirrored_shadow() -> None:
    body = sphere((24, 30, 16), 10)
    assert np.array_equal(project_mask(body[:, :, ::-1]), project_mask(body)[:, ::-1])


def test_air_lets_everything_through() -> None:
    line = project(attenuation(np.full((4, 5, 6), -1000, np.float32)), 2.0)
    assert np.exp(-line) == pytest.approx(1)


def test_head_is_up_and_the_patients_right_is_on_the_left() -> None:
    body = drr.pose(chest(), np.random.default_rng(0), amount=0)
    right, left = (np.argwhere(body.shadows[f"{side} lung"]).mean(0) for side in ("right", "left"))
    assert right[1] < left[1]
    heart = np.argwhere(body.shadows["mediastinum"]).mean(0)
    assert right[1] < heart[1] < left[1]
    assert body.shadows["mediastinum"].shape == body.soft.shape


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("pleural effusion", lambda side: Wanted({side: 60.0})),
        ("nodule", lambda side: Wanted({}, nodules=(side,))),
        ("consolidation", lambda side: Wanted({}, opacities=(Opacity("consolidation", side, "focal", 0.2),))),
        ("ground glass opacity", lambda side: Wanted({}, opacities=(Opacity("ground glass opacity", side, "peripheral", 0.5),))),
        ("pneumothorax", lambda side: Wanted({}, collapse={side: 0.4})),
    ],
)
def test_lesions_are_where_they_were_asked_for(name: str, wanted: Callable[[str], Wanted], side: str) -> None:
    body = drr.pose(chest(), np.random.default_rng(0), amount=0)
    plain, _ = render(body, Wanted({}), [], np.random.default_rng(1))
    line, masks = render(body, wanted(side), [ball(6)[:, ::2]], np.random.default_rng(1))
    assert {label for label in masks if label not in body.shadows} == {f"{side} {name}"}
    seen = masks[f"{side} {name}"]
    assert not (seen & ~body.shadows[f"{side} lung"]).any()
    change = line - plain
    if name == "pneumothorax":  # darker than the lung was, and nothing of the lung lies in front
        assert change[seen].max() < 0
    else:
        assert change[seen].mean() > 4 * np.abs(change[~seen]).mean()
        assert change[seen].max() > drr.CONSPICUOUS


def test_ground_glass_is_fainter_than_consolidation() -> None:
    body = drr.pose(chest(), np.random.default_rng(0), amount=0)
    plain, _ = render(body, Wanted({}), [], np.random.default_rng(1))
    changes = {}
    for name in ("consolidation", "ground glass opacity"):
        line, masks = render(body, Wanted({}, opacities=(Opacity(name, "left", "diffuse", 0.5),)), [], np.random.default_rng(1))
        changes[name] = (line - plain)[masks[f"left {name}"]].mean()
    assert changes["consolidation"] > 1.5 * changes["ground glass opacity"] > 0


@pytest.mark.parametrize(("width", "labels"), [(0.42, {"heart"}), (0.52, set()), (0.6, {"heart", "cardiomegaly"})])
def test_a_heart_is_called_large_by_its_share_of_the_chest(width: float, labels: set[str]) -> None:
    chest_scan = chest()
    columns = np.flatnonzero((np.isin(chest_scan.labels, (1, LEFT_LUNG))).any((0, 1)))
    half = width * np.ptp(columns) * 3.0 / 2
    chest_scan.labels[chest_scan.labels == HEART] = 0
    chest_scan.labels[ellipsoid((110, 90, 165), (50, 45, half))] = HEART
    body = drr.pose(chest_scan, np.random.default_rng(0), amount=0)
    assert {"heart", "cardiomegaly"} & body.shadows.keys() == labels


def test_a_lesion_in_fluid_is_not_seen() -> None:
    body = drr.pose(chest(), np.random.default_rng(0), amount=0)
    _, masks = render(body, Wanted({"right": 500.0}, nodules=("right",)), [ball(4)], np.random.default_rng(2))
    assert "right pleural effusion" in masks
    assert "right nodule" not in masks


def test_a_faint_lesion_leaves_no_trace() -> None:
    body = drr.pose(chest(), np.random.default_rng(0), amount=0)
    plain, _ = render(body, Wanted({}), [], np.random.default_rng(1))
    line, masks = render(body, Wanted({}, nodules=("left",)), [ball(1)[1:2, 1:2]], np.random.default_rng(1))
    assert "left nodule" not in masks
    assert np.array_equal(line, plain)


def test_the_lung_of_a_film_ends_at_the_dome() -> None:
    scan = chest()
    dome = ellipsoid((40, 90, 90), (60, 40, 50))
    scan.labels[dome] = ABDOMEN
    body = drr.pose(scan, np.random.default_rng(0), amount=0)
    plain = drr.pose(chest(), np.random.default_rng(0), amount=0)
    lost = plain.shadows["right lung"] & ~body.shadows["right lung"]
    assert (lost & (body.cast(body.lungs["right"].astype(np.float32)) > 0)).any()  # the lung goes on behind the dome
    assert np.flatnonzero(lost.any(1))[0] > np.flatnonzero(plain.shadows["right lung"].any(1)).mean()
    assert np.array_equal(plain.shadows["left lung"], body.shadows["left lung"])


def test_an_effusion_lies_at_the_bottom_of_its_lung() -> None:
    body = drr.pose(chest(), np.random.default_rng(0), amount=0)
    _, masks = render(body, Wanted({"left": 50.0}), [], np.random.default_rng(0))
    fluid, lung = masks["left pleural effusion"], body.shadows["left lung"]
    assert np.flatnonzero(fluid.any(1))[-1] == np.flatnonzero(lung.any(1))[-1]
    assert np.flatnonzero(fluid.any(1))[0] > np.flatnonzero(lung.any(1)).mean()


def test_what_cannot_be_seen_is_not_there() -> None:
    body = drr.pose(chest(), np.random.default_rng(0), amount=0)
    hidden = replace(body, hounsfield=np.full_like(body.hounsfield, 60))
    _, masks = render(hidden, Wanted({"left": 50.0}), [], np.random.default_rng(0))
    assert "left pleural effusion" not in masks


def test_the_same_seed_makes_the_same_film() -> None:
    body = drr.pose(chest(), np.random.default_rng(3))
    first, second = (drr.scene(body, [ball(5)], np.random.default_rng(4)) for _ in range(2))
    assert np.array_equal(first.image, second.image)
    assert first.masks.keys() == second.masks.keys()
