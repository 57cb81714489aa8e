import pytest

from radiology.finding import Presence
from training.evaluation.counts import Tally, presence_table, share


def test_precision_and_recall_of_known_answers() -> None:
    tally = Tally.of([(True, True)] * 3 + [(True, False)] + [(False, True)] * 2 + [(False, False)] * 4)
    assert (tally.precision, tally.recall, tally.f1) == (0.75, 0.6, pytest.approx(2 / 3))
    assert tally.figures()["false_positive_rate"] == 0.2
    assert (tally.figures()["with"], tally.figures()["without"]) == (5, 5)


def test_nothing_to_count_is_not_zero() -> None:
    empty = Tally.of([(False, False)])
    assert (empty.precision, empty.recall, empty.f1) == (None, None, None)
    assert share(0, 0) is None


def test_the_presence_table_tells_absent_from_not_mentioned() -> None:
    table = presence_table([(Presence.PRESENT, True), (Presence.UNDETERMINED, True), (None, True), (Presence.ABSENT, False), (None, False)])
    assert table["present"] == {"present": 1, "absent": 0, "undetermined": 1, "not mentioned": 1}
    assert table["absent"] == {"present": 0, "absent": 1, "undetermined": 0, "not mentioned": 1}
