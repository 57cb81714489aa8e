import numpy as np
import pytest

from training.calibrate import best_bound, bound_of, fit


def test_odds_that_are_twice_too_sure_are_halved() -> None:
    rng = np.random.default_rng(0)
    true_odds = rng.normal(-1, 2, 20_000)
    there = rng.random(20_000) < 1 / (1 + np.exp(-true_odds))
    scale = fit(np.stack([2 * true_odds + 1, rng.normal(size=true_odds.size)], 1), there)
    assert scale.slope == pytest.approx(0.5, abs=0.02)
    assert scale.mask_slope == pytest.approx(0, abs=0.05)
    assert scale.shift == pytest.approx(-0.5, abs=0.05)


def test_two_witnesses_count_for_what_each_of_them_knows() -> None:
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2, (20_000, 2))
    there = rng.random(20_000) < 1 / (1 + np.exp(-(0.5 * scores[:, 0] + 1.5 * scores[:, 1])))
    scale = fit(scores, there)
    assert (scale.slope, scale.mask_slope, scale.shift) == pytest.approx((0.5, 1.5, 0), abs=0.06)
    assert fit(scores * (1, -1), there).mask_slope == 0


def test_a_model_that_is_never_wrong_gets_a_finite_scale() -> None:
    scale = fit(np.array([[-5.0, 0], [-4.0, 0], [4.0, 0], [6.0, 0]]), np.array([False, False, True, True]))
    assert 0 < scale.slope < 100
    assert scale.probability(5.0) > 0.9
    assert scale.probability(-5.0) < 0.1


def test_the_bound_of_doubt_is_where_f1_is_best() -> None:
    # Called from 0.30 on: 2 right, 1 wrong, none missed, F1 0.8; from 0.41 on: 1 right, 1 missed, F1 0.67.
    probabilities = np.array([0.1, 0.2, 0.35, 0.4, 0.9])
    assert best_bound(probabilities, np.array([False, False, False, True, True])) == pytest.approx(0.4)
    assert best_bound(probabilities, np.array([False, False, True, False, True])) == pytest.approx(0.35)


def test_a_bound_calls_as_many_as_other_weights_did() -> None:
    probabilities = np.array([0.1, 0.2604, 0.7, 0.4])
    for count in (1, 2, 3):
        assert (probabilities >= bound_of(probabilities, count)).sum() == count
