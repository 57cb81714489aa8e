"""No page of another site may change anything here, whatever the browser sends along with its request."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import HTTPException, Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from connector.api.problems import problem

_LOOKING = frozenset({"GET", "HEAD", "OPTIONS"})


class SameOrigin:
    """ASGI middleware: refuses what a page of another origin asks for, if it is more than a look.

    A browser says by itself from where a request comes, and no page can make it say something else: in ``Sec-Fetch-Site`` (W3C Fetch
    Metadata), an older one in ``Origin`` (RFC 6454). A program says neither, and has no session of a person's that could be misused.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        if scope["type"] == "http" and scope["method"] not in _LOOKING and not _is_our_own(Headers(scope=scope)):
            refusal = HTTPException(403, "This was asked by a page of another site; open Sightline's own page.")
            await problem(Request(scope), refusal)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_our_own(headers: Headers) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")
