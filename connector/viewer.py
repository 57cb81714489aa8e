"""The viewer's side of the origin: the prebuilt OHIF, our extension for it, and a closed window to the archive.

A browser may search and retrieve (GET below ``/dicom-web/studies``) and nothing else: what stores, deletes or configures is
not reachable. The page may load nothing from any other host.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from pydicom import Dataset
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import Scope

from connector.access import User
from connector.pacs import decode_separators
from radiology.settings import ApiSettings, PacsSettings

EXTENSION = "@sightline/ohif-extension"
EXTENSION_URL = "/sightline/index.js"

_HEADERS = {
    # Cross-origin isolation gives OHIF's decoders shared memory.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    # 'unsafe-eval': the arrays of OHIF's segmentation reader compile their own accessors.
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; worker-src 'self' blob:; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
        "frame-ancestors 'self'; base-uri 'self'; form-action 'self'"
    ),
    "Referrer-Policy": "no-referrer",  # study UIDs are part of the address
    "X-Content-Type-Options": "nosniff",
}

DICOM_JSON = "application/dicom+json"
_INSTITUTION = "00080080"

_RESOURCE = re.compile(r"studies(/(?!\.+(/|$))[\w.,-]+)*")
"""Search and retrieve transactions of PS3.18 10.4 and 10.6; Orthanc has more below the same root (its remote servers, for one)."""

_JPEG_LS = re.compile(r"image/jls|1\.2\.840\.10008\.1\.2\.4\.8[01]", re.IGNORECASE)
"""Orthanc 1.10 dies when it is asked to transcode to JPEG-LS."""

_IDLE_CONNECTIONS = 3
"""How many connections in a row may turn out to be closed; where many were idle together, the next one may be, too."""

_PASSED_ON = ("content-type", "content-length", "content-encoding", "etag", "last-modified")


def configuration() -> dict[str, Any]:
    """Return OHIF's ``window.config``: the archive behind ``/dicom-web``, our extension, no questions asked."""
    return {
        "name": "sightline",
        "routerBasename": None,
        "showStudyList": True,
        "extensions": [EXTENSION_URL],
        "modes": [],
        "customizationService": {
            "global": {"ohif.tours": {"$set": []}},
            "mode": {"viewer": {"rightPanels": {"$unshift": [f"{EXTENSION}.panelModule.findings"]}}},
        },
        "disableConfirmationPrompts": True,
        "measurementTrackingMode": "simplified",
        "investigationalUseDialog": {"option": "never"},  # our panel says it, always, and in the place where the findings are
        "maxNumberOfWebWorkers": 3,
        "showLoadingIndicator": True,
        "strictZSpacingForVolumeViewport": True,
        "groupEnabledModesFirst": True,
        "showErrorDetails": "production",
        "maxNumRequests": {"interaction": 100, "thumbnail": 5, "prefetch": 25},
        "defaultDataSourceName": "archive",
        "dataSources": [
            {
                "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
                "sourceName": "archive",
                "configuration": {
                    "friendlyName": "Archive",
                    "name": "archive",
                    "qidoRoot": "/dicom-web",
                    "wadoRoot": "/dicom-web",
                    "qidoSupportsIncludeField": True,
                    "imageRendering": "wadors",
                    "thumbnailRendering": "wadors",
                    "enableStudyLazyLoad": True,
                    "supportsReject": False,
                    "dicomUploadEnabled": False,
                    "supportsFuzzyMatching": False,
                    "supportsWildcard": True,
                    "bulkDataURI": {"enabled": True},
                    "omitQuotationForMultipartRequest": True,
                },
            }
        ],
    }


def archive_window(settings: PacsSettings, seen: Callable[[Request, str], None], asks: Callable[[Request], User | None]) -> APIRouter:
    """Return the routes below ``/dicom-web``: GET of studies and what is in them, streamed from the archive.

    ``seen`` is told of each study that is looked at; ``asks`` says who asks, of whose institutions' studies alone is told.
    """

    @asynccontextmanager
    async def connected(app: FastAPI) -> AsyncIterator[None]:
        auth = httpx.BasicAuth(settings.user, settings.password.get_secret_value()) if settings.user else None
        async with httpx.AsyncClient(auth=auth, timeout=settings.timeout_seconds) as client:
            app.state.archive = client
            yield

    router = APIRouter(lifespan=connected, include_in_schema=False)

    @router.get("/dicom-web/{resource:path}")
    async def retrieve(resource: str, request: Request) -> Response:
        query = decode_separators(request.url.query)
        if not _RESOURCE.fullmatch(resource):
            raise HTTPException(404, "Only studies, and what is in them, can be seen from here.")
        if _JPEG_LS.search(f"{request.headers.get('accept', '')} {unquote(query)}"):
            raise HTTPException(406, "JPEG-LS is not offered; ask for another transfer syntax.")
        if "/" in resource:
            await run_in_threadpool(seen, request, resource.split("/")[1])
        user = asks(request)
        is_cut = resource == "studies" and user is not None and user.institutions is not None
        page = Page.of(query) if is_cut else None
        client: httpx.AsyncClient = request.app.state.archive
        asked = client.build_request(
            "GET",
            httpx.URL(f"{settings.dicomweb_url.rstrip('/')}/{resource}").copy_with(query=(page.query if page else query).encode() or None),
            headers={
                "Accept": DICOM_JSON if page else request.headers.get("accept", "*/*"),
                "Accept-Encoding": request.headers.get("accept-encoding", "identity"),
                # The archive writes the addresses of bulk data with this; without RFC 7239's quotes, which Orthanc would copy.
                "Forwarded": f"host={request.url.netloc};proto={request.url.scheme}",
            },
        )
        try:
            answer = await _ask(client, asked)
        except httpx.TimeoutException as error:
            raise HTTPException(504, f"The archive gave no answer for {settings.timeout_seconds:.0f} s.") from error
        except httpx.HTTPError as error:
            raise HTTPException(
                502, "The archive cannot be reached; see that it runs and that SIGHTLINE_PACS__DICOMWEB_URL is right."
            ) from error
        if page and user:
            return await _cut(answer, page, user)
        return StreamingResponse(
            answer.aiter_raw(),
            status_code=answer.status_code,
            headers={name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
            | _HEADERS
            | {"Cache-Control": "no-cache"},
            background=BackgroundTask(answer.aclose),
        )

    return router


@dataclass(frozen=True)
class Page:
    """Which part of a list of studies is asked for: it can be told only once others' studies are taken out of the whole."""

    query: str
    offset: int
    limit: int | None

    @classmethod
    def of(cls, query: str) -> Page:
        """Take the part out of a query (PS3.18 8.3.4.4), and have the institution told with each study."""
        parts = [part for part in query.split("&") if part]
        asked = dict(part.partition("=")[::2] for part in parts)
        kept = [part for part in parts if part.partition("=")[0] not in ("limit", "offset")]
        limit, offset = asked.get("limit", ""), asked.get("offset", "")
        rest = "&".join([*kept, f"includefield={_INSTITUTION}"])
        return cls(rest, int(offset) if offset.isdecimal() else 0, int(limit) if limit.isdecimal() else None)


async def _cut(answer: httpx.Response, page: Page, user: User) -> Response:
    """Return those of the archive's list of studies that a user may see."""
    try:
        told = json.loads(await answer.aread()) if answer.status_code == 200 else []
    except (httpx.HTTPError, ValueError) as error:
        raise HTTPException(502, "The archive's list of studies broke off; look at its log.") from error
    finally:
        await answer.aclose()
    if answer.status_code not in (200, 204):
        status = answer.status_code if answer.is_client_error else 502
        raise HTTPException(status, f"The archive refused the search (HTTP {answer.status_code}).")
    theirs = [study for study in told if user.may_see(str(Dataset.from_json(study).get("InstitutionName") or ""))]
    stop = None if page.limit is None else page.offset + page.limit
    headers = _HEADERS | {"Cache-Control": "no-cache"}
    return Response(json.dumps(theirs[page.offset : stop]), media_type=DICOM_JSON, headers=headers)


async def _ask(client: httpx.AsyncClient, question: httpx.Request) -> httpx.Response:
    """Send a GET, and again where the archive was closing the idle connection that it went out on (Orthanc does so after a second)."""
    for _ in range(_IDLE_CONNECTIONS):
        try:
            return await client.send(question, stream=True)
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            continue
    return await client.send(question, stream=True)


def mount_viewer(app: FastAPI, settings: ApiSettings) -> None:
    """Add the viewer's pages to ``app``; the last routes, as every address that is not taken yet is OHIF's own."""

    @app.get("/app-config.js", include_in_schema=False)
    def app_config() -> Response:
        script = f"window.config = {json.dumps(configuration(), indent=2)};\n"
        return Response(script, media_type="text/javascript", headers=_HEADERS | {"Cache-Control": "no-store"})

    @app.get("/sw.js", include_in_schema=False)
    def no_service_worker() -> Response:
        raise HTTPException(404, "OHIF's service worker would load code from another host.")

    if settings.extension_folder is not None:
        app.mount("/sightline", _Files(settings.extension_folder))
    if settings.viewer_folder is not None:
        app.mount("/", _Pages(settings.viewer_folder))


class _Files(StaticFiles):
    """A folder; everything is asked for again when it has changed."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise FileNotFoundError(f"The folder {folder} does not exist; run scripts/setup, which builds it.")
        super().__init__(directory=folder)

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        response.headers["Cache-Control"] = "no-cache"
        return response


class _Pages(_Files):
    """OHIF: an address that is no file is a page of the application (``/viewer?StudyInstanceUIDs=...``)."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        try:
            return await super().get_response("index.html" if path == "." else path, scope)
        except StarletteHTTPException as error:
            first, *_, last = [*path.split("/"), path.rsplit("/", 1)[-1]]
            if error.status_code != 404 or "." in last or first in ("api", "dicom-web", "sightline"):
                raise
            return await super().get_response("index.html", scope)
