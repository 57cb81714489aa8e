"""Is everything well? Each part of an installation is tried as the services use it, and says in a sentence what is wrong and what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.sop_class import Verification

from connector.association import associate
from connector.ledger import MODEL_IN_USE, Ledger
from connector.orthanc import ChangeLog
from connector.pacs import Pacs
from connector.queue import Queue
from connector.rules import load
from radiology.errors import RulesError, SightlineError
from radiology.jobs import JobState
from radiology.settings import ListenerSettings, PacsSettings, Settings

_PATIENCE_SECONDS = 5.0
_CLOCKS_APART = timedelta(seconds=30)
_NOBODY = "2.25.0"


@dataclass(frozen=True)
class Finding:
    """The condition of one part; ``why`` says what is wrong and what to do, and may say something of a part that is well."""

    ok: bool
    why: str = ""


class Doctor:
    """Looks after one installation. Nothing is changed by looking."""

    def __init__(self, settings: Settings, ledger: Ledger, queue: Queue) -> None:
        self._settings = settings
        self._archive = settings.pacs.model_copy(update={"timeout_seconds": min(_PATIENCE_SECONDS, settings.pacs.timeout_seconds)})
        self._pacs = Pacs.connect(self._archive)
        self._ledger = ledger
        self._queue = queue

    def look(self) -> dict[str, Finding]:
        """Return the condition of what every study needs: ``archive``, ``ledger``, ``queue`` and ``disk``."""
        return _found(
            {
                "archive": lambda: self._pacs.count(_NOBODY),
                "ledger": self._ledger.check,
                "queue": self._queue.check,
                "disk": self._space,
            }
        )

    def examine(self) -> dict[str, Finding]:
        """Return the condition of everything that can be seen from here, what :meth:`look` says first."""
        return self.look() | _found(
            {
                "archive's log of changes": lambda: ChangeLog(self._archive).end(),
                "archive by DICOM": lambda: self._echo(self._archive),
                "listener": lambda: self._echo(self._settings.listener),
                "spool": self._spool,
                "clock": self._clock,
                "model": self._model,
                "rules": self._rules,
                "pause": lambda: str(self._ledger.paused() or ""),
                "studies": self._studies,
                "audit trail": lambda: self._ledger.audit.verify() and None,
            }
        )

    def _space(self) -> None:
        free = shutil.disk_usage(self._settings.data_folder).free
        if free < self._settings.listener.minimum_free_bytes:
            raise OSError(f"Only {free >> 20} MB are free in the data folder; the listener takes nothing until there is more.")

    def _echo(self, peer: PacsSettings | ListenerSettings) -> None:
        entity = AE(self._archive.calling_ae_title)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = self._archive.timeout_seconds
        association = associate(entity, peer, [(Verification, ImplicitVRLittleEndian)])
        try:
            if association.is_established and association.send_c_echo().get("Status") != 0:
                raise OSError(f"{peer.ae_title} took the association and gave no answer to C-ECHO; look at its log.")
        finally:
            association.release()

    def _spool(self) -> str:
        # Not by the Spool: opening one is for the listener alone.
        refused = sum(1 for _ in (self._settings.data_folder / "spool" / "refused").glob("*/*.dcm"))
        if refused:
            raise OSError(f"The archive refused {refused} instances; they lie in spool/refused, and the listener's log says why.")
        return ""

    def _clock(self) -> None:
        date = httpx.get(self._archive.orthanc_url, timeout=_PATIENCE_SECONDS).headers.get("date")
        apart = abs(datetime.now(UTC) - parsedate_to_datetime(date)) if date else timedelta()
        if apart > _CLOCKS_APART:
            raise OSError(f"The clocks here and in the archive are {apart.total_seconds():.0f} s apart; let both follow one time server.")

    def _model(self) -> str:
        weights_hash = self._ledger.recall(MODEL_IN_USE)
        if not weights_hash:
            raise OSError("No worker has started yet on this ledger; start one.")
        return f"weights {weights_hash}"

    def _rules(self) -> str:
        try:
            count = len(load(self._settings).rules)
        except RulesError as error:
            raise OSError(f"{error} The watcher goes on with those that it read last, but will not start with these.") from error
        return f"{count} rules" if self._settings.watcher.rules else "none: every study that the model reads is read"

    def _studies(self) -> str:
        now = datetime.now(UTC)
        failed = len(self._ledger.jobs(JobState.FAILED, limit=1000))
        queued = self._ledger.jobs(JobState.QUEUED, limit=1000)
        if failed:
            raise OSError(f"{failed} studies failed: `sightline status` says which and why, `sightline retry STUDY` tries one again.")
        oldest = min((job.updated for job in queued), default=now)
        return f"{len(queued)} wait, the oldest for {(now - oldest).total_seconds():.0f} s" if queued else ""


def _found(checks: Mapping[str, Callable[[], object]]) -> dict[str, Finding]:
    return {part: _finding(check) for part, check in checks.items()}


def _finding(check: Callable[[], object]) -> Finding:
    try:
        said = check()
    except (SightlineError, OSError, httpx.HTTPError) as error:
        return Finding(False, str(error))
    return Finding(True, said if isinstance(said, str) else "")
