"""A study is complete when all signs agree, and never waits for ever."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from connector.completeness import Acquisition, Arrival, judge
from radiology.settings import WatcherSettings

SETTINGS = WatcherSettings(quiet_seconds=5, longest_wait_seconds=600)
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
QUIET = Arrival(
    first_seen=NOW - timedelta(seconds=60),
    last_change=NOW - timedelta(seconds=5),
    senders=frozenset(),
    counts=(133, 133),
)


def test_quiet_unsent_and_twice_the_same_count_is_complete() -> None:
    answer = judge(QUIET, NOW, SETTINGS)
    assert answer.complete
    assert "133 instances" in answer.reason


@pytest.mark.parametrize(
    ("sign", "says"),
    [
        ({"last_change": NOW - timedelta(seconds=4.9)}, "arriving"),
        ({"counts": (132, 133)}, "arriving"),
        ({"senders": frozenset({"CT1"})}, "CT1"),
        ({"acquisition": Acquisition(in_progress=1)}, "in progress"),
    ],
    ids=["an instance came just now", "the count still changes", "an association is open", "a procedure step goes on"],
)
def test_one_sign_against_it_is_enough_to_wait(sign: dict[str, object], says: str) -> None:
    answer = judge(replace(QUIET, **sign), NOW, SETTINGS)  # type: ignore[arg-type]
    assert not answer.complete
    assert says in answer.reason


def test_after_the_longest_wait_it_is_read_all_the_same_and_says_so() -> None:
    restless = replace(QUIET, senders=frozenset({"CT1"}), counts=(132, 133), last_change=NOW, acquisition=Acquisition(in_progress=1))
    assert not judge(restless, NOW, SETTINGS).complete
    answer = judge(restless, restless.first_seen + timedelta(seconds=600), SETTINGS)
    assert answer.complete
    assert "may be incomplete" in answer.reason
