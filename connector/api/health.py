"""Routes: health."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter
from fastapi.responses import Response

from connector.doctor import Doctor
from connector.schemas.health import Health, Part


def routes(doctor: Doctor) -> APIRouter:
    """Return the route ``/health``."""
    router = APIRouter(prefix="/health", tags=["health"])

    @router.get("", summary="Whether archive, ledger, queue and disk are well", responses={503: {"model": Health}})
    def get_health(response: Response) -> Health:
        parts = {name: Part(**asdict(finding)) for name, finding in doctor.look().items()}
        health = Health(ok=all(part.ok for part in parts.values()), **parts)
        response.status_code = 200 if health.ok else 503
        return health

    return router
