"""Labels follow the anatomy onto another scan; a warp that folds or misses is rejected."""

from dataclasses import replace

import numpy as np
import pytest
import SimpleITK as sitk

from tests.training.data.chest import chest
from training.data.registration import LUNGS, folded_share, judge, transfer, warped
from training.data.sources import AIR_HU, HEART, Scan


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return float(2 * (one & other).sum() / (one.sum() + other.sum()))


def moved(scan: Scan, steps: tuple[int, int, int]) -> Scan:
    """The same patient some voxels further along each axis of the same grid."""

    def roll(values: np.ndarray, outside: int) -> np.ndarray:
        there = np.full_like(values, outside)
        target = tuple(slice(max(0, step), values.shape[axis] + min(0, step)) for axis, step in enumerate(steps))
        source = tuple(slice(max(0, -step), values.shape[axis] - max(0, step)) for axis, step in enumerate(steps))
        there[target] = values[source]
        return there

    return replace(scan, hounsfield=roll(scan.hounsfield, AIR_HU), labels=roll(scan.labels, 0))


def test_a_scan_laid_over_itself_keeps_its_labels() -> None:
    scan = chest()
    assert np.array_equal(warped(scan, scan, sitk.Transform()), scan.labels)


def test_labels_follow_a_patient_who_lies_elsewhere() -> None:
    template, steps = chest(), (3, -2, 4)
    subject = moved(template, steps)
    result = transfer(template, subject)
    assert result.quality.state == "draft"
    assert result.quality.folded_share <= 0.01
    for value in (*LUNGS, HEART):
        assert dice(result.labels == value, subject.labels == value) >= 0.98


def test_a_label_is_read_backwards_through_the_warp() -> None:
    template = chest()
    subject = moved(template, (0, 0, 5))
    back = sitk.TranslationTransform(3, [-5 * template.spacing_mm[2], 0.0, 0.0])
    assert np.array_equal(warped(template, subject, back)[:, :, 5:], subject.labels[:, :, 5:])


def field(fold: float) -> sitk.Image:
    """A displacement along x that runs back over itself in ``fold`` of the volume: its derivative is -2 there."""
    x = np.zeros((10, 10, 100))
    x[:, :, : round(fold * 100)] = -2.0 * np.arange(round(fold * 100))
    x[:, :, round(fold * 100) :] = x[0, 0, round(fold * 100) - 1] if fold else 0
    return sitk.GetImageFromArray(np.stack([x, np.zeros_like(x), np.zeros_like(x)], -1), isVector=True)


def test_a_folded_field_is_rejected() -> None:
    assert folded_share(field(0.0)) == 0
    share = folded_share(field(0.3))
    assert share == pytest.approx(0.3, abs=0.02)
    assert judge(share, {1: 0.95}).state == "rejected"
    assert judge(0.01, {1: 0.8}).state == "draft"


def test_a_missed_organ_is_rejected() -> None:
    assert judge(0.0, {1: 0.95, 2: 0.79}).state == "rejected"
