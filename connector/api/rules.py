"""Routes: which studies are read and which come first, and what the rules would say."""

from __future__ import annotations

from fastapi import APIRouter, HTTPException, Request

from connector.api.trail import Trail
from connector.ledger import Ledger
from connector.pacs import Pacs
from connector.routing import route
from connector.rules import load
from connector.schemas.rules import FactsIn, RulesOut, RulingOut
from connector.schemas.text import StudyUid
from radiology.jobs import Priority
from radiology.settings import Settings


def routes(settings: Settings, ledger: Ledger, pacs: Pacs, trail: Trail) -> APIRouter:
    """Return the routes below ``/rules``; the file of rules is read anew for each request."""
    router = APIRouter(prefix="/rules", tags=["rules"])

    @router.get("", summary="The rules of the file, the first that fits decides; 422 where the file cannot be read")
    def get_rules() -> RulesOut:
        return RulesOut.of(load(settings))

    @router.post("/test", summary="What becomes of a series like this")
    def test_facts(described: FactsIn) -> RulingOut:
        return RulingOut.of(load(settings).judge(described.facts))

    @router.get("/studies/{study_uid}", summary="What becomes of a study that the archive has")
    def test_study(study_uid: StudyUid, request: Request) -> RulingOut:
        job = ledger.latest(study_uid)
        if job is None:
            raise HTTPException(404, f"Study {study_uid} never came here; describe a series instead.")
        trail.seen(request, study_uid)
        chosen = route(pacs.fetch(study_uid), settings.watcher)
        if chosen.study is None:
            return RulingOut(rule="", read=False, priority=Priority.ROUTINE, why=chosen.reason, passed_over=[])
        return RulingOut.of(load(settings).judge_study(chosen.study, ledger.sources.of_study(study_uid), job.created))

    return router
