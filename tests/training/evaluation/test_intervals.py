from collections.abc import Sequence

import numpy as np

from training.evaluation.intervals import bootstrap

Item = tuple[str, float]


def mean(items: Sequence[Item]) -> dict[str, float | None]:
    return {"mean": float(np.mean([value for _, value in items])), "never": None}


def patient(item: Item) -> str:
    return item[0]


def test_figures_that_do_not_vary_have_no_width() -> None:
    assert bootstrap([("a", 0.5), ("b", 0.5)], patient, mean)["mean"] == (0.5, 0.5)


def test_two_patients_span_everything_between_them() -> None:
    assert bootstrap([("a", 0.0), ("b", 1.0)], patient, mean)["mean"] == (0.0, 1.0)


def test_patients_are_drawn_whole() -> None:
    seen: set[float] = set()

    def record(items: Sequence[Item]) -> dict[str, float | None]:
        seen.add(float(np.mean([value for _, value in items])))
        return {"mean": 0.0}

    bootstrap([("a", 0.0), ("a", 0.0), ("a", 0.0), ("b", 1.0)], patient, record, times=50)
    assert seen == {0.0, 0.25, 1.0}, "never one of the three images of a without the others"


def test_the_interval_narrows_with_more_patients() -> None:
    few, many = ([(str(number), float(number % 2)) for number in range(count)] for count in (8, 200))
    widths = [ends[1] - ends[0] for items in (few, many) if (ends := bootstrap(items, patient, mean, times=200)["mean"])]
    assert widths[0] > 0.4
    assert abs(widths[1] - 2 * 1.96 * 0.5 / 200**0.5) < 0.04, "as the normal approximation has it"


def test_one_patient_and_an_undefined_figure_have_no_interval() -> None:
    assert bootstrap([("a", 0.0), ("a", 1.0)], patient, mean)["mean"] is None
    assert bootstrap([("a", 0.0), ("b", 1.0)], patient, mean)["never"] is None
