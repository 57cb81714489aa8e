"""Routes: health."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter
from fastapi.responses import Response

from connector.doctor import Doctor
from connector.schemas.health import Health, NamedPart, Part


def routes(doctor: Doctor) -> APIRouter:
    """Return the routes ``/health`` and ``/doctor``."""
    router = APIRouter(tags=["health"])

    @router.get("/health", summary="Whether archive, ledger, queue and disk are well", responses={503: {"model": Health}})
    def get_health(response: Response) -> Health:
        parts = {name: Part(**asdict(finding)) for name, finding in doctor.look().items()}
        health = Health(ok=all(part.ok for part in parts.values()), **parts)
        response.status_code = 200 if health.ok else 503
        return health

    @router.get("/doctor", summary="The condition of every part, each tried as the services use it, and what to do where one is ill")
    def get_doctor() -> list[NamedPart]:
        return [NamedPart(name=name, **asdict(finding)) for name, finding in doctor.examine().items()]

    return router
