"""The administrator's page: three files that ask the HTTP API, which does all the work."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from fastapi import APIRouter
from fastapi.responses import FileResponse

_FOLDER = Path(__file__).parent
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def routes() -> APIRouter:
    """Return the routes ``/admin`` and below."""
    router = APIRouter(prefix="/admin", include_in_schema=False)

    @router.get("")
    def get_page() -> FileResponse:
        return FileResponse(_FOLDER / "page.html", headers=_HEADERS)

    @router.get("/{name}")
    def get_part(name: Literal["page.css", "page.js"]) -> FileResponse:
        return FileResponse(_FOLDER / name, headers=_HEADERS)

    return router
