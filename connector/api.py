"""The HTTP API: jobs, the report of a study read back from our own SR and SEG, and health. It changes nothing.

Every path is below ``/api/v1``; errors are problem documents (RFC 9457). The viewer is served from the same origin.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

import dicom_sr
from connector.ledger import Ledger
from connector.pacs import Pacs
from connector.queue import Queue
from connector.schemas import (
    NOTICE,
    SIGNED_NOTICE,
    Health,
    JobHistory,
    JobSummary,
    Part,
    Problem,
    Rejected,
    ReportBody,
    Step,
    StudyReport,
    StudyUid,
)
from connector.viewer import archive_window, mount_viewer
from dicom_sr.fhir import to_fhir
from radiology.errors import LedgerError, PacsError, PacsUnreachable, QueueError, SightlineError
from radiology.jobs import JobState
from radiology.settings import Settings

VERSION = "1"
FHIR_JSON = "application/fhir+json"
_HEALTH_SECONDS = 5.0


def create_app(settings: Settings) -> FastAPI:
    """Return the application: the API, the window to the archive, and the viewer where its folder is set.

    Raises:
        LedgerError: the ledger cannot be opened.
        QueueError: the queue's folders cannot be made.
        FileNotFoundError: the viewer's or the extension's folder is set and does not exist.
    """
    ledger = Ledger.open(settings)

    @asynccontextmanager
    async def closing(app: FastAPI) -> AsyncIterator[None]:
        yield
        ledger.close()

    app = FastAPI(
        title="Sightline",
        version=VERSION,
        description=NOTICE,
        openapi_url=f"/api/v{VERSION}/openapi.json",
        docs_url=None,  # FastAPI's pages load their scripts from another host
        redoc_url=None,
        lifespan=closing,
        responses={"default": {"model": Problem, "content": {"application/problem+json": {}}}},
    )
    # A page of another host that resolves its name to this address must not read patients' data (DNS rebinding).
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*settings.api.hosts, settings.api.host])
    for kind in (StarletteHTTPException, RequestValidationError, SightlineError):
        app.add_exception_handler(kind, _problem)
    app.include_router(_jobs(ledger))
    app.include_router(_reports(ledger, Pacs.connect(settings.pacs)))
    app.include_router(_health(settings, ledger, Queue(settings)))
    app.include_router(archive_window(settings.pacs))
    mount_viewer(app, settings.api)
    return app


def _jobs(ledger: Ledger) -> APIRouter:
    router = APIRouter(prefix=f"/api/v{VERSION}/jobs", tags=["jobs"])

    @router.get("", summary="Jobs, newest first")
    def list_jobs(
        state: JobState | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    ) -> list[JobSummary]:
        return [JobSummary.of(job) for job in ledger.jobs(state, limit)]

    @router.get("/{job_id}", summary="One job with every step that it took")
    def get_job(job_id: int) -> JobHistory:
        job = ledger.job(job_id)
        if job is None:
            raise HTTPException(404, f"There is no job {job_id}.")
        steps = [Step.of(transition) for transition in ledger.history(job_id)]
        return JobHistory(**JobSummary.of(job).model_dump(), history=steps)

    return router


def _reports(ledger: Ledger, pacs: Pacs) -> APIRouter:
    router = APIRouter(prefix=f"/api/v{VERSION}/studies", tags=["reports"])

    @router.get("/{study_uid}/report", summary="The report in force of a study, and the state of the work on it")
    def get_report(study_uid: StudyUid) -> StudyReport:
        job = ledger.latest(study_uid)
        results = pacs.results(study_uid)
        if job is None and not results:
            raise HTTPException(404, f"Study {study_uid} was never read here; send it first.")
        told = StudyReport(study_uid=study_uid, state=job and job.state, reason=job.reason if job else "", report=None)
        if results:
            study = pacs.fetch(study_uid)
            version = dicom_sr.current(results, study)
            if version:
                told.report = ReportBody.of(version, study)
                told.notice = SIGNED_NOTICE if version.verified_by else NOTICE
            else:
                last = next((version.rejection for version in dicom_sr.history(results, study) if version.rejection), None)
                told.taken_back = Rejected.of(last) if last else None
        return told

    @router.get("/{study_uid}/report/history", summary="Every version of every report of a study, the newest first")
    def get_history(study_uid: StudyUid) -> list[ReportBody]:
        results = pacs.results(study_uid)
        if not results:
            return []
        study = pacs.fetch(study_uid)
        return [ReportBody.of(version, study) for version in dicom_sr.history(results, study)]

    @router.get(
        "/{study_uid}/fhir",
        summary="The report in force as a FHIR R5 Bundle",
        response_class=Response,
        responses={200: {"content": {FHIR_JSON: {}}}},
    )
    def get_fhir(study_uid: StudyUid) -> Response:
        results = pacs.results(study_uid)
        study = pacs.fetch(study_uid) if results else None
        version = dicom_sr.current(results, study) if study else None
        if study is None or version is None:
            raise HTTPException(404, f"Study {study_uid} has no report in force.")
        return JSONResponse(to_fhir(version, study), media_type=FHIR_JSON)

    return router


def _health(settings: Settings, ledger: Ledger, queue: Queue) -> APIRouter:
    router = APIRouter(prefix=f"/api/v{VERSION}/health", tags=["health"])
    pacs = Pacs.connect(settings.pacs.model_copy(update={"timeout_seconds": _HEALTH_SECONDS}))

    def space() -> None:
        free = shutil.disk_usage(settings.data_folder).free
        if free < settings.listener.minimum_free_bytes:
            raise OSError(f"Only {free >> 20} MB are free in the data folder; the listener takes nothing until there is more.")

    @router.get("", summary="Whether archive, ledger, queue and disk are well", responses={503: {"model": Health}})
    def get_health(response: Response) -> Health:
        archive, book, line, disk = (_part(check) for check in (lambda: pacs.count("2.25.0"), ledger.check, queue.check, space))
        health = Health(ok=all(part.ok for part in (archive, book, line, disk)), archive=archive, ledger=book, queue=line, disk=disk)
        response.status_code = 200 if health.ok else 503
        return health

    return router


def _part(check: Callable[[], object]) -> Part:
    try:
        check()
    except (SightlineError, OSError) as error:
        return Part(ok=False, why=str(error))
    return Part(ok=True)


def _problem(request: Request, error: Exception) -> Response:
    """Every error of the API as a problem document."""
    match error:
        case StarletteHTTPException():
            status, detail = error.status_code, str(error.detail)
        case RequestValidationError():
            status, detail = 422, "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors()) + "."
        case PacsUnreachable():
            status, detail = 503, str(error)
        case PacsError():
            status, detail = 502, str(error)
        case LedgerError() | QueueError():
            status, detail = 503, str(error)
        case _:
            status, detail = 500, str(error)
    return JSONResponse(Problem.of(status, detail).model_dump(), status, media_type="application/problem+json")
