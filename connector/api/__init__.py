"""The HTTP API, and the one origin that it shares with the viewer.

Every path is below ``/api/v1``; errors are problem documents (RFC 9457). What a radiologist decides is stored in the archive, the
work is in the ledger; nothing else is kept.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from connector import admin
from connector.api import audit, decisions, health, jobs, metrics, quarantine, questions, reports, rules, session, states, work
from connector.api.origin import SameOrigin
from connector.api.problems import described, problem
from connector.api.rights import StudyRights
from connector.api.trail import Trail
from connector.doctor import Doctor
from connector.ledger import Ledger
from connector.pacs import Pacs
from connector.quarantine import Quarantine
from connector.queue import Queue
from connector.recent import RecentStudies
from connector.schemas.problems import Problem
from connector.schemas.reports import NOTICE
from connector.sight import Sight
from connector.viewer import archive_window, mount_viewer
from radiology.errors import SightlineError
from radiology.settings import Settings

VERSION = "1"


def create_app(settings: Settings) -> FastAPI:
    """Return the application: the API, the window to the archive, and the viewer where its folder is set.

    Raises:
        LedgerError: the ledger cannot be opened.
        QueueError: the queue's folders cannot be made.
        FileNotFoundError: the viewer's or the extension's folder is set and does not exist.
    """
    ledger, pacs, queue = Ledger.open(settings), Pacs.connect(settings.pacs), Queue(settings)
    studies, trail = RecentStudies(pacs), Trail(ledger.audit)

    @asynccontextmanager
    async def closing(app: FastAPI) -> AsyncIterator[None]:
        yield
        ledger.close()

    prefix = f"/api/v{VERSION}"
    app = FastAPI(
        title="Sightline",
        version=VERSION,
        description=NOTICE,
        openapi_url=f"{prefix}/openapi.json",
        docs_url=None,  # FastAPI's pages load their scripts from another host
        redoc_url=None,
        lifespan=closing,
        separate_input_output_schemas=False,
        responses={"default": described(Problem)},
    )
    issuer = session.Issuer(settings.access) if settings.access.issuer else None
    if issuer is not None:
        app.add_middleware(StudyRights, sight=Sight(pacs), audit=ledger.audit)
        app.add_middleware(session.Gate, issuer=issuer, login_path=f"{prefix}/session/login", audit=ledger.audit)
        app.add_middleware(
            SessionMiddleware,
            secret_key=settings.access.session_secret.get_secret_value() or secrets.token_urlsafe(),
            session_cookie="sightline",
            max_age=None,  # what is signed says how long it counts
            same_site="lax",  # the way back from the issuer is a link from another site
            https_only=settings.access.issuer.startswith("https:"),
        )
    app.add_middleware(SameOrigin)
    # A page of another host that resolves its name to this address must not read patients' data (DNS rebinding).
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[*settings.api.hosts, settings.api.host])
    for kind in (StarletteHTTPException, RequestValidationError, SightlineError, Exception):
        app.add_exception_handler(kind, problem)
    for router in (
        jobs.routes(ledger),
        work.routes(ledger, trail),
        rules.routes(settings, ledger, pacs, trail),
        quarantine.routes(Quarantine(settings.data_folder / "spool"), trail),
        audit.routes(ledger.audit, trail),
        states.routes(ledger, pacs, studies),
        reports.routes(ledger, pacs, studies, trail),
        decisions.routes(ledger, pacs, studies, settings.results, trail),
        questions.routes(ledger, studies, queue, trail),
        health.routes(Doctor(settings, ledger, queue)),
        metrics.routes(settings, ledger),
        session.routes(settings.access, issuer, ledger.audit),
    ):
        app.include_router(router, prefix=prefix)
    app.include_router(archive_window(settings.pacs, trail.seen, session.signed_in))
    app.include_router(admin.routes())
    mount_viewer(app, settings.api)
    return app
