"""Routes: questions about places, which the engine's worker answers."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException

from connector.ledger import Ledger
from connector.pacs import Pacs
from connector.queue import Queue
from connector.schemas.questions import Question, QuestionIn
from connector.schemas.text import StudyUid


def routes(ledger: Ledger, pacs: Pacs, queue: Queue) -> APIRouter:
    """Return the routes below ``/studies/{study_uid}/questions``."""
    router = APIRouter(prefix="/studies/{study_uid}/questions", tags=["questions"])

    @router.post("", status_code=202, summary="Ask; the answer comes as an event, or is fetched")
    def post_question(study_uid: StudyUid, asked: QuestionIn) -> Question:
        raise HTTPException(501, "Not yet.")

    @router.get("", summary="Every question on a study, the newest first")
    def list_questions(study_uid: StudyUid) -> list[Question]:
        raise HTTPException(501, "Not yet.")

    @router.get("/{question_id}", summary="One question, and what became of it")
    def get_question(study_uid: StudyUid, question_id: int) -> Question:
        raise HTTPException(501, "Not yet.")

    return router
