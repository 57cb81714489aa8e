"""Routes: what the listener keeps from the archive."""

from __future__ import annotations

from contextlib import suppress

from fastapi import APIRouter, HTTPException, Request

from connector.api.trail import Trail
from connector.audit import Event
from connector.quarantine import Quarantine
from connector.schemas.quarantine import Held, Released
from connector.schemas.text import UidInPath
from radiology.errors import StudyError


def routes(quarantine: Quarantine, trail: Trail) -> APIRouter:
    """Return the routes below ``/quarantine``."""
    router = APIRouter(prefix="/quarantine", tags=["quarantine"])

    @router.get("", summary="What came under the UID of something else, the oldest first")
    def list_held() -> list[Held]:
        held = []
        for path in quarantine.files():
            with suppress(FileNotFoundError):  # released, or deleted, meanwhile
                held.append(Held.of(path))
        return held

    @router.post("/{instance_uid}/release", summary="Send what is held of an instance to the archive after all")
    def release(instance_uid: UidInPath, request: Request) -> Released:
        trail.note(request, Event.STEERED, detail=f"releases instance {instance_uid} from quarantine")
        try:
            return Released(files=quarantine.release(instance_uid))
        except StudyError as error:
            raise HTTPException(404, str(error)) from error
        except OSError as error:
            raise HTTPException(503, f"The disk does not do its part: {error.strerror}; `sightline doctor` says more.") from error

    return router
