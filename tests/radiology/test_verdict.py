"""The report that follows from a radiologist's decision."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from radiology.errors import VerdictError
from radiology.finding import Box, Finding, Presence, Region
from radiology.judgement import Judged, Judgement, Observer, Reason, Rejection
from radiology.measurement import Measurement, Quantity
from radiology.report import ModelIdentity, Report
from radiology.verdict import Accept, Add, Decision, Edit, Reject, Restore, Verdict, Withdraw, judge

READER = Observer("Curie^Marie", "Institut du Radium")
MOMENT = datetime(2026, 1, 3, tzinfo=UTC)
BOX = Box((0, 0, 0), (1, 2, 2))
PLACE = Region("1.2.1", BOX, np.ones((1, 2, 2), bool), 0.5, "2.25.1", measurements=(Measurement(Quantity.AREA, 4.0),))
NODULE = Finding("nodule", "A nodule.", regions=(PLACE,), number=1)
MASS = Finding("mass", "A mass.", number=2)
REPORT = Report("1.2", (NODULE, MASS), "Nodule; mass. 1 of 2 images was not read.", ModelIdentity("small", "1", "0" * 64), MOMENT)


def after(*verdicts: Verdict, report: Report = REPORT, signed: bool = False, impression: str | None = None) -> Report:
    return judge(report, Decision("2.25.9", READER, MOMENT, verdicts, signed, impression))


def test_what_is_accepted_stays_as_it_is_and_says_who_accepted_it() -> None:
    nodule, mass = after(Accept(1)).findings
    assert nodule == replace(NODULE, judged=Judged(Judgement.ACCEPTED, READER, MOMENT))
    assert mass == MASS


def test_what_is_rejected_leaves_report_and_summary_but_not_what_was_not_read() -> None:
    report = after(Reject(1, Reason.FALSE_POSITIVE))
    assert report.findings == (MASS,)
    assert report.rejected == (Rejection(1, Reason.FALSE_POSITIVE, READER, MOMENT),)
    assert report.impression == "Mass. 1 of 2 images was not read."


def test_a_summary_in_other_words_does_not_outlive_what_it_was_about() -> None:
    worded = replace(REPORT, impression="Suspicious nodule.")
    assert after(Reject(1, Reason.WORDING), report=worded).impression == "Mass."
    assert after(Reject(1, Reason.WORDING), report=worded, impression="Only a mass.").impression == "Only a mass."


def test_an_edited_sentence_keeps_its_place_and_an_edited_place_is_a_new_one() -> None:
    (worded, _) = after(Edit(replace(NODULE, sentence="A small nodule."))).findings
    assert (worded.sentence, worded.regions, worded.judgement) == ("A small nodule.", (PLACE,), Judgement.EDITED)
    moved = replace(PLACE, box=Box((0, 1, 1), (1, 3, 3)))
    (placed, _) = after(Edit(replace(NODULE, regions=(moved,)))).findings
    assert placed.regions == (replace(moved, tracking_uid="", measurements=()),)
    measured = replace(moved, measurements=(Measurement(Quantity.AREA, 5.0),))
    assert after(Edit(replace(NODULE, regions=(measured,)))).findings[0].regions[0].measurements == measured.measurements


def test_what_is_added_is_the_persons_own_even_when_it_is_edited_or_accepted_later() -> None:
    report = after(Add(Finding("nodule", "Another.", regions=(PLACE,))))
    added = report.findings[-1]
    assert (added.number, added.judgement, added.regions[0].tracking_uid) == (0, Judgement.ADDED, "")
    numbered = replace(report, findings=(NODULE, replace(added, number=3)))
    assert after(Accept(3), report=numbered).findings[-1].judgement is Judgement.ADDED
    assert after(Edit(replace(added, number=3, sentence="One more.")), report=numbered).findings[-1].judgement is Judgement.ADDED


def test_what_was_decided_can_be_undone() -> None:
    rejected = after(Reject(1, Reason.WRONG_SIDE))
    assert after(Restore(NODULE), report=rejected).findings == REPORT.findings
    assert after(Restore(NODULE), report=rejected).rejected == ()
    accepted = after(Accept(1))
    assert after(Restore(NODULE), report=accepted) == REPORT


def test_what_a_person_has_added_can_be_withdrawn_and_leaves_no_trace() -> None:
    added = after(Add(Finding("nodule", "Another.", number=3)))
    numbered = replace(added, findings=(*REPORT.findings, replace(added.findings[-1], number=3)))
    assert after(Withdraw(3), report=numbered) == REPORT
    assert after(Withdraw(3), report=after(Reject(3, Reason.WORDING), report=numbered)) == REPORT


def test_a_report_is_signed_when_everything_is_decided() -> None:
    with pytest.raises(VerdictError, match="Sentence 2 is not decided"):
        after(Accept(1), signed=True)
    assert after(Accept(1), Reject(2, Reason.NOT_RELEVANT), signed=True).findings[0].judgement is Judgement.ACCEPTED
    assert after(report=replace(REPORT, findings=()), signed=True).findings == ()


@pytest.mark.parametrize(
    "verdict",
    [Accept(3), Reject(3, Reason.WORDING), Edit(replace(MASS, number=3)), Restore(replace(MASS, number=3)), Withdraw(3)],
    ids=lambda each: type(each).__name__,
)
def test_a_verdict_on_a_sentence_that_there_is_not_is_refused(verdict: Verdict) -> None:
    with pytest.raises(VerdictError, match="no sentence 3"):
        after(verdict)


def test_two_verdicts_on_one_sentence_are_refused() -> None:
    with pytest.raises(VerdictError, match="twice"):
        after(Accept(1), Edit(replace(NODULE, presence=Presence.ABSENT)))
