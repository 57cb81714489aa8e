"""Health, as the HTTP API says it."""

from __future__ import annotations

from pydantic import BaseModel


class Part(BaseModel):
    """The condition of one part of the installation; ``why`` is empty where it is well."""

    ok: bool
    why: str


class NamedPart(Part):
    """The condition of one part, by its name."""

    name: str


class Health(BaseModel):
    """The condition of everything that the API can see."""

    ok: bool
    archive: Part
    ledger: Part
    queue: Part
    disk: Part
