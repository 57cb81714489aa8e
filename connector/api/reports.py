"""Routes: the report of a study, read back from our own SR and SEG."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import JSONResponse, Response
from pydicom import Dataset

import dicom_sr
from connector.api.trail import Trail
from connector.ledger import Ledger
from connector.pacs import Pacs
from connector.recent import RecentStudies
from connector.schemas.reports import NOTICE, SIGNED_NOTICE, Look, Rejected, ReportBody, StudyReport
from connector.schemas.text import StudyUid
from dicom_sr.fhir import to_fhir
from radiology.study import Study

FHIR_JSON = "application/fhir+json"


def tell(study_uid: str, study: Study | None, results: Sequence[Dataset], ledger: Ledger) -> StudyReport:
    """Return what is known of a study; ``study`` may be missing where there are no ``results``."""
    record = ledger.records([study_uid])[study_uid]
    version = dicom_sr.current(results, study) if study else None
    last = dicom_sr.taken_back(results, study) if study and not version else None
    if version and record.standing is None:
        ledger.learn(study_uid, version.standing)
    steps = ledger.thinking(study_uid, version.report.model.weights_hash) if version else ()
    return StudyReport(
        study_uid=study_uid,
        notice=SIGNED_NOTICE if version and version.verified_by else NOTICE,
        state=record.job.state if record.job else None,
        reason=record.job.reason if record.job else "",
        progress=record.progress,
        report=ReportBody.of(version, study) if version and study else None,
        thinking=[Look.of(step, study) for step in steps] if study else [],
        taken_back=Rejected.of(last) if last else None,
    )


def routes(ledger: Ledger, pacs: Pacs, studies: RecentStudies, trail: Trail) -> APIRouter:
    """Return the routes below ``/studies/{study_uid}`` that show reports."""
    router = APIRouter(prefix="/studies", tags=["reports"])

    @router.get("/{study_uid}/report", summary="The report in force of a study, and the state of the work on it")
    def get_report(study_uid: StudyUid, request: Request) -> StudyReport:
        trail.seen(request, study_uid)
        results = pacs.results(study_uid)
        if not results and ledger.latest(study_uid) is None:
            raise HTTPException(404, f"Study {study_uid} was never read here; send it first.")
        return tell(study_uid, studies.fetch(study_uid) if results else None, results, ledger)

    @router.get("/{study_uid}/report/history", summary="Every version of every report of a study, the newest first")
    def get_history(study_uid: StudyUid, request: Request) -> list[ReportBody]:
        trail.seen(request, study_uid)
        results = pacs.results(study_uid)
        if not results:
            return []
        study = studies.fetch(study_uid)
        return [ReportBody.of(version, study) for version in dicom_sr.history(results, study)]

    @router.get(
        "/{study_uid}/fhir",
        summary="The report in force as a FHIR R5 Bundle",
        response_class=Response,
        responses={200: {"content": {FHIR_JSON: {}}}},
    )
    def get_fhir(study_uid: StudyUid, request: Request) -> Response:
        trail.seen(request, study_uid)
        results = pacs.results(study_uid)
        study = studies.fetch(study_uid) if results else None
        version = dicom_sr.current(results, study) if study else None
        if study is None or version is None:
            raise HTTPException(404, f"Study {study_uid} has no report in force.")
        return JSONResponse(to_fhir(version, study), media_type=FHIR_JSON)

    return router
