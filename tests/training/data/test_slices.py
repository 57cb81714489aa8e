"""Axial slices keep the patient's right on the left, and lesions inside their lung."""

import numpy as np

from tests.training.data.chest import ball, chest
from training.data import slices


def test_sides_and_lesions_of_many_slices() -> None:
    rng = np.random.default_rng(5)
    scenes = [slices.scene(chest(), [ball(4)], rng) for _ in range(12)]
    labels = {label for scene in scenes for label in scene.masks}
    assert {"right lung", "left lung"} < labels
    assert any(label.endswith("nodule") for label in labels)
    for scene in scenes:
        middles = {label: np.argwhere(mask)[:, 1].mean() for label, mask in scene.masks.items()}
        if {"right lung", "left lung"} <= middles.keys():
            assert middles["right lung"] < middles["left lung"]
        for label, mask in scene.masks.items():
            side = label.split()[0]
            lung = scene.masks.get(f"{side} lung")
            if label.endswith(("nodule", "effusion", "consolidation")) and lung is not None:
                assert (mask & lung).sum() >= 0.9 * mask.sum()
