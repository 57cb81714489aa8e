"""The work on studies, as the HTTP API says it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from radiology.jobs import JobState


class Step(BaseModel):
    """One transition of a job."""

    model_config = ConfigDict(from_attributes=True)

    source: JobState | None
    target: JobState
    reason: str
    time: datetime


class JobSummary(BaseModel):
    """The work on one set of images of one study."""

    model_config = ConfigDict(from_attributes=True)

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


class JobHistory(JobSummary):
    """A job with every step that it took."""

    history: list[Step]
