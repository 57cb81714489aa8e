"""The work as an administrator sees and steers it, as the HTTP API says it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from connector.ledger import Load
from connector.schemas.jobs import JobSummary
from connector.schemas.text import Words
from connector.sources import Sending
from radiology.jobs import Job, JobState, Pause, Priority, Progress


class Step(StrEnum):
    """What can be asked for a study in its state."""

    RETRY = "retry"
    PRIORITISE = "prioritise"
    REPLAY = "replay"


_STEPS = {
    JobState.ARRIVING: [Step.PRIORITISE],
    JobState.QUEUED: [Step.PRIORITISE],
    JobState.DONE: [Step.REPLAY],
    JobState.FAILED: [Step.RETRY],
    JobState.REFUSED: [Step.RETRY],
}


class Paused(BaseModel):
    """That no study is taken up for now."""

    model_config = ConfigDict(from_attributes=True)

    since: datetime
    by: str
    reason: str


class PauseIn(BaseModel):
    """Why no study is to be taken up."""

    reason: Words = Field("", description="Nothing of a patient.")


class PriorityIn(BaseModel):
    """How soon a study is to be read."""

    priority: Priority


class StudyWork(JobSummary):
    """Where a study is: its newest job."""

    priority: Priority
    sources: list[str] = Field(description="AE titles that sent it, as far as they are known.")
    progress: Progress | None = Field(description="How far the reading is; none where no worker is at it.")
    steps: list[Step] = Field(description="What can be asked for it now.")

    @classmethod
    def on(cls, job: Job, progress: Progress | None, sources: Iterable[str]) -> StudyWork:
        """Return the newest job of a study as the API says it."""
        known = {"priority": job.priority, "sources": sorted(sources), "progress": progress, "steps": _STEPS.get(job.state, [])}
        return cls(**JobSummary.model_validate(job).model_dump(), **known)


class Sender(BaseModel):
    """Who sends a study now."""

    model_config = ConfigDict(from_attributes=True)

    study_uid: str
    calling_ae: str
    last_seen: datetime


class Work(BaseModel):
    """All the work at one moment."""

    jobs: dict[JobState, int] = Field(description="Number of jobs in each state.")
    oldest_queued_seconds: float
    repeated_attempts: int = Field(description="Attempts of all jobs beyond the first.")
    part_seconds: dict[str, float] = Field(description="Median seconds of each part of the newest finished readings.")
    paused: Paused | None = Field(description="None where studies are taken up.")
    senders: list[Sender]

    @classmethod
    def of(cls, load: Load, pause: Pause | None, sending: list[Sending]) -> Work:
        """Return the load as the API says it."""
        return cls(
            jobs={state: load.jobs.get(state, 0) for state in JobState},
            oldest_queued_seconds=load.oldest_queued_seconds,
            repeated_attempts=load.repeated_attempts,
            part_seconds=dict(load.part_seconds),
            paused=Paused.model_validate(pause) if pause else None,
            senders=[Sender.model_validate(each) for each in sending],
        )


class Retried(BaseModel):
    """What came of trying failed studies again."""

    study_uids: list[str] = Field(description="The studies that are queued again.")
    left: int = Field(description="How many failed studies are left; ask again for them.")
