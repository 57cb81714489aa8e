"""What has become of our results: the report in force, and every version that there was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydicom import Dataset

from dicom_sr.content import moment
from dicom_sr.identity import is_ours, kind_of
from dicom_sr.kinds import FAILURE
from dicom_sr.read import read_report
from dicom_sr.readings import DAMAGE, Edition, editions, rejected_uids, replaced_uids
from dicom_sr.rejection import find_rejection
from radiology.errors import StudyError
from radiology.judgement import Observer, Rejection
from radiology.report import Report, Standing
from radiology.study import Study


class State(StrEnum):
    """Where a version stands."""

    PRELIMINARY = "preliminary"
    """In force, and not signed by a radiologist."""
    FINAL = "final"
    """In force, and signed."""
    AMENDED = "amended"
    """In force, and signed after a version before it was signed."""
    REPLACED = "replaced"
    """A later version or reading has taken its place."""
    REJECTED = "rejected"
    """Taken back by a rejection note."""


@dataclass(frozen=True)
class Version:
    """One version of one reading.

    Attributes:
        report: what it says.
        state: where it stands.
        number: Instance Number of its findings: 1 is the model's own, each later one a radiologist's.
        document_uid: SOP Instance UID of its findings, or of the failure.
        moment: when it was made: the start of the reading, or a radiologist's decision.
        verified_by: who signed it; None where nobody has.
        rejection: by whom, when and why it was taken back; None where it was not.
        objects: the DICOM objects that make it up, the findings first.
    """

    report: Report
    state: State
    number: int
    document_uid: str
    moment: datetime
    verified_by: Observer | None
    rejection: Rejection | None
    objects: tuple[Dataset, ...]

    @property
    def standing(self) -> Standing:
        """What a list of studies says of it."""
        return Standing(self.report.outcome, len(self.report.abnormal), self.verified_by is not None, self.document_uid, self.number)


def read(instances: Sequence[Dataset], study: Study) -> Report:
    """Read our own report back: the one in force.

    Args:
        instances: results of the study, as ``write`` and its like made them; other objects are passed over.
        study: the study they are about; headers suffice.

    Returns:
        The report; equal to ``as_written(report)`` of the report that was written.

    Raises:
        StudyError: none of the instances is a report of ours in force, or it does not fit the study.
    """
    version = current(instances, study)
    if version is None:
        raise StudyError(f"Study {study.study_uid} has no report of ours in force; send the study again to have it read.")
    return version.report


def current(instances: Sequence[Dataset], study: Study) -> Version | None:
    """Return the version in force, or None: the newest reading's, and a failure only where nothing was ever read.

    Raises:
        StudyError: it is damaged or does not fit the study.
    """
    with _damage_named(study):
        ours = _ours(instances, study)
        gone = rejected_uids(ours) | replaced_uids(ours)
        candidates = [each for each in editions(ours) if str(each.document.SOPInstanceUID) not in gone]
        if not candidates:
            return None
        newest = max(enumerate(candidates), key=lambda numbered: (kind_of(numbered[1].document) is not FAILURE, numbered[0]))[1]
        return _version(newest, ours, study)


def history(instances: Sequence[Dataset], study: Study) -> tuple[Version, ...]:
    """Return every version of every reading, the newest first, replaced and rejected ones too.

    Raises:
        StudyError: one is damaged or does not fit the study.
    """
    with _damage_named(study):
        ours = _ours(instances, study)
        return tuple([_version(edition, ours, study) for edition in reversed(editions(ours))])  # no generator: it hides StopIteration


def taken_back(instances: Sequence[Dataset], study: Study) -> Rejection | None:
    """Return by whom, when and why the newest of the reports was taken back; None where none was.

    Raises:
        StudyError: one is damaged or does not fit the study.
    """
    return next((version.rejection for version in history(instances, study) if version.rejection), None)


def _ours(instances: Sequence[Dataset], study: Study) -> list[Dataset]:
    return [each for each in instances if is_ours(each) and str(each.get("StudyInstanceUID")) == study.study_uid]


def _version(edition: Edition, ours: Sequence[Dataset], study: Study) -> Version:
    document = edition.document
    report = read_report(document, edition.others, study)
    return Version(
        report=report,
        state=_state(document, ours),
        number=int(document.InstanceNumber),
        document_uid=str(document.SOPInstanceUID),
        moment=_moment(report, document),
        verified_by=_verifier(document),
        rejection=find_rejection(ours, str(document.SOPInstanceUID)),
        objects=edition.objects,
    )


@contextmanager
def _damage_named(study: Study) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        what = error.args[0] if isinstance(error, KeyError) else type(error).__name__  # others may quote what they read
        raise StudyError(f"The report on study {study.study_uid} in the archive is damaged ({what}); read the study again.") from error


def _state(document: Dataset, ours: Sequence[Dataset]) -> State:
    uid, series = str(document.SOPInstanceUID), str(document.SeriesInstanceUID)
    if uid in rejected_uids(ours):
        return State.REJECTED
    if uid in replaced_uids(ours):
        return State.REPLACED
    if document.VerificationFlag != "VERIFIED":
        return State.PRELIMINARY
    earlier = [each for each in ours if str(each.SeriesInstanceUID) == series and int(each.InstanceNumber) < int(document.InstanceNumber)]
    return State.AMENDED if any(each.get("VerificationFlag") == "VERIFIED" for each in earlier) else State.FINAL


def _moment(report: Report, document: Dataset) -> datetime:
    signed = [moment(item.VerificationDateTime) for item in document.get("VerifyingObserverSequence", ())]
    return max([report.started, *(decision.moment for decision in report.decisions), *signed])


def _verifier(document: Dataset) -> Observer | None:
    for item in document.get("VerifyingObserverSequence", ()):
        codes = item.get("VerifyingObserverIdentificationCodeSequence") or ()
        login = next((str(code.get("CodeValue") or code.get("LongCodeValue")) for code in codes), "")
        return Observer(str(item.VerifyingObserverName), str(item.VerifyingOrganization), login)
    return None
