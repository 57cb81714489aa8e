"""Routes: the work on studies."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Query

from connector.ledger import Ledger
from connector.schemas.jobs import JobHistory, JobSummary, Step
from connector.schemas.text import Number
from radiology.jobs import JobState


def routes(ledger: Ledger) -> APIRouter:
    """Return the routes below ``/jobs``."""
    router = APIRouter(prefix="/jobs", tags=["jobs"])

    @router.get("", summary="Jobs, newest first")
    def list_jobs(
        state: JobState | None = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 200,
    ) -> list[JobSummary]:
        return [JobSummary.model_validate(job) for job in ledger.jobs(state, limit)]

    @router.get("/{job_id}", summary="One job with every step that it took")
    def get_job(job_id: Number) -> JobHistory:
        job = ledger.job(job_id)
        if job is None:
            raise HTTPException(404, f"There is no job {job_id}.")
        steps = [Step.model_validate(transition) for transition in ledger.history(job_id)]
        return JobHistory(**JobSummary.model_validate(job).model_dump(), history=steps)

    return router
