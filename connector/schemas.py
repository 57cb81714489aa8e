"""What the HTTP API says, version 1. The extension's ``types.ts`` is generated from these."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import Path
from pydantic import BaseModel, Field

from connector.ledger import Transition
from radiology.finding import Finding, Presence, Region, Side
from radiology.jobs import Job, JobState
from radiology.report import Report
from radiology.study import Study

StudyUid = Annotated[str, Path(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64, description="Study Instance UID (PS3.5 9.1).")]

NOTICE = "Made by AI. Investigational, not verified by a radiologist, not for diagnosis."


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str

    @classmethod
    def of(cls, status: int, detail: str) -> Problem:
        """Return the problem with the status's own title."""
        return cls(title=HTTPStatus(status).phrase, status=status, detail=detail)


class Part(BaseModel):
    """The condition of one part of the installation; ``why`` is empty where it is well."""

    ok: bool
    why: str = ""


class Health(BaseModel):
    """The condition of everything that the API can see."""

    ok: bool
    archive: Part
    ledger: Part
    queue: Part
    disk: Part


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


class Place(BaseModel):
    """Where a finding is in one series: array indices, zero-based, half-open."""

    series_uid: str
    instance_uid: str = Field(description="SOP Instance UID of the image that shows it best: the one with the largest part of the mask.")
    start: tuple[int, int, int] = Field(description="First slice, row and column.")
    stop: tuple[int, int, int] = Field(description="Slice, row and column after the last.")
    score: float = Field(description="The model's own certainty of the mask, 0 to 1; not calibrated.")
    tracking_uid: str = Field(description="DICOM Tracking Unique Identifier, the same in SR and SEG.")

    @classmethod
    def of(cls, region: Region, study: Study) -> Place:
        """Return the region as the API says it. ``StudyError`` where its series is not in the study."""
        frames = study.find_series(region.series_uid).frames
        return cls(
            series_uid=region.series_uid,
            instance_uid=frames[region.key_slice].uid,
            start=region.box.start,
            stop=region.box.stop,
            score=region.score,
            tracking_uid=region.tracking_uid,
        )


class Statement(BaseModel):
    """One sentence of the report and its places."""

    name: str
    sentence: str
    presence: Presence
    side: Side | None
    confidence: float = Field(description="The model's own, 0 to 1; not calibrated.")
    flags: list[str] = Field(description="Why this sentence needs a second look; empty where all checks agreed.")
    places: list[Place]

    @classmethod
    def of(cls, finding: Finding, study: Study) -> Statement:
        """Return the finding as the API says it."""
        return cls(
            name=finding.name,
            sentence=finding.sentence,
            presence=finding.presence,
            side=finding.side,
            confidence=finding.confidence,
            flags=list(finding.flags),
            places=[Place.of(region, study) for region in finding.regions],
        )


class Model(BaseModel):
    """What made a report."""

    name: str
    version: str
    weights_hash: str


class ReportBody(BaseModel):
    """One reading, read back from the archive."""

    impression: str
    findings: list[Statement]
    withheld: list[str] = Field(description="One sentence for each finding that the consistency check removed.")
    model: Model
    started: datetime

    @classmethod
    def of(cls, report: Report, study: Study) -> ReportBody:
        """Return the report as the API says it."""
        return cls(
            impression=report.impression,
            findings=[Statement.of(finding, study) for finding in report.findings],
            withheld=list(report.withheld),
            model=Model(name=report.model.name, version=report.model.version, weights_hash=report.model.weights_hash),
            started=report.started,
        )


class StudyReport(BaseModel):
    """What is known of a study: its report where there is one, and the state of the work on it."""

    study_uid: str
    notice: str = NOTICE
    state: JobState | None = Field(description="State of the newest job; none where this installation never had one.")
    reason: str = Field(description="Why the job is in that state.")
    report: ReportBody | None
