"""How a reading ended: five things that must never be taken for each other."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from radiology.finding import Finding, Presence
from radiology.report import ModelIdentity, Outcome, Report
from radiology.summary import summarise

NODULE = Finding("nodule", "A nodule.")
LUNG = Finding("lung", "The lung.")
NO_NODULE = Finding("nodule", "No nodule.", Presence.ABSENT)
UNSURE = Finding("mass", "A mass cannot be excluded.", Presence.UNDETERMINED)
CLIPS = Finding("", "Surgical clips.")


def report(*findings: Finding, withheld: tuple[str, ...] = (), failures: tuple[str, ...] = (), is_read: bool = True) -> Report:
    model = ModelIdentity("small", "1", "0" * 64)
    return Report("1.2", findings, "", model, datetime(2026, 1, 2, tzinfo=UTC), ("1.3",), withheld, failures, is_read)


@pytest.mark.parametrize(
    ("reading", "outcome"),
    [
        (report(LUNG, NODULE), Outcome.FOUND),
        (report(UNSURE), Outcome.FOUND),
        (report(CLIPS), Outcome.FOUND),
        (report(NODULE, withheld=("One was withheld.",)), Outcome.FOUND),
        (report(LUNG, NO_NODULE), Outcome.NOTHING_FOUND),
        (report(), Outcome.NOTHING_FOUND),
        (report(NO_NODULE, withheld=("One was withheld.",)), Outcome.WITHHELD),
        (report(NODULE, failures=("A view was not read.",)), Outcome.PARTLY_READ),
        (report(NO_NODULE, failures=("A view was not read.",)), Outcome.PARTLY_READ),
        (report(failures=("No slice has a position.",), is_read=False), Outcome.NOT_READ),
    ],
)
def test_the_outcome_of_a_reading(reading: Report, outcome: Outcome) -> None:
    assert reading.outcome is outcome


def test_the_summary_names_what_is_there_and_what_needs_a_second_look() -> None:
    assert summarise([LUNG, NO_NODULE]) == "No finding is stated."
    flagged = Finding("mass", "A mass.", flags=("The mask is small.",))
    assert summarise([NODULE, NODULE, flagged]) == "Nodule; mass (needs a second look)."
