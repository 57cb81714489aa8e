"""The spool: instances that a sender was told are safe, until the archive has them.

    spool/incoming/   bytes being written; whatever lies here when the listener starts was never acknowledged
    spool/waiting/    <study UID>/<SOP Instance UID>.dcm, complete and on disk, to be forwarded
    spool/refused/    the same, for what the archive will not take
    spool/quarantine/ what came under the UID of something else, see connector.quarantine
    spool/given.sqlite fingerprints of what the archive was given

A file counts once it is in ``waiting``: it is written elsewhere on the same volume, synced and then renamed, so a crash
leaves no half file there. Names are made of UIDs that were checked, never of strings of a data set.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
from contextlib import suppress
from io import FileIO
from pathlib import Path

from connector import durable
from connector.quarantine import Given, Quarantine, fingerprint

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


def is_uid(text: str) -> bool:
    """Return whether text is a UID (PS3.5 9.1) and so safe as a file name; zeros before a component's digits are let pass."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


class Spool:
    """The spool in one folder; one listener writes to it. Methods raise ``OSError`` where the disk does not do its part."""

    def __init__(self, folder: Path) -> None:
        """Open the spool, made where it is missing, and discard what was never acknowledged."""
        self._incoming, self._waiting, self._refused = (folder / name for name in ("incoming", "waiting", "refused"))
        shutil.rmtree(self._incoming, ignore_errors=True)
        for path in (self._incoming, self._waiting, self._refused):
            path.mkdir(parents=True, exist_ok=True)
        self.quarantine = Quarantine(folder)
        self._given = Given(folder / "given.sqlite")
        self._numbers = itertools.count()

    @property
    def free_bytes(self) -> int:
        """Room left on the spool's volume."""
        return shutil.disk_usage(self._waiting).free

    def keep(self, study_uid: str, instance_uid: str, *content: bytes) -> Path:
        """Put a file in ``waiting``, or in quarantine where its UID stands for another content; then it survives a power cut.

        ``content`` are the pieces of the file.

        Raises:
            ValueError: one of the UIDs is none.
        """
        if not (is_uid(study_uid) and is_uid(instance_uid)):
            raise ValueError("A file is named by UIDs only.")
        target = self._waiting / study_uid / f"{instance_uid}.dcm"
        part = self._incoming / str(next(self._numbers))
        try:
            with part.open("wb", buffering=0) as file:
                for piece in content:
                    _write(file, piece)
                os.fsync(file.fileno())
            while True:
                given = self._given.of(instance_uid)
                if given is not None and given != fingerprint(part):
                    return self.quarantine.hold(part, study_uid, instance_uid)
                try:
                    return durable.place(part, target)
                except FileExistsError:
                    with suppress(FileNotFoundError):  # it was forwarded just now: look again
                        is_same = fingerprint(part) == fingerprint(target)
                        return target if is_same else self.quarantine.hold(part, study_uid, instance_uid)
        finally:
            part.unlink(missing_ok=True)

    def waiting(self) -> list[Path]:
        """Return the files that the archive does not have yet, oldest first."""
        return sorted(self._waiting.glob("*/*.dcm"), key=lambda path: path.stat().st_mtime_ns)

    def waiting_studies(self) -> set[str]:
        """Return the UIDs of the studies that have files waiting."""
        return {folder.name for folder in self._waiting.iterdir() if any(folder.iterdir())}

    def refused(self) -> list[Path]:
        """Return the files that the archive will not take."""
        return sorted(self._refused.glob("*/*.dcm"))

    def forwarded(self, path: Path) -> None:
        """Forget a file, but for its fingerprint: the archive has it."""
        self._given.note(path.stem.partition("~")[0], fingerprint(path))
        path.unlink()

    def tidy(self, before: float) -> None:
        """Remove the folders of studies of which nothing has waited since then (POSIX time): every look goes through them all."""
        for folder in self._waiting.iterdir():
            if folder.stat().st_mtime < before:
                with suppress(OSError):  # something waits in it
                    folder.rmdir()

    def refuse(self, path: Path) -> None:
        """Set a file aside: the archive will not take it."""
        durable.move(path, self._refused / path.parent.name / path.name)

    def readmit(self) -> None:
        """Put everything that was set aside back, to be tried once more."""
        for path in self.refused():
            durable.move(path, self._waiting / path.parent.name / path.name)


def _write(file: FileIO, piece: bytes) -> None:
    """Write all of it: the system takes 2 GiB at a time."""
    rest = memoryview(piece)
    while rest:
        rest = rest[file.write(rest) :]
