"""The work on studies, as the HTTP API says it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from connector.ledger import Transition
from radiology.jobs import Job, JobState


class Step(BaseModel):
    """One transition of a job."""

    source: JobState | None
    target: JobState
    reason: str
    time: datetime

    @classmethod
    def of(cls, transition: Transition) -> Step:
        """Return the transition as the API says it."""
        return cls(source=transition.source, target=transition.target, reason=transition.reason, time=transition.time)


class JobSummary(BaseModel):
    """The work on one set of images of one study."""

    job_id: int
    study_uid: str
    description: str
    state: JobState
    reason: str
    attempts: int
    revision: int
    created: datetime
    updated: datetime
    result_uids: list[str] = Field(description="SOP Instance UIDs of what was stored.")
    parts: dict[str, float] = Field(description="Seconds that each part of the work took.")

    @classmethod
    def of(cls, job: Job) -> JobSummary:
        """Return the job as the API says it."""
        return cls(
            job_id=job.job_id,
            study_uid=job.study_uid,
            description=job.description,
            state=job.state,
            reason=job.reason,
            attempts=job.attempts,
            revision=job.revision,
            created=job.created,
            updated=job.updated,
            result_uids=list(job.result_uids),
            parts=dict(job.parts),
        )


class JobHistory(JobSummary):
    """A job with every step that it took."""

    history: list[Step]
