"""Retention: what piles up on this side is forgotten after so many days, where the settings say so.

Nothing that stands nowhere else is lost: of a job its result stays, a file goes only once the archive has the same bytes, and the
audit trail is never touched.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from random import sample
from tempfile import TemporaryDirectory

from connector.ledger import Ledger
from connector.orthanc import ChangeLog
from connector.quarantine import Given, fingerprint
from radiology.settings import Settings

_FILES_AT_ONCE = 200


class Retention:
    """Sweeps one installation. Methods raise ``OSError``, ``PacsError`` or ``LedgerError`` where a part does not answer."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._retention = settings.retention
        self._ledger = ledger
        self._archive = ChangeLog(settings.pacs)
        self._spool = settings.data_folder / "spool"

    def sweep(self, now: datetime, *, dry_run: bool = False) -> dict[str, int]:
        """Forget what is older than the settings say, or with ``dry_run`` only count it; returns how much there was of each kind."""
        days, ledger = self._retention, self._ledger
        kinds: dict[str, tuple[float | None, Callable[[datetime], int]]] = {
            "steps of jobs": (days.steps_days, partial(ledger.forget_steps, dry_run=dry_run)),
            "questions": (days.questions_days, partial(ledger.questions.forget, dry_run=dry_run)),
            "fingerprints": (days.fingerprints_days, partial(self._forget_fingerprints, dry_run=dry_run)),
            "refused files": (days.refused_days, partial(self._delete, "refused", dry_run=dry_run)),
            "quarantined files": (days.quarantine_days, partial(self._delete, "quarantine", dry_run=dry_run)),
        }
        return {kind: forget(now - timedelta(days=age)) for kind, (age, forget) in kinds.items() if age is not None}

    def _forget_fingerprints(self, before: datetime, dry_run: bool) -> int:
        file = self._spool / "given.sqlite"
        return Given(file).forget(before, dry_run=dry_run) if file.exists() else 0

    def _delete(self, folder: str, before: datetime, dry_run: bool) -> int:
        """Delete old files of which the archive has the same bytes; a part of them where there are many, the rest next time."""
        count = 0
        for path in self._older(self._spool / folder, before):
            if self._is_in_archive(path):
                count += 1
                if not dry_run:
                    path.unlink()
        return count

    def _older(self, folder: Path, before: datetime) -> list[Path]:
        """Return other ones each time, so that those that the archive never gets do not stand before the rest."""
        old = [path for path in folder.glob("*/*.dcm") if path.stat().st_mtime < before.timestamp()]
        return sample(old, min(len(old), _FILES_AT_ONCE))

    def _is_in_archive(self, path: Path) -> bool:
        held = self._archive.file(path.stem.partition("~")[0])
        if held is None:
            return False
        with TemporaryDirectory() as folder:
            copy = Path(folder) / "held.dcm"
            copy.write_bytes(held)
            return fingerprint(copy) == fingerprint(path)
