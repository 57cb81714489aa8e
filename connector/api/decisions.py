"""Routes: what radiologists decide about reports."""

from __future__ import annotations

from fastapi import APIRouter, Request

from connector.api.problems import described
from connector.api.reports import tell
from connector.api.session import in_name_of
from connector.api.trail import Trail
from connector.audit import Event
from connector.ledger import Ledger
from connector.pacs import Pacs
from connector.recent import RecentStudies
from connector.schemas.decisions import DecisionIn, RejectionIn
from connector.schemas.problems import Conflict
from connector.schemas.reports import StudyReport
from connector.schemas.text import StudyUid
from connector.verdicts import Desk
from radiology.settings import ResultSettings


def routes(ledger: Ledger, pacs: Pacs, studies: RecentStudies, wanted: ResultSettings, trail: Trail) -> APIRouter:
    """Return the routes below ``/studies/{study_uid}`` that change reports."""
    desk = Desk(ledger, pacs, studies, wanted)
    router = APIRouter(prefix="/studies", tags=["decisions"], responses={409: described(Conflict)})

    @router.post("/{study_uid}/decisions", summary="Accept, correct, reject, add, undo, sign: the next version of the report")
    def post_decision(study_uid: StudyUid, decision: DecisionIn, request: Request) -> StudyReport:
        mine = decision.model_copy(update={"person": in_name_of(request, decision.person)})
        trail.note(request, Event.JUDGED, study_uid, who=mine.person.name, detail=f"verdicts on {mine.document_uid}")
        return tell(study_uid, *desk.decide(study_uid, mine), ledger)

    @router.post("/{study_uid}/rejection", summary="Take the whole report back")
    def post_rejection(study_uid: StudyUid, rejection: RejectionIn, request: Request) -> StudyReport:
        mine = rejection.model_copy(update={"person": in_name_of(request, rejection.person)})
        trail.note(request, Event.JUDGED, study_uid, who=mine.person.name, detail=f"takes back {mine.document_uid}")
        return tell(study_uid, *desk.decide(study_uid, mine), ledger)

    return router
