"""Routes: the report of a study, read back from our own SR and SEG."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException
from fastapi.responses import JSONResponse, Response

import dicom_sr
from connector.ledger import Ledger
from connector.pacs import Pacs
from connector.schemas.reports import NOTICE, SIGNED_NOTICE, Rejected, ReportBody, StudyReport
from connector.schemas.text import StudyUid
from dicom_sr.fhir import to_fhir

FHIR_JSON = "application/fhir+json"


def routes(ledger: Ledger, pacs: Pacs) -> APIRouter:
    """Return the routes below ``/studies/{study_uid}`` that show reports."""
    router = APIRouter(prefix="/studies", tags=["reports"])

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
