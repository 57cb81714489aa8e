"""Routes: where studies stand, once or as it changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from connector.ledger import Ledger
from connector.pacs import Pacs
from connector.schemas.states import Prior, StudyState
from connector.schemas.text import StudyUid, Uid


def routes(ledger: Ledger, pacs: Pacs) -> APIRouter:
    """Return the routes below ``/studies`` that say where studies stand."""
    router = APIRouter(prefix="/studies", tags=["states"])

    @router.get("/states", summary="Where these studies stand, in the order that they are asked for")
    def list_states(study_uid: Annotated[list[Uid], Query(max_length=200)]) -> list[StudyState]:
        raise HTTPException(501, "Not yet.")

    @router.get("/{study_uid}/priors", summary="Other studies of the same patient, the newest first")
    def list_priors(study_uid: StudyUid) -> list[Prior]:
        raise HTTPException(501, "Not yet.")

    @router.get(
        "/{study_uid}/events",
        summary="What changes on a study: `study` with a StudyState, at once and at every change; `question` with a Question",
        response_class=EventSourceResponse,
    )
    async def follow(study_uid: StudyUid) -> AsyncIterator[ServerSentEvent]:
        raise HTTPException(501, "Not yet.")
        yield

    return router
