"""Taking decisions: what a radiologist asks, as new objects in the archive, once, and in nobody else's way.

A decision is entered in the ledger before its objects are stored, and only the first about a version is. The findings are stored
last but for the note on what is left over: until they are there, the version before is in force, and what of the others is
stored changes nothing. The same request gives the same objects, so whatever stops half-way is finished by asking again, or by the
next decision on the study, whoever takes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import assert_never

import structlog
from pydantic import TypeAdapter
from pydicom import Dataset

import dicom_sr
from connector.decisions import Entry, Storing
from connector.ledger import Ledger
from connector.masks import unpack
from connector.pacs import Pacs
from connector.recent import RecentStudies
from connector.schemas.decisions import (
    AcceptIn,
    AddIn,
    DecisionIn,
    EditIn,
    FindingIn,
    PlaceIn,
    RejectIn,
    RejectionIn,
    RestoreIn,
    VerdictIn,
)
from dicom_sr import Version
from dicom_sr.identity import kind_of
from dicom_sr.kinds import FINDINGS, REJECTION, SEGMENTATION
from radiology import image
from radiology.errors import DecidedMeanwhile, PacsError, StudyError, UnsupportedImage, VerdictError
from radiology.finding import Box, Finding, Region
from radiology.image import Image
from radiology.judgement import Rejection
from radiology.settings import ResultSettings
from radiology.study import Study
from radiology.terms import TERMS
from radiology.verdict import Accept, Add, Decision, Edit, Reject, Restore, Verdict, Withdraw

_log = structlog.get_logger()
_REQUEST: TypeAdapter[DecisionIn | RejectionIn] = TypeAdapter(DecisionIn | RejectionIn)
_BY_A_PERSON = 1.0
"""Certainty of what a person states or draws: it is written beside the model's, where 0 would read as doubt."""


@dataclass(frozen=True)
class Desk:
    """Where decisions are taken: the ledger and archive of an installation, its studies, and which objects are ``wanted``."""

    ledger: Ledger
    pacs: Pacs
    studies: RecentStudies
    wanted: ResultSettings

    def decide(self, study_uid: str, request: DecisionIn | RejectionIn) -> tuple[Study, list[Dataset]]:
        """Take a decision, or finish it where the same one was asked before; return the study and all its results as they are then.

        Raises:
            DecidedMeanwhile: it is about a version that is not in force any more, or that somebody else is deciding about.
            VerdictError: it cannot be taken: see :func:`radiology.verdict.judge`; or a place in it is not in the study.
            PacsError: the archive did not take it, or not all of it; the version before is in force. Ask again.
        """
        study, results = self.studies.fetch(study_uid), self.pacs.results(study_uid)
        book, digest = self.ledger.decisions, _digest(request)
        known = book.find(request.document_uid)
        if known is not None and known.digest == digest:
            if known.storing is not Storing.DONE:
                results = self._finish(study, results, known)
            return study, results
        unfinished = book.unfinished(study_uid)
        if unfinished is not None:
            results = self._settle(study, results, unfinished)
        moment = datetime.now(UTC)
        made = self._results(study, results, request, moment)
        uids = tuple(str(each.SOPInstanceUID) for each in made)
        entry = Entry(request.document_uid, study_uid, request.person.observer, moment, digest, request.model_dump(mode="json"), uids)
        if not book.enter(entry):
            first = book.find(request.document_uid)
            if first is not None and first.digest == digest:
                return study, self._finish(study, results, first)
            raise _decided_by(first or entry)
        return study, self._store(study, results, made, entry)

    def _settle(self, study: Study, results: Sequence[Dataset], entry: Entry) -> list[Dataset]:
        """Finish what somebody has left half-way, or forget it where nothing of it was stored; return the study's results then."""
        if entry.storing is Storing.AT_WORK:
            raise _decided_by(entry)
        held = {str(each.SOPInstanceUID) for each in results}
        if entry.storing is Storing.GIVEN_UP and held.isdisjoint(entry.result_uids):
            # Whoever asked was told that it was not stored.
            self.ledger.decisions.forget(entry.document_uid)
            return list(results)
        return self._finish(study, results, entry)

    def _finish(self, study: Study, results: Sequence[Dataset], entry: Entry) -> list[Dataset]:
        """Store what is missing of the results of a decision, and return the study's results then."""
        if entry.request is None:  # somebody else has just finished it
            return self.pacs.results(study.study_uid)
        before = [each for each in results if str(each.SOPInstanceUID) not in entry.result_uids]
        made = self._results(study, before, _REQUEST.validate_python(entry.request), entry.moment)
        _log.info("decision taken up", study_uid=study.study_uid, document_uid=entry.document_uid)
        return self._store(study, before, made, entry)

    def _store(self, study: Study, before: Sequence[Dataset], made: Sequence[Dataset], entry: Entry) -> list[Dataset]:
        after = [*before, *made]
        try:
            for part in _in_turn(made):
                self.pacs.store(part)
        except PacsError:
            self.ledger.decisions.give_up(entry.document_uid)
            raise
        version = dicom_sr.current(after, study)
        self.ledger.stand(study.study_uid, version.standing if version else None)
        self.ledger.decisions.finish(entry.document_uid)
        _log.info("decision stored", study_uid=study.study_uid, document_uid=entry.document_uid, results=len(made))
        return after

    def _results(self, study: Study, results: Sequence[Dataset], request: DecisionIn | RejectionIn, moment: datetime) -> list[Dataset]:
        """Return the objects that follow from a request: the same for the same request and moment."""
        version = dicom_sr.current(results, study)
        if version is None:
            raise _nothing_left(dicom_sr.taken_back(results, study))
        if version.document_uid != request.document_uid:
            raise _changed_to(version)
        if isinstance(request, RejectionIn):
            return [dicom_sr.reject(study, results, Rejection(0, request.reason, request.person.observer, moment))]
        decision = Decision(
            document_uid=request.document_uid,
            observer=request.person.observer,
            moment=moment,
            verdicts=tuple(_verdict(asked, version, study, results) for asked in request.verdicts),
            is_signed=request.sign,
            impression=request.impression,
        )
        has_label_maps = any(kind_of(each) is SEGMENTATION and "LABELMAP" in each.get("SegmentationType", "") for each in version.objects)
        wanted = self.wanted.model_copy(update={"label_maps": self.wanted.label_maps and has_label_maps})
        return dicom_sr.revise(study, results, decision, wanted, _outlines(study, decision.verdicts))


def _verdict(asked: VerdictIn, version: Version, study: Study, results: Sequence[Dataset]) -> Verdict:
    findings = {finding.number: finding for finding in version.report.findings}
    match asked:
        case AcceptIn(number=number):
            return Accept(number)
        case RejectIn(number=number, reason=reason):
            return Reject(number, reason)
        case EditIn(number=number):
            if number not in findings:
                raise VerdictError(f"The report has no sentence {number}.")
            return Edit(_finding(asked, findings[number], study))
        case AddIn():
            return Add(_finding(asked, Finding("", "", confidence=_BY_A_PERSON), study))
        case RestoreIn(number=number):
            earlier = _earlier(version, asked.version or version.number - 1, study, results)
            restored = next((finding for finding in earlier.report.findings if finding.number == number), None)
            return Restore(restored) if restored else Withdraw(number)
        case _:
            assert_never(asked)


def _earlier(version: Version, number: int, study: Study, results: Sequence[Dataset]) -> Version:
    """Return another version of the same reading."""
    series_uid = version.objects[0].SeriesInstanceUID
    for past in dicom_sr.history(results, study):
        if past.number == number and past.objects[0].SeriesInstanceUID == series_uid:
            return past
    raise VerdictError("Nothing was decided yet that could be undone." if number < 1 else f"The report has no version {number}.")


def _finding(asked: FindingIn, before: Finding, study: Study) -> Finding:
    """Return ``before`` as somebody wants it."""
    if asked.name and asked.name not in TERMS:
        raise VerdictError(f"'{asked.name}' is not a term; choose one of the list, or leave it empty.")
    regions = tuple(_region(place, before, study) for place in asked.places)
    return replace(before, name=asked.name, sentence=asked.sentence, presence=asked.presence, side=asked.side, regions=regions)


def _region(place: PlaceIn, before: Finding, study: Study) -> Region:
    known = next((region for region in before.regions if place.tracking_uid and region.tracking_uid == place.tracking_uid), None)
    if place.tracking_uid and known is None:
        raise VerdictError(f"The sentence has no place {place.tracking_uid}; fetch the report again.")
    if place.series_uid is None or place.start is None or place.stop is None:
        assert known is not None  # PlaceIn holds one or the other
        return known
    try:
        box = Box(place.start, place.stop)
        image.check_box(study.find_series(place.series_uid), box)
        mask = None if place.mask is None else unpack(place.mask, box.shape)
        if mask is not None:
            box = Box.around(mask, place.start)
            mask = mask[Box.around(mask).slices]
    except (StudyError, ValueError) as error:
        raise VerdictError(f"A place cannot be taken; draw it again. {error}") from error
    drawn = Region(place.series_uid, box, mask, _BY_A_PERSON, place.tracking_uid or "")
    is_same = known is not None and drawn == replace(known, score=_BY_A_PERSON, read_slices=(), measurements=())
    return known if known is not None and is_same else drawn


def _outlines(study: Study, verdicts: Sequence[Verdict]) -> list[Image]:
    """Return the images that corrected and added places may be on, as far as they can be measured."""
    changed = [verdict.finding for verdict in verdicts if isinstance(verdict, Add | Edit)]
    images: list[Image] = []
    for series_uid in sorted({region.series_uid for finding in changed for region in finding.regions}):
        with suppress(UnsupportedImage):
            images += image.outline(study.find_series(series_uid))
    return images


def _in_turn(made: Sequence[Dataset]) -> Iterator[list[Dataset]]:
    """Yield what is stored together: what changes nothing yet, then the findings, and last the note on what they leave over."""
    deciding = [each for kind in (FINDINGS, REJECTION) for each in made if kind_of(each) is kind]
    yield [each for each in made if each not in deciding]
    yield deciding


def _decided_by(entry: Entry) -> DecidedMeanwhile:
    message = f"{entry.observer.name} was first to decide about this version; look at the report as it is now. Nothing was stored."
    return DecidedMeanwhile(message, entry.document_uid, entry.observer, entry.moment)


def _changed_to(version: Version) -> DecidedMeanwhile:
    last = max(version.report.decisions, key=lambda each: each.moment, default=None)
    observer = version.verified_by or (last.observer if last else None)
    who = observer.name if observer else "A new reading"
    message = f"{who} has changed the report meanwhile; look at it as it is now. Nothing was stored."
    return DecidedMeanwhile(message, version.document_uid, observer, version.moment)


def _nothing_left(rejection: Rejection | None) -> VerdictError:
    if rejection is None:
        return VerdictError("There is no report in force that could be decided about.")
    message = f"{rejection.observer.name} has taken the report back; there is none in force. Nothing was stored."
    return DecidedMeanwhile(message, None, rejection.observer, rejection.moment)


def _digest(request: DecisionIn | RejectionIn) -> str:
    return hashlib.sha256(f"{type(request).__name__} {request.model_dump_json()}".encode()).hexdigest()
