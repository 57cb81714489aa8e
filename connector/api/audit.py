"""Routes: the audit trail. To look at it is an event of its own (PS3.15 A.5.3.2)."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from connector.api.trail import Trail
from connector.audit import Audit
from connector.schemas.audit import AuditEntry, Chain
from connector.schemas.text import Uid
from radiology.errors import LedgerError


def routes(audit: Audit, trail: Trail) -> APIRouter:
    """Return the routes below ``/audit``."""
    router = APIRouter(prefix="/audit", tags=["audit"])

    @router.get("", summary="The newest entries, newest first, of all studies or one")
    def list_entries(
        request: Request,
        study_uid: Uid | None = None,
        before: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Only entries with a lower number.")] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> list[AuditEntry]:
        trail.read(request)
        return [AuditEntry.of(entry) for entry in audit.newest(limit, study_uid or "", before)]

    @router.get("/chain", summary="Whether the whole trail is as it was written")
    def get_chain() -> Chain:
        try:
            entries, newest = audit.verify()
        except LedgerError as error:
            return Chain(ok=False, why=str(error), entries=0, hash="")
        return Chain(ok=True, why="", entries=entries, hash=newest)

    return router
