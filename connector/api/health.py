"""Routes: health."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from fastapi import APIRouter
from fastapi.responses import Response

from connector.ledger import Ledger
from connector.pacs import Pacs
from connector.queue import Queue
from connector.schemas.health import Health, Part
from radiology.errors import SightlineError
from radiology.settings import Settings

_PATIENCE_SECONDS = 5.0


def routes(settings: Settings, ledger: Ledger, queue: Queue) -> APIRouter:
    """Return the route ``/health``."""
    router = APIRouter(prefix="/health", tags=["health"])
    pacs = Pacs.connect(settings.pacs.model_copy(update={"timeout_seconds": _PATIENCE_SECONDS}))

    def space() -> None:
        free = shutil.disk_usage(settings.data_folder).free
        if free < settings.listener.minimum_free_bytes:
            raise OSError(f"Only {free >> 20} MB are free in the data folder; the listener takes nothing until there is more.")

    @router.get("", summary="Whether archive, ledger, queue and disk are well", responses={503: {"model": Health}})
    def get_health(response: Response) -> Health:
        archive, book, line, disk = (_part(check) for check in (lambda: pacs.count("2.25.0"), ledger.check, queue.check, space))
        health = Health(ok=all(part.ok for part in (archive, book, line, disk)), archive=archive, ledger=book, queue=line, disk=disk)
        response.status_code = 200 if health.ok else 503
        return health

    return router


def _part(check: Callable[[], object]) -> Part:
    try:
        check()
    except (SightlineError, OSError) as error:
        return Part(ok=False, why=str(error))
    return Part(ok=True, why="")
