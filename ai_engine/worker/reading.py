"""Reading one study, from its job to its results in the archive: take, fetch, load, read, write, store, finish.

Whatever goes wrong ends in a state with a sentence: the archive's trouble is tried again, the study's and the model's is
final. Results have UIDs that follow from images and model, so a job that runs twice stores nothing twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from pydicom import Dataset

import dicom_sr
from ai_engine.engine import Engine
from connector.ledger import Ledger, Outcome
from connector.pacs import Pacs
from connector.routing import route
from radiology import image
from radiology.errors import (
    EngineError,
    IllegalTransition,
    LedgerError,
    PacsError,
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
    ledger, weights_hash = worker.ledger, worker.engine.identity.weights_hash
    job = ledger.take(job_id, worker.name)
    if job is None:
        return None
    parts = {"queue": _waited(ledger, job)}
    with structlog.contextvars.bound_contextvars(job_id=job_id, study_uid=job.study_uid), _lease(worker, job_id):
        _log.info("taken", attempt=job.attempts)
        try:
            uids = _read(job.study_uid, worker, parts)
        except PacsError as error:
            after = ledger.requeue(job_id, worker.name, str(error))
        except UnsupportedImage as error:
            after = ledger.finish(job_id, worker.name, JobState.REFUSED, str(error), Outcome(weights_hash, parts=parts))
        except UnreadableAnswer as error:
            outcome = Outcome(weights_hash, parts=parts, raw_answer=error.raw_text)
            after = ledger.finish(job_id, worker.name, JobState.FAILED, str(error), outcome)
        except (StudyError, EngineError) as error:
            after = ledger.finish(job_id, worker.name, JobState.FAILED, str(error), Outcome(weights_hash, parts=parts))
        except WriteError as error:
            reason = f"{error} This is a defect of Sightline; please report it."
            after = ledger.finish(job_id, worker.name, JobState.FAILED, reason, Outcome(weights_hash, parts=parts))
        else:
            reason = f"{len(uids)} results are in the archive."
            after = ledger.finish(job_id, worker.name, JobState.DONE, reason, Outcome(weights_hash, uids, parts))
        _log.info(str(after.state), reason=after.reason, parts=parts)
    return after


def _read(study_uid: str, worker: Worker, parts: dict[str, float]) -> tuple[str, ...]:
    """Read a study and store the results; returns their SOP Instance UIDs. ``parts`` gets the seconds of each part."""
    started = datetime.now(UTC)
    with _timed(parts, "fetch"):
        chosen = route(worker.pacs.fetch(study_uid), worker.wanted)
    if chosen.study is None:
        raise UnsupportedImage(chosen.reason)
    images = _images(chosen.study, worker.pacs, parts)
    with _timed(parts, "model"):
        report = worker.engine.read(chosen.study, images, started)
    results = store_results(chosen.study, report, worker.pacs, worker.results, parts)
    return tuple(str(result.SOPInstanceUID) for result in results)


def store_results(study: Study, report: Report, pacs: Pacs, wanted: ResultSettings, parts: dict[str, float]) -> list[Dataset]:
    """Write the results and store them, and return them; masks as bits where label maps are wanted and the archive does not take them."""
    with _timed(parts, "write"):
        results = dicom_sr.write(study, report, settings=wanted)
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


def _images(study: Study, pacs: Pacs, parts: dict[str, float]) -> list[Image]:
    """Fetch and decode every radiograph, and of the CT series the largest that can be read (the thinnest slices).

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
    return images


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
