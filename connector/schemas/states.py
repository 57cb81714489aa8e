"""Where studies stand, as the HTTP API says it: for the study list, for whoever waits for a report, and for priors."""

from __future__ import annotations

import datetime as dt

from pydantic import BaseModel, Field

from connector.ledger import StudyRecord
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

    @classmethod
    def of(cls, study_uid: str, record: StudyRecord) -> StudyState:
        """Return what the ledger knows of a study as the API says it."""
        job, standing = record.job, record.standing
        return cls(
            study_uid=study_uid,
            state=job.state if job else None,
            reason=job.reason if job else "",
            progress=record.progress,
            outcome=standing.outcome if standing else None,
            findings=standing.findings if standing else 0,
            signed=standing.is_signed if standing else False,
            document_uid=standing.document_uid if standing else None,
            version=standing.version if standing else None,
        )


class Prior(BaseModel):
    """Another study of the same patient."""

    study_uid: str
    date: dt.date | None
    modalities: list[str]
    description: str
    state: StudyState | None = Field(description="Where its report stands; none where this installation knows nothing of it.")
