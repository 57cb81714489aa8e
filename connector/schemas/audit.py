"""The audit trail, as the HTTP API says it."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from connector.audit import Entry


class AuditEntry(BaseModel):
    """One entry of the audit trail."""

    number: int
    time: datetime
    event: str = Field(description="What happened, for example `signed in`.")
    is_success: bool = Field(description="Whether it was let happen.")
    who: str = Field(description="Login name, or what somebody said of themselves; empty where nobody was asked.")
    address: str
    study_uid: str
    detail: str

    @classmethod
    def of(cls, entry: Entry) -> AuditEntry:
        """Return the entry as the API says it."""
        return cls(
            number=entry.number,
            time=entry.time,
            event=entry.event.name.lower().replace("_", " "),
            is_success=entry.is_success,
            who=entry.who,
            address=entry.address,
            study_uid=entry.study_uid,
            detail=entry.detail,
        )


class Chain(BaseModel):
    """Whether every entry is as it was written."""

    ok: bool
    why: str = Field(description="Where it was changed; empty where it was not.")
    entries: int
    hash: str = Field(description="Of the newest entry; kept elsewhere, it shows whether the end was cut off.")
