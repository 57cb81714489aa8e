"""Reading one study, from its job to its results in the archive: take, fetch, load, read, write, store, finish.

Whatever goes wrong ends in a state with a sentence: the archive's trouble is tried again, the study's and the model's is
final, and that the study could not be read is then stored as a result. Results have UIDs that follow from images and model,
so a job that runs twice stores nothing twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from pydicom import Dataset

import dicom_sr
from ai_engine.engine import Engine, Read, Tell
from ai_engine.worker.lease import renewed
from connector.delivery import Delivery
from connector.ledger import Ledger, Outcome, Transition
from connector.pacs import Pacs
from connector.routing import route
from radiology import image
from radiology.errors import (
    EngineError,
    IllegalTransition,
    LedgerError,
    PacsError,
    PacsFull,
    PacsRefused,
    PacsUnreachable,
    SopClassRefused,
    StudyError,
    UnreadableAnswer,
    UnsupportedImage,
    WriteError,
)
from radiology.image import PROJECTION_MODALITIES, Image
from radiology.jobs import Job, JobState
from radiology.report import Report, Standing
from radiology.settings import ResultSettings, WatcherSettings
from radiology.study import Series, Study
from radiology.thinking import Look

FETCHED_SHARE, STORING_SHARE = 0.1, 0.9
"""How much of the work is done when the images are there, and when the results are to be stored."""
_log = structlog.get_logger()


@dataclass(frozen=True)
class Worker:
    """What a worker works with.

    ``name`` says in the ledger who holds a job; ``wanted`` are the rules of what is read, ``results`` of what is written;
    ``delivery`` sees that the archive keeps them.
    """

    name: str
    ledger: Ledger
    pacs: Pacs
    engine: Engine
    wanted: WatcherSettings
    results: ResultSettings
    delivery: Delivery


def read_study(job_id: int, worker: Worker) -> Job | None:
    """Do one job, and return it as it is afterwards; None where it cannot be taken (any more).

    Raises:
        LedgerError: the ledger cannot be written, or gave the job to another worker meanwhile.
    """
    ledger = worker.ledger
    job = ledger.take(job_id, worker.name, worker.engine.identity.weights_hash)
    if job is None:
        return None
    parts = {"queue": _waited(ledger, job)}
    lease = renewed(lambda: ledger.renew(job_id, worker.name), ledger.lease_seconds)
    with structlog.contextvars.bound_contextvars(job_id=job_id, study_uid=job.study_uid), lease:
        _log.info("taken", attempt=job.attempts)
        try:
            ending = _work(job, worker, parts)
            made_with = worker.engine.identity.weights_hash
            outcome = Outcome(made_with, ending.result_uids, parts, ending.raw_answer, ending.thinking, ending.standing)
            after = ledger.finish(job_id, worker.name, ending.state, ending.reason, outcome)
        except (PacsUnreachable, PacsFull) as error:
            after = ledger.postpone(job_id, worker.name, str(error))
        except PacsError as error:
            after = ledger.requeue(job_id, worker.name, str(error))
        _log.info(str(after.state), reason=after.reason, parts=parts)
    return after


@dataclass(frozen=True)
class _Ending:
    """How the work on a job ended, why, what it stored, the model's text where it could not be read, and how it came to its report."""

    state: JobState
    reason: str
    result_uids: tuple[str, ...] = ()
    raw_answer: str = ""
    thinking: tuple[Look, ...] = ()
    standing: Standing | None = None


def _work(job: Job, worker: Worker, parts: dict[str, float]) -> _Ending:
    """Read a study and store the results, or why there are none. ``parts`` gets the seconds of each part."""
    started = _begun(worker.ledger.history(job.job_id))
    tell = _teller(job, worker)
    try:
        tell(0, "Fetching")
        with _timed(parts, "fetch"):
            chosen = route(worker.pacs.fetch(job.study_uid), worker.wanted)
    except StudyError as error:
        return _Ending(JobState.FAILED, str(error))
    if chosen.study is None:  # nothing of it is for the model, so there is nothing to say of it
        return _Ending(JobState.REFUSED, chosen.reason)
    try:
        read = _read(chosen.study, started, worker, parts, tell)
        tell(STORING_SHARE, "Storing")
        stored = store_results(chosen.study, read.report, worker.pacs, worker.results, parts)
        with _timed(parts, "store"):
            delivered = worker.delivery.confirm(job.study_uid, stored.results)
    except (StudyError, EngineError, WriteError) as error:
        state = JobState.REFUSED if isinstance(error, UnsupportedImage) else JobState.FAILED
        reason = f"{error} This is a defect of Sightline; please report it." if isinstance(error, WriteError) else str(error)
        raw_answer = error.raw_text if isinstance(error, UnreadableAnswer) else ""
        not_read = _say_not_read(chosen.study, reason, started, worker, parts)
        return _Ending(state, reason, not_read.uids, raw_answer, standing=not_read.standing)
    return _Ending(JobState.DONE, delivered, stored.uids, "", read.thinking, stored.standing)


def _begun(steps: Sequence[Transition]) -> datetime:
    """Return when work on a job began: at its first attempt, or the first since somebody asked for it again.

    The same for every attempt, so that what one stored in part the next one completes with the same bytes.
    """
    asked = max((index for index, step in enumerate(steps) if step.source in (JobState.FAILED, JobState.REFUSED)), default=0)
    return next(step.time for step in steps[asked:] if step.target is JobState.RUNNING)


def _teller(job: Job, worker: Worker) -> Tell:
    """Return what notes in the ledger how far the work is. Raises :class:`IllegalTransition` where another worker has the job now."""

    def tell(share: float, doing: str) -> None:
        try:
            worker.ledger.progress(job.job_id, worker.name, share, doing)
        except IllegalTransition:
            raise
        except LedgerError as error:  # nobody sees how far it is, which is no reason to stop
            _log.warning("progress not noted", reason=str(error))

    return tell


def _read(study: Study, started: datetime, worker: Worker, parts: dict[str, float], tell: Tell) -> Read:
    images, failures = _images(study, worker.pacs, parts, tell)

    def tell_whole(share: float, doing: str) -> None:
        tell(FETCHED_SHARE + (STORING_SHARE - FETCHED_SHARE) * share, doing)

    with _timed(parts, "model"):
        read = worker.engine.read(study, images, started, tell_whole)
    return replace(read, report=replace(read.report, failures=(*failures, *read.report.failures)))


@dataclass(frozen=True)
class Stored:
    """What was stored, and where the study's report stands with it; None where that cannot be said."""

    results: Sequence[Dataset]
    standing: Standing | None

    @property
    def uids(self) -> tuple[str, ...]:
        """SOP Instance UIDs."""
        return tuple(str(result.SOPInstanceUID) for result in self.results)


def _say_not_read(study: Study, reason: str, started: datetime, worker: Worker, parts: dict[str, float]) -> Stored:
    """Store that the study could not be read, and why: without it, a study that failed would look like one without findings."""
    uids = tuple(sorted(uid for series in study.series for uid in series.instance_uids))
    report = Report(study.study_uid, (), "", worker.engine.identity, started, uids, failures=(reason,), is_read=False)
    try:
        stored = store_results(study, report, worker.pacs, worker.results, parts)
        worker.delivery.confirm(study.study_uid, stored.results)
        return stored
    except WriteError as error:  # the ledger still says it
        _log.error("failure not stored", reason=str(error))
        return Stored((), None)


def store_results(study: Study, report: Report, pacs: Pacs, wanted: ResultSettings, parts: dict[str, float]) -> Stored:
    """Write the results and store them, and return them; masks as bits where label maps are wanted and the archive does not take them."""
    with _timed(parts, "fetch"):
        _check_patient(study, pacs)
        previous = pacs.results(study.study_uid)
    with _timed(parts, "write"):
        results = dicom_sr.write(study, report, previous, wanted)
    with _timed(parts, "store"):
        try:
            if wanted.label_maps:  # first, as what refers to them must be written anew if they are refused
                pacs.store([result for result in results if result.Modality == "SEG"])
            pacs.store(results)
            return Stored(results, _standing(study, {str(each.SOPInstanceUID): each for each in (*previous, *results)}))
        except SopClassRefused as error:
            if not wanted.label_maps:
                raise
            _log.warning("label maps refused", reason=str(error))
    return store_results(study, report, pacs, wanted.model_copy(update={"label_maps": False}), parts)


def _standing(study: Study, results: Mapping[str, Dataset]) -> Standing | None:
    try:
        version = dicom_sr.current(list(results.values()), study)
    except StudyError as error:  # an older report is in force and damaged; whoever opens it is told
        _log.warning("standing not known", reason=str(error))
        return None
    return version.standing if version else None


def _check_patient(study: Study, pacs: Pacs) -> None:
    """A correction of the patient's identity must not be undone by results that were on their way meanwhile."""
    if pacs.patient_id(study.study_uid) != str(study.series[0].instances[0].get("PatientID") or ""):
        raise PacsRefused(f"The patient of study {study.study_uid} was corrected while it was read; it is read again.")


def _images(study: Study, pacs: Pacs, parts: dict[str, float], tell: Tell) -> tuple[list[Image], list[str]]:
    """Fetch and decode every radiograph, and of the CT series the largest that can be read (the thinnest slices).

    Returns the images, and a sentence for each series that could not be decoded.
    Raises ``UnsupportedImage`` with the first reason where nothing can be read.
    """
    images: list[Image] = []
    refused: list[UnsupportedImage] = []
    radiographs = [series for series in study.series if series.modality in PROJECTION_MODALITIES]
    volumes = sorted((series for series in study.series if series.modality == "CT"), key=_size, reverse=True)
    candidates = [*radiographs, *volumes]
    for number, series in enumerate(candidates):
        if series.modality == "CT" and any(isinstance(read, image.Volume) for read in images):
            break
        tell(FETCHED_SHARE * number / len(candidates), f"Fetching series {number + 1} of {len(candidates)}")
        try:
            images += _load(series, pacs, parts)
        except UnsupportedImage as error:
            refused.append(error)
    if not images:
        raise refused[0] if refused else UnsupportedImage(f"Study {study.study_uid} has no CR, DX or CT series.")
    return images, [str(error) for error in refused]


def _size(series: Series) -> int:
    """How many slices a series has; 0 where it claims what cannot be, which is said when it is loaded."""
    try:
        return len(series.frames)
    except UnsupportedImage:
        return 0


def _load(series: Series, pacs: Pacs, parts: dict[str, float]) -> tuple[Image, ...]:
    with _timed(parts, "fetch"):
        instances = pacs.instances(series)
    with _timed(parts, "load"):
        return image.load(series, instances)


def _waited(ledger: Ledger, job: Job) -> float:
    """Return the seconds that a job just taken was queued."""
    queued = [step.time for step in ledger.history(job.job_id) if step.target is JobState.QUEUED and step.source is not step.target]
    return (job.updated - queued[-1]).total_seconds()


@contextmanager
def _timed(parts: dict[str, float], name: str) -> Iterator[None]:
    start = time.monotonic()
    try:
        yield
    finally:
        parts[name] = round(parts.get(name, 0.0) + time.monotonic() - start, 4)
