"""Jobs: the states of the work on one study, and the names by which the floors send work to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

READ_STUDY = "sightline.read_study"
"""Name of the queue message that asks the engine's worker to take a job; its only argument is the job id."""

ANSWER_QUESTION = "sightline.answer_question"
"""Name of the queue message that asks the engine's worker to answer a question; its only argument is the question id."""


class JobState(StrEnum):
    """Where a study is. Every transition carries a reason."""

    ARRIVING = "arriving"
    """Instances are still coming, or the study has not been quiet for long enough."""
    REFUSED = "refused"
    """No rule wants it, or the model cannot read it: final, nothing is stored."""
    QUEUED = "queued"
    """Complete and waiting for a worker."""
    RUNNING = "running"
    """A worker holds a lease on it."""
    DONE = "done"
    """The results are in the archive, verified by query, and committed to where it is asked."""
    FAILED = "failed"
    """Stopped with a reason; ``sightline retry`` queues it again."""


class Priority(StrEnum):
    """Which study is read first; of the same priority, the one that came first."""

    URGENT = "urgent"
    ROUTINE = "routine"
    LOW = "low"

    @property
    def rank(self) -> int:
        """0 for the most urgent."""
        return list(Priority).index(self)


TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.ARRIVING: frozenset({JobState.QUEUED, JobState.REFUSED}),
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.FAILED}),
    JobState.RUNNING: frozenset({JobState.DONE, JobState.QUEUED, JobState.FAILED, JobState.REFUSED}),
    JobState.FAILED: frozenset({JobState.QUEUED}),
    JobState.REFUSED: frozenset({JobState.QUEUED}),
    JobState.DONE: frozenset(),
}


@dataclass(frozen=True)
class Job:
    """One row of the ledger: the work on one set of images of one study.

    ``inputs_digest`` is :func:`radiology.study.digest` over the images, empty while they are still arriving. A job
    whose images and model were read before is never made; late images make a new job with the next ``revision``.

    ``weights_hash`` is the model that reads it or has read it. Once a worker is through: ``result_uids`` are the SOP Instance
    UIDs that it stored, ``parts`` the seconds that each part took (queue, fetch, load, model, write, store).
    """

    job_id: int
    study_uid: str
    state: JobState
    reason: str
    attempts: int
    revision: int
    inputs_digest: str
    created: datetime
    updated: datetime
    description: str = ""
    weights_hash: str = ""
    result_uids: tuple[str, ...] = ()
    parts: Mapping[str, float] = field(default_factory=dict)
    priority: Priority = Priority.ROUTINE


@dataclass(frozen=True)
class Pause:
    """That no study is read for now: since when, by whom and why; what a person says of it, so nothing of a patient."""

    since: datetime
    by: str
    reason: str

    def __str__(self) -> str:
        """Say it in a sentence."""
        why = f": {self.reason.rstrip('.')}" if self.reason else ""
        return f"Paused since {self.since.astimezone():%Y-%m-%d %H:%M} by {self.by}{why}."


@dataclass(frozen=True)
class Progress:
    """How far the work on a running job is: ``share`` from 0 to 1, and what is being done, for example ``Slice 3 of 8``."""

    share: float
    doing: str
