"""The quarantine: instances that came under a SOP Instance UID that the archive has, or will get, with another content.

A UID stands for one content for ever (PS3.5 9), so one of the two is wrong, and only a person can tell which. The first goes its
way; what came later lies in ``spool/quarantine/<study UID>/<SOP Instance UID>~<fingerprint>.dcm`` until somebody decides.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from threading import Lock

from pynetdicom.dsutils import split_dataset

from connector import durable
from radiology.errors import StudyError

_TABLE = "CREATE TABLE IF NOT EXISTS given (instance_uid TEXT PRIMARY KEY, fingerprint TEXT NOT NULL) WITHOUT ROWID"
_WHEN = "ALTER TABLE given ADD COLUMN noted INTEGER NOT NULL DEFAULT {}"
_AT_ONCE = 1000


def fingerprint(path: Path) -> str:
    """SHA-256 of a file's data set; what a library writes before it may differ from release to release."""
    with path.open("rb") as file:
        file.seek(split_dataset(path)[1])
        return hashlib.file_digest(file, "sha256").hexdigest()


class Quarantine:
    """The quarantine of a spool's folder. Methods raise ``OSError`` where the disk does not do its part."""

    def __init__(self, spool: Path) -> None:
        self._waiting, self._folder = spool / "waiting", spool / "quarantine"
        self._folder.mkdir(parents=True, exist_ok=True)

    def hold(self, path: Path, study_uid: str, instance_uid: str) -> Path:
        """Move a file in; the same content again takes the same place."""
        return durable.move(path, self._folder / study_uid / f"{instance_uid}~{fingerprint(path)[:16]}.dcm")

    def holds(self, path: Path) -> bool:
        """Return whether this is a file of the quarantine."""
        return path.is_relative_to(self._folder)

    def files(self) -> list[Path]:
        """Return what is held, oldest first; its folder is the study, its name begins with the instance."""
        return sorted(self._folder.glob("*/*.dcm"), key=lambda path: path.stat().st_mtime_ns)

    def release(self, instance_uid: str) -> int:
        """Let what is held of an instance go to the archive after all; returns the number of files.

        Raises:
            StudyError: nothing of it is held.
        """
        held = [path for path in self.files() if path.name.partition("~")[0] == instance_uid]
        if not held:
            raise StudyError(f"Nothing of instance {instance_uid} is in quarantine; `sightline quarantine` lists what is.")
        for path in held:
            durable.move(path, self._waiting / path.parent.name / path.name)
        return len(held)


class Given:
    """What the archive was given last under each SOP Instance UID, as fingerprints in one file. Thread-safe."""

    def __init__(self, file: Path) -> None:
        self._lock = Lock()
        self._database = sqlite3.connect(file, check_same_thread=False, isolation_level=None)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=NORMAL")
        self._database.execute(_TABLE)
        with suppress(sqlite3.OperationalError):  # it has the column; what an earlier release noted counts as of now
            self._database.execute(_WHEN.format(int(time.time())))

    def of(self, instance_uid: str) -> str | None:
        """Return the fingerprint, None where the archive was given nothing of that UID."""
        rows = self._do("SELECT fingerprint FROM given WHERE instance_uid = ?", instance_uid)
        return rows[0][0] if rows else None

    def note(self, instance_uid: str, fingerprint: str) -> None:
        """Remember that the archive was given this."""
        self._do(
            "INSERT OR REPLACE INTO given (instance_uid, fingerprint, noted) VALUES (?, ?, ?)", instance_uid, fingerprint, int(time.time())
        )

    def forget(self, before: datetime, *, dry_run: bool) -> int:
        """Forget what was noted before then, or only count it; returns how much. A few at a time, for the listener writes meanwhile."""
        ((count,),) = self._do("SELECT count(*) FROM given WHERE noted < ?", int(before.timestamp()))
        chosen = f"SELECT instance_uid FROM given WHERE noted < ? LIMIT {_AT_ONCE}"
        for _ in range(0, 0 if dry_run else int(count), _AT_ONCE):
            self._do(f"DELETE FROM given WHERE instance_uid IN ({chosen})", int(before.timestamp()))
        return int(count)

    def _do(self, statement: str, *values: str | int) -> list[tuple[str]]:
        with self._lock:
            try:
                return self._database.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                raise OSError(f"The spool's record of what the archive was given cannot be used: {error}") from error
