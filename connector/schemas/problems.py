"""Errors of the HTTP API (RFC 9457)."""

from __future__ import annotations

from datetime import datetime
from http import HTTPStatus

from pydantic import BaseModel, Field

from connector.schemas.person import Person


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str

    @classmethod
    def of(cls, status: int, detail: str) -> Problem:
        """Return the problem with the status's own title."""
        return cls(type="about:blank", title=HTTPStatus(status).phrase, status=status, detail=detail)


class Conflict(Problem):
    """Somebody else was first; nothing was changed."""

    document_uid: str | None = Field(description="The findings in force now; none where the report was taken back.")
    person: Person | None = Field(description="Who it was; none where a new reading took the report's place.")
    moment: datetime | None = Field(description="When it was.")
