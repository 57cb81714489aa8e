"""Routes: where studies stand, once or as it changes."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated

import structlog
from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydicom import Dataset

from connector.api.questions import tell
from connector.api.session import signed_in
from connector.ledger import Ledger
from connector.pacs import Pacs
from connector.recent import RecentStudies
from connector.schemas.states import Prior, StudyState
from connector.schemas.text import StudyUid, Uid
from radiology.errors import SightlineError

_PAUSE_SECONDS = 0.5

_log = structlog.get_logger()


def routes(ledger: Ledger, pacs: Pacs, studies: RecentStudies) -> APIRouter:
    """Return the routes below ``/studies`` that say where studies stand."""
    router = APIRouter(prefix="/studies", tags=["states"])

    def state_of(study_uid: str) -> StudyState:
        return StudyState.of(study_uid, ledger.records([study_uid])[study_uid])

    @router.get("/states", summary="Where these studies stand, in the order that they are asked for")
    def list_states(study_uid: Annotated[list[Uid], Query(max_length=200)]) -> list[StudyState]:
        records = ledger.records(study_uid)
        return [StudyState.of(uid, records[uid]) for uid in study_uid]

    @router.get("/{study_uid}/priors", summary="Other studies of the same patient, the newest first")
    def list_priors(study_uid: StudyUid, request: Request) -> list[Prior]:
        user = signed_in(request)
        others = [each for each in pacs.others(study_uid) if user is None or user.may_see(str(each.get("InstitutionName") or ""))]
        records = ledger.records([str(other.StudyInstanceUID) for other in others])
        states = {uid: StudyState.of(uid, record) if record.job or record.standing else None for uid, record in records.items()}
        return [_prior(other, states[str(other.StudyInstanceUID)]) for other in others]

    @router.get(
        "/{study_uid}/events",
        summary="What changes on a study: `study` with a StudyState, at once and at every change; `question` with a Question",
        description="A question's event has the moment of its change as id: who connects again is told what they have missed. "
        "The line ends with the session.",
        response_class=EventSourceResponse,
    )
    async def follow(
        study_uid: StudyUid, request: Request, last_event_id: Annotated[dt.datetime | None, Header()] = None
    ) -> AsyncIterator[ServerSentEvent]:
        told: StudyState | None = None
        user = signed_in(request)
        until = user.until if user else math.inf
        try:
            changes = await run_in_threadpool(ledger.questions.last_changes, study_uid)
            seen = {number: time for number, time in changes.items() if last_event_id is None or time <= last_event_id}
            while time.time() < until:
                state = await run_in_threadpool(state_of, study_uid)
                if state != told:
                    told = state
                    yield ServerSentEvent(event="study", data=state)
                changes = await run_in_threadpool(ledger.questions.last_changes, study_uid)
                for number in [number for number, time in changes.items() if seen.get(number) != time]:
                    asked = await run_in_threadpool(ledger.questions.question, number)
                    if asked is not None:
                        (question,) = await run_in_threadpool(tell, study_uid, [asked], studies)
                        seen[number] = asked.updated
                        yield ServerSentEvent(event="question", data=question, id=asked.updated.isoformat())
                await asyncio.sleep(_PAUSE_SECONDS)
        except SightlineError as error:  # the stream ends here, and the browser connects again by itself
            _log.warning("events ended", study_uid=study_uid, reason=str(error))

    return router


def _prior(study: Dataset, state: StudyState | None) -> Prior:
    modalities = study.get("ModalitiesInStudy") or []
    date = None
    with suppress(ValueError):  # an archive may hold dates that are none
        date = dt.datetime.strptime(str(study.get("StudyDate") or ""), "%Y%m%d").date()
    return Prior(
        study_uid=str(study.StudyInstanceUID),
        date=date,
        modalities=[modalities] if isinstance(modalities, str) else [str(modality) for modality in modalities],
        description=str(study.get("StudyDescription") or ""),
        state=state,
    )
