"""Where studies stand, as the HTTP API says it: for the study list, for whoever waits for a report, and for priors."""

from __future__ import annotations

import datetime as dt

from pydantic import BaseModel, Field

from radiology.jobs import JobState, Progress
from radiology.report import Outcome


class StudyState(BaseModel):
    """The state of the work on a study, and where its report stands."""

    study_uid: str
    state: JobState | None = Field(description="State of the newest job; none where this installation never had one.")
    reason: str = Field(description="Why the job is in that state; empty where there is none.")
    progress: Progress | None = Field(description="How far the work is; none where no worker is at it.")
    outcome: Outcome | None = Field(description="How the reading ended; this and what follows is none where no report is known of.")
    findings: int = Field(description="How many sentences of the report in force state, or do not exclude, something abnormal.")
    signed: bool
    document_uid: str | None = Field(description="The findings in force. Where this changes, there is a new report to fetch.")
    version: int | None


class Prior(BaseModel):
    """Another study of the same patient."""

    study_uid: str
    date: dt.date | None
    modalities: list[str]
    description: str
    state: StudyState | None = Field(description="Where its report stands; none where this installation knows nothing of it.")
