"""Routes: the work on all studies, and what an administrator does about it. The command line does the same by the same functions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Request

from connector.api.session import signed_in
from connector.api.trail import Trail
from connector.audit import Event
from connector.ledger import Ledger, StudyRecord
from connector.schemas.jobs import JobSummary
from connector.schemas.text import StudyUid, Uid
from connector.schemas.work import Paused, PauseIn, PriorityIn, Retried, StudyWork, Work
from radiology.jobs import Job, JobState

_SIGN_OF_LIFE = timedelta(minutes=1)


def routes(ledger: Ledger, trail: Trail) -> APIRouter:
    """Return the routes below ``/work``."""
    router = APIRouter(prefix="/work", tags=["work"])

    def told(jobs: list[Job]) -> list[StudyWork]:
        records = ledger.records([job.study_uid for job in jobs if job.state is JobState.RUNNING])
        sources = ledger.sources.of_studies([job.study_uid for job in jobs])
        return [StudyWork.on(job, records.get(job.study_uid, StudyRecord()).progress, sources[job.study_uid]) for job in jobs]

    def who(request: Request) -> str:
        user = signed_in(request)
        return user.login if user else "somebody at the administrator's page"

    @router.get("", summary="How much work there is, how long its parts take, and who sends now")
    def get_work() -> Work:
        now = datetime.now(UTC)
        return Work.of(ledger.load(now), ledger.paused(), ledger.sources.sending(now - _SIGN_OF_LIFE))

    @router.get("/studies", summary="Where studies are: the newest job of each, the newest first")
    def list_studies(
        state: JobState | None = None, study_uid: Uid | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 200
    ) -> list[StudyWork]:
        return told(ledger.studies(state, study_uid or "", limit))

    @router.get("/stuck", summary="Studies that failed, or came long ago and are not read, the oldest first")
    def list_stuck(minutes: Annotated[float, Query(ge=0, le=525_600)] = 60) -> list[StudyWork]:
        return told(ledger.stuck(datetime.now(UTC) - timedelta(minutes=minutes)))

    @router.post("/retry", summary="Try failed studies again, the oldest first")
    def retry_failed(request: Request, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> Retried:
        trail.note(request, Event.STEERED, detail=f"retries up to {limit} failed studies")
        jobs, left = ledger.retry_failed(limit)
        return Retried(study_uids=[job.study_uid for job in jobs], left=left)

    @router.post("/studies/{study_uid}/retry", summary="Try a failed or refused study again")
    def retry(study_uid: StudyUid, request: Request) -> JobSummary:
        trail.note(request, Event.STEERED, study_uid, detail="retry")
        return JobSummary.model_validate(ledger.retry(study_uid))

    @router.post("/studies/{study_uid}/replay", summary="Have a study that was read read again, by the model in use now")
    def replay(study_uid: StudyUid, request: Request) -> JobSummary:
        trail.note(request, Event.STEERED, study_uid, detail="replay")
        return JobSummary.model_validate(ledger.replay(study_uid, who(request)))

    @router.post("/studies/{study_uid}/priority", summary="Read a study that waits or arrives sooner or later")
    def prioritise(study_uid: StudyUid, wanted: PriorityIn, request: Request) -> JobSummary:
        trail.note(request, Event.STEERED, study_uid, detail=f"priority {wanted.priority}")
        return JobSummary.model_validate(ledger.prioritise(study_uid, wanted.priority, who(request)))

    @router.post("/pause", summary="Take up no study from now on; what runs is finished, receiving goes on")
    def pause(wanted: PauseIn, request: Request) -> Paused:
        trail.note(request, Event.STEERED, detail="pause")
        return Paused.model_validate(ledger.pause(who(request), wanted.reason))

    @router.post("/resume", status_code=204, summary="Take up studies again")
    def resume(request: Request) -> None:
        trail.note(request, Event.STEERED, detail="resume")
        ledger.resume(who(request))

    return router
