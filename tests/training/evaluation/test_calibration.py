import pytest

from training.evaluation.calibration import bins, expected_calibration_error


def test_the_error_of_four_known_answers() -> None:
    # Bins: 0.1-0.2 holds 0.15 (false: off by 0.15), 0.8-0.9 two of 0.85 (one true: off by 0.35), 0.9-1.0 holds 0.95 (true: off by 0.05).
    error = expected_calibration_error([0.95, 0.85, 0.85, 0.15], [True, True, False, False])
    assert error == pytest.approx((0.05 + 2 * 0.35 + 0.15) / 4)


def test_certain_and_right_is_perfect_and_certain_and_wrong_the_worst() -> None:
    assert expected_calibration_error([1.0, 0.0], [True, False]) == 0
    assert expected_calibration_error([1.0, 0.0], [False, True]) == 1
    assert expected_calibration_error([], []) is None


def test_a_probability_of_one_is_in_the_last_bin() -> None:
    only = bins([1.0, 0.9], [True, False])
    assert [(each.low, each.count, each.true_share) for each in only] == [(0.9, 2, 0.5)]
