"""A film shows more than the CT did, keeps its masks in place, and marks tubes where it draws them."""

import numpy as np

from tests.training.data.chest import chest
from training.data import drr, film


def test_shoulders_fill_the_air_beside_the_neck_and_leave_the_lungs() -> None:
    body = drr.pose(chest(), np.random.default_rng(0), amount=0)
    lungs = body.shadows["right lung"] | body.shadows["left lung"]
    more = [film.surroundings(body.soft, lungs, drr.STEP_MM[0], np.random.default_rng(seed)) - body.soft for seed in range(12)]
    corners = [max(change[:20, :30].max(), change[:20, -30:].max()) for change in more]
    assert max(corners) > 0.5
    assert np.median([change[lungs].mean() for change in more]) < 0.15


def test_masks_follow_the_film() -> None:
    body = drr.pose(chest(), np.random.default_rng(0), amount=0)
    for seed in range(4):
        image, masks = film.developed(body.soft + body.excess, dict(body.shadows), np.random.default_rng(seed))
        assert max(image.shape) == film.SIZE
        assert all(mask.shape == image.shape for mask in masks.values())
        assert 0 <= image.min() <= image.max() <= 255
        right, left = (np.argwhere(masks[f"{side} lung"])[:, 1].mean() for side in ("right", "left"))
        assert right < left


def test_a_tube_is_brighter_than_what_it_lies_on() -> None:
    grey = np.full((200, 200), 0.4, np.float32)
    masks = {"right lung": np.zeros((200, 200), bool), "left lung": np.zeros((200, 200), bool)}
    masks["right lung"][30:170, 30:90], masks["left lung"][30:170, 110:170] = True, True
    found: set[str] = set()
    for seed in range(60):
        drawn, tubes = film._with_tubes(grey.copy(), masks, np.random.default_rng(seed))
        found |= tubes.keys()
        for mask in tubes.values():
            assert drawn[mask].max() > 0.45
    assert found == {"endotracheal tube", "central venous catheter", "nasogastric tube"}
