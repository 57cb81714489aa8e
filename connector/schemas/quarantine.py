"""The quarantine, as the HTTP API says it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, Field


class Held(BaseModel):
    """A file that came under the UID of something else."""

    study_uid: str
    instance_uid: str
    came: datetime
    size_bytes: int

    @classmethod
    def of(cls, path: Path) -> Held:
        """Return a file of the quarantine as the API says it. Raises ``OSError`` where it is gone."""
        about = path.stat()
        uid = path.name.partition("~")[0]
        return cls(study_uid=path.parent.name, instance_uid=uid, came=datetime.fromtimestamp(about.st_mtime, UTC), size_bytes=about.st_size)


class Released(BaseModel):
    """What was let go."""

    files: int = Field(description="How many files go to the archive.")
