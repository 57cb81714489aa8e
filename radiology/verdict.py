"""A radiologist's decision on a report, and the report that follows from it. Nothing here knows how a report is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from radiology.errors import VerdictError
from radiology.finding import Finding, Region
from radiology.judgement import Judged, Judgement, Observer, Reason, Rejection
from radiology.report import Report
from radiology.summary import summarise


@dataclass(frozen=True)
class Accept:
    """The sentence with this number is right."""

    number: int


@dataclass(frozen=True)
class Edit:
    """The sentence that has this finding's number should be this one.

    A region whose box and mask stay keeps its Tracking UID; one that is new or moved has none, and no measurements of the old.
    """

    finding: Finding


@dataclass(frozen=True)
class Reject:
    """The sentence with this number should not be in the report."""

    number: int
    reason: Reason


@dataclass(frozen=True)
class Add:
    """This is missing in the report; it gets a number of its own."""

    finding: Finding


@dataclass(frozen=True)
class Restore:
    """This finding of an earlier version should stand as it stood there: whatever was decided about its number since is undone."""

    finding: Finding


@dataclass(frozen=True)
class Withdraw:
    """The sentence with this number was added by a radiologist, and should be gone as if it had not been."""

    number: int


Verdict = Accept | Edit | Reject | Add | Restore | Withdraw


@dataclass(frozen=True)
class Decision:
    """What a radiologist hands in at once.

    Attributes:
        document_uid: SOP Instance UID of the findings that were looked at, so that nothing is decided about a report that
            somebody else has changed meanwhile.
        observer: who decides.
        moment: when, with a time zone.
        verdicts: on single sentences, at most one each.
        is_signed: whether the whole report is signed with it; then every sentence must be decided.
        impression: the summary in the radiologist's words; None puts it together from the sentences that are left.
    """

    document_uid: str
    observer: Observer
    moment: datetime
    verdicts: tuple[Verdict, ...] = ()
    is_signed: bool = False
    impression: str | None = None


def judge(report: Report, decision: Decision) -> Report:
    """Return the report after a decision.

    Raises:
        VerdictError: a verdict on a sentence that there is not, two on one sentence, or a signature on an undecided sentence.
    """
    numbers = [_number(verdict) for verdict in decision.verdicts if not isinstance(verdict, Add)]
    known = {finding.number for finding in report.findings}
    taken_out = {rejection.number for rejection in report.rejected}
    unknown = {
        _number(verdict)
        for verdict in decision.verdicts
        if not isinstance(verdict, Add)
        and _number(verdict) not in (known | taken_out if isinstance(verdict, Restore | Withdraw) else known)
    }
    if unknown or len(set(numbers)) < len(numbers):
        raise VerdictError(f"The report has no sentence {min(unknown)}." if unknown else "A sentence was decided twice at once.")
    findings = {finding.number: finding for finding in report.findings}
    rejected = list(report.rejected)
    added: list[Finding] = []
    for verdict in decision.verdicts:
        match verdict:
            case Accept(number):
                findings[number] = _accepted(findings[number], decision)
            case Edit(finding):
                findings[finding.number] = _edited(findings[finding.number], finding, decision)
            case Reject(number, reason):
                del findings[number]
                rejected.append(Rejection(number, reason, decision.observer, decision.moment))
            case Restore(finding):
                findings[finding.number] = finding
                rejected = [rejection for rejection in rejected if rejection.number != finding.number]
            case Withdraw(number):
                findings.pop(number, None)
                rejected = [rejection for rejection in rejected if rejection.number != number]
            case Add(finding):
                judged = Judged(Judgement.ADDED, decision.observer, decision.moment)
                added.append(replace(finding, number=0, judged=judged, regions=tuple(_new(region) for region in finding.regions)))
    after = (*(findings[number] for number in sorted(findings)), *added)
    undecided = [finding.number for finding in after if finding.judged is None]
    if decision.is_signed and undecided:
        raise VerdictError(f"Sentence {undecided[0]} is not decided yet; a report is signed when all are.")
    return replace(report, findings=after, rejected=tuple(rejected), impression=_impression(report, after, decision))


def _number(verdict: Accept | Edit | Reject | Restore | Withdraw) -> int:
    return verdict.finding.number if isinstance(verdict, Edit | Restore) else verdict.number


def _accepted(finding: Finding, decision: Decision) -> Finding:
    """What somebody has edited or added stays that."""
    return replace(finding, judged=finding.judged or Judged(Judgement.ACCEPTED, decision.observer, decision.moment))


def _edited(before: Finding, after: Finding, decision: Decision) -> Finding:
    judgement = Judgement.ADDED if before.judgement is Judgement.ADDED else Judgement.EDITED
    same = {region.tracking_uid: region for region in before.regions}
    regions = tuple(_placed(region, same.get(region.tracking_uid)) for region in after.regions)
    return replace(after, regions=regions, judged=Judged(judgement, decision.observer, decision.moment))


def _placed(region: Region, before: Region | None) -> Region:
    """A region as edited: the same place with its Tracking UID, or another place, which nothing measured before is about."""
    if before is None:
        return _new(region)
    if region == replace(before, measurements=region.measurements, score=region.score):
        return region
    return _new(replace(region, measurements=() if region.measurements == before.measurements else region.measurements))


def _new(region: Region) -> Region:
    return replace(region, tracking_uid="")


def _impression(report: Report, after: Sequence[Finding], decision: Decision) -> str:
    """The summary is about the sentences that are left; what follows it, on what was not read, stays."""
    if decision.impression is not None:
        return decision.impression
    before = summarise(report.findings)
    rest = report.impression.removeprefix(before) if report.impression.startswith(before) else ""
    return summarise(after) + rest
