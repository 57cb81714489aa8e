"""Reading one study, from its job to its results in the archive: take, fetch, load, read, write, store, finish.

Whatever goes wrong ends in a state with a sentence: the archive's trouble is tried again, the study's and the model's is
final, and that the study could not be read is then stored as a result. Results have UIDs that follow from images and model,
so a job that runs twice stores nothing twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from pydicom import Dataset

import dicom_sr
from ai_engine.engine import Engine
from connector.ledger import Ledger, Outcome, Transition
from connector.pacs import Pacs
from connector.routing import route
from radiology import image
from radiology.errors import (
    EngineError,
    IllegalTransition,
    LedgerError,
    PacsError,
    PacsRefused,
    SopClassRefused,
    StudyError,
    UnreadableAnswer,
    UnsupportedImage,
    WriteError,
)
from radiology.image import PROJECTION_MODALITIES, Image
from radiology.jobs import Job, JobState
from radiology.report import Report
from radiology.settings import ResultSettings, WatcherSettings
from radiology.study import Series, Study

_log = structlog.get_logger()


@dataclass(frozen=True)
class Worker:
    """What a worker works with.

    ``name`` says in the ledger who holds a job; ``wanted`` are the rules of what is read, ``results`` of what is written.
    """

    name: str
    ledger: Ledger
    pacs: Pacs
    engine: Engine
    wanted: WatcherSettings
    results: ResultSettings


def read_study(job_id: int, worker: Worker) -> Job | None:
    """Do one job, and return it as it is afterwards; None where it is not queued (any more).

    Raises:
        LedgerError: the ledger cannot be written, or gave the job to another worker meanwhile.
    """
    ledger = worker.ledger
    job = ledger.take(job_id, worker.name)
    if job is None:
        return None
    parts = {"queue": _waited(ledger, job)}
    with structlog.contextvars.bound_contextvars(job_id=job_id, study_uid=job.study_uid), _lease(worker, job_id):
        _log.info("taken", attempt=job.attempts)
        try:
            ending = _work(job, worker, parts)
            outcome = Outcome(worker.engine.identity.weights_hash, ending.result_uids, parts, ending.raw_answer)
            after = ledger.finish(job_id, worker.name, ending.state, ending.reason, outcome)
        except PacsError as error:
            after = ledger.requeue(job_id, worker.name, str(error))
        _log.info(str(after.state), reason=after.reason, parts=parts)
    return after


@dataclass(frozen=True)
class _Ending:
    """How the work on a job ended, why, what it stored, and the model's text where it could not be read."""

    state: JobState
    reason: str
    result_uids: tuple[str, ...] = ()
    raw_answer: str = ""


def _work(job: Job, worker: Worker, parts: dict[str, float]) -> _Ending:
    """Read a study and store the results, or why there are none. ``parts`` gets the seconds of each part."""
    started = _begun(worker.ledger.history(job.job_id))
    try:
        with _timed(parts, "fetch"):
            chosen = route(worker.pacs.fetch(job.study_uid), worker.wanted)
    except StudyError as error:
        return _Ending(JobState.FAILED, str(error))
    if chosen.study is None:  # nothing of it is for the model, so there is nothing to say of it
        return _Ending(JobState.REFUSED, chosen.reason)
    try:
        report = _read(chosen.study, started, worker, parts)
        uids = _store(chosen.study, report, worker, parts)
    except (StudyError, EngineError, WriteError) as error:
        state = JobState.REFUSED if isinstance(error, UnsupportedImage) else JobState.FAILED
        reason = f"{error} This is a defect of Sightline; please report it." if isinstance(error, WriteError) else str(error)
        uids = _say_not_read(chosen.study, reason, started, worker, parts)
        return _Ending(state, reason, uids, error.raw_text if isinstance(error, UnreadableAnswer) else "")
    return _Ending(JobState.DONE, f"{len(uids)} results are in the archive.", uids)


def _begun(steps: Sequence[Transition]) -> datetime:
    """Return when work on a job began: at its first attempt, or the first since somebody asked for it again.

    The same for every attempt, so that what one stored in part the next one completes with the same bytes.
    """
    asked = max((index for index, step in enumerate(steps) if step.source in (JobState.FAILED, JobState.REFUSED)), default=0)
    return next(step.time for step in steps[asked:] if step.target is JobState.RUNNING)


def _read(study: Study, started: datetime, worker: Worker, parts: dict[str, float]) -> Report:
    images, failures = _images(study, worker.pacs, parts)
    with _timed(parts, "model"):
        report = worker.engine.read(study, images, started)
    return replace(report, failures=(*failures, *report.failures))


def _store(study: Study, report: Report, worker: Worker, parts: dict[str, float]) -> tuple[str, ...]:
    results = store_results(study, report, worker.pacs, worker.results, parts)
    return tuple(str(result.SOPInstanceUID) for result in results)


def _say_not_read(study: Study, reason: str, started: datetime, worker: Worker, parts: dict[str, float]) -> tuple[str, ...]:
    """Store that the study could not be read, and why: without it, a study that failed would look like one without findings."""
    uids = tuple(sorted(uid for series in study.series for uid in series.instance_uids))
    report = Report(study.study_uid, (), "", worker.engine.identity, started, uids, failures=(reason,), is_read=False)
    try:
        return _store(study, report, worker, parts)
    except WriteError as error:  # the ledger still says it
        _log.error("failure not stored", reason=str(error))
        return ()


def store_results(study: Study, report: Report, pacs: Pacs, wanted: ResultSettings, parts: dict[str, float]) -> list[Dataset]:
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
            return results
        except SopClassRefused as error:
            if not wanted.label_maps:
                raise
            _log.warning("label maps refused", reason=str(error))
    return store_results(study, report, pacs, wanted.model_copy(update={"label_maps": False}), parts)


def _check_patient(study: Study, pacs: Pacs) -> None:
    """A correction of the patient's identity must not be undone by results that were on their way meanwhile."""
    if pacs.patient_id(study.study_uid) != str(study.series[0].instances[0].get("PatientID") or ""):
        raise PacsRefused(f"The patient of study {study.study_uid} was corrected while it was read; it is read again.")


def _images(study: Study, pacs: Pacs, parts: dict[str, float]) -> tuple[list[Image], list[str]]:
    """Fetch and decode every radiograph, and of the CT series the largest that can be read (the thinnest slices).

    Returns the images, and a sentence for each series that could not be decoded.
    Raises ``UnsupportedImage`` with the first reason where nothing can be read.
    """
    images: list[Image] = []
    refused: list[UnsupportedImage] = []
    radiographs = [series for series in study.series if series.modality in PROJECTION_MODALITIES]
    volumes = sorted((series for series in study.series if series.modality == "CT"), key=lambda series: -len(series.frames))
    for series in [*radiographs, *volumes]:
        if series.modality == "CT" and any(isinstance(read, image.Volume) for read in images):
            break
        try:
            images += _load(series, pacs, parts)
        except UnsupportedImage as error:
            refused.append(error)
    if not images:
        raise refused[0] if refused else UnsupportedImage(f"Study {study.study_uid} has no CR, DX or CT series.")
    return images, [str(error) for error in refused]


def _load(series: Series, pacs: Pacs, parts: dict[str, float]) -> tuple[Image, ...]:
    with _timed(parts, "fetch"):
        instances = pacs.instances(series)
    with _timed(parts, "load"):
        return image.load(series, instances)


def _waited(ledger: Ledger, job: Job) -> float:
    """Return the seconds that a job just taken was queued."""
    queued = [step.time for step in ledger.history(job.job_id) if step.target is JobState.QUEUED]
    return (job.updated - queued[-1]).total_seconds()


@contextmanager
def _timed(parts: dict[str, float], name: str) -> Iterator[None]:
    start = time.monotonic()
    try:
        yield
    finally:
        parts[name] = round(parts.get(name, 0.0) + time.monotonic() - start, 4)


@contextmanager
def _lease(worker: Worker, job_id: int) -> Iterator[None]:
    """Renew the lease from a thread for as long as the work goes on."""
    over = threading.Event()

    def renew() -> None:
        while not over.wait(worker.ledger.lease_seconds / 3):
            try:
                worker.ledger.renew(job_id, worker.name)
            except IllegalTransition:
                return  # finished, or given to another worker, which finish() will say
            except LedgerError as error:
                _log.warning("lease not renewed", reason=str(error))

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
