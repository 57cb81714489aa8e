"""Routes: questions about places, which the engine's worker answers."""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from fastapi import APIRouter, HTTPException, Request

from connector.api.session import in_name_of
from connector.api.trail import Trail
from connector.audit import Event
from connector.ledger import Ledger
from connector.queue import Queue
from connector.recent import RecentStudies
from connector.schemas.questions import Question, QuestionIn
from connector.schemas.text import Number, StudyUid
from radiology import question
from radiology.errors import QueueError
from radiology.jobs import ANSWER_QUESTION

_log = structlog.get_logger()


def tell(study_uid: str, asked: Sequence[question.Question], studies: RecentStudies) -> list[Question]:
    """Return questions on a study as the API says them; the archive is asked only where something was drawn."""
    is_drawn = any(each.answer and each.answer.regions for each in asked)
    study = studies.fetch(study_uid) if is_drawn else None
    return [Question.of(each, study) for each in asked]


def routes(ledger: Ledger, studies: RecentStudies, queue: Queue, trail: Trail) -> APIRouter:
    """Return the routes below ``/studies/{study_uid}/questions``."""
    router = APIRouter(prefix="/studies/{study_uid}/questions", tags=["questions"])

    @router.post("", status_code=202, summary="Ask; the answer comes as an event, or is fetched")
    def post_question(study_uid: StudyUid, asked: QuestionIn, request: Request) -> Question:
        if asked.follows is not None:
            before = ledger.questions.question(asked.follows)
            if before is None or before.study_uid != study_uid or before.answer is None:
                raise HTTPException(422, f"Question {asked.follows} has no answer on this study that could be refined; ask anew.")
        trail.note(request, Event.ASKED, study_uid, who=asked.person.name)
        entered = ledger.questions.ask(study_uid, asked.prompt, in_name_of(request, asked.person).observer)
        try:
            queue.send(entered.question_id, ANSWER_QUESTION)
        except QueueError as error:  # the watcher's sweep sends it
            _log.warning("message not sent", question_id=entered.question_id, reason=str(error))
        return Question.of(entered, None)

    @router.get("", summary="Every question on a study, the newest first")
    def list_questions(study_uid: StudyUid) -> list[Question]:
        return tell(study_uid, ledger.questions.of_study(study_uid), studies)

    @router.get("/{question_id}", summary="One question, and what became of it")
    def get_question(study_uid: StudyUid, question_id: Number) -> Question:
        asked = ledger.questions.question(question_id)
        if asked is None or asked.study_uid != study_uid:
            raise HTTPException(404, f"There is no question {question_id} on study {study_uid}.")
        return tell(study_uid, [asked], studies)[0]

    return router
