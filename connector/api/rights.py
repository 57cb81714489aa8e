"""Rights study by study: who may see studies sees, and judges, those of their institutions only."""

from __future__ import annotations

import re
from urllib.parse import parse_qs

from fastapi import HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from connector.access import User
from connector.api.problems import problem
from connector.api.session import signed_in
from connector.audit import Audit, Event
from connector.sight import Sight
from radiology.errors import SightlineError

_STATES = re.compile(r"/api/v\d+/studies/states")
_STUDY = re.compile(r"/(?:api/v\d+|dicom-web)/studies/([^/]+)(?:/.*)?")


class StudyRights:
    """ASGI middleware behind the gate: answers 403 to what names a study that is not of the user's institutions.

    Lists of studies name none; they are cut down where they are made. A study that the archive does not have gets the same answer, so
    that nobody learns which ones it has.
    """

    def __init__(self, app: ASGIApp, sight: Sight, audit: Audit) -> None:
        self._app = app
        self._sight = sight
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        request = Request(scope) if scope["type"] == "http" else None
        user = signed_in(request) if request else None
        if request is None or user is None or user.institutions is None:
            await self._app(scope, receive, send)
            return
        try:
            for study_uid in _named(scope):
                await run_in_threadpool(self._check, request, user, study_uid)
        except (SightlineError, HTTPException) as error:
            await problem(request, error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, request: Request, user: User, study_uid: str) -> None:
        if self._sight.covers(user, study_uid):
            return
        address, what = request.client.host if request.client else "", f"{request.method} of a study of another institution"
        self._audit.note(Event.TURNED_AWAY, is_success=False, who=user.login, address=address, study_uid=study_uid[:64], detail=what)
        raise HTTPException(403, "This study is not of an institution whose studies you may see; ask who keeps the accounts.")


def _named(scope: Scope) -> list[str]:
    """The studies that a request names."""
    path = scope["path"]
    if _STATES.fullmatch(path):
        return parse_qs(scope["query_string"].decode("latin-1")).get("study_uid", [])
    match = _STUDY.fullmatch(path)
    return [match[1]] if match else []
