"""Forwarding: from the spool to the archive, by C-STORE, as often as it takes.

A file leaves the spool when the archive has answered for it. An archive that is down, or has no room, is tried again with a
growing pause; what it will not take (it does not know the class, cannot read the file, or hangs up on it again and again) is
set aside, so that nothing waits behind it.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Any, Self

import structlog
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID
from pynetdicom import AE, _config

from connector.association import CONTEXTS, SUCCESS_OR_WARNING, accepted, associate
from connector.spool import Spool
from radiology.errors import PacsError, PacsRefused, PacsUnreachable
from radiology.settings import Settings

_LONGEST_PAUSE_SECONDS = 30.0
_LOOK_SECONDS = 1.0
_TIDY_SECONDS = 60.0
_HANG_UPS = 3
_BATCH = 500
"""Files that are looked at before an association: an archive that is down is not worth reading thousands of them again and again."""

_log = structlog.get_logger()


class Forwarder:
    """A thread that empties the spool, from ``__enter__`` to ``__exit__``."""

    def __init__(self, settings: Settings, spool: Spool) -> None:
        self._pacs = settings.pacs
        self._spool = spool
        self._wake, self._stop = Event(), Event()
        self._hung_up: Counter[Path] = Counter()
        self._thread = Thread(target=self._run, name="forwarder")
        _config.STORE_SEND_CHUNKED_DATASET = True  # bytes as they are in the file, which is never decoded
        self._entity = AE(settings.listener.ae_title)
        self._entity.acse_timeout = self._entity.dimse_timeout = self._entity.network_timeout = self._pacs.timeout_seconds
        self._entity.connection_timeout = self._pacs.timeout_seconds

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._wake.set()
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether the thread runs; a listener without it would only collect."""
        return self._thread.is_alive()

    def wake(self) -> None:
        """Say that there may be something to forward."""
        self._wake.set()

    def forward(self, paths: Sequence[Path]) -> None:
        """Send files to the archive; each one leaves the spool as soon as it was answered.

        Raises:
            PacsUnreachable: no association, or it broke; the files that were not sent stay.
            PacsRefused: the archive cannot take them for now (no room); they stay.
        """
        files = sorted(((*_class_and_syntax(path), path) for path in paths), key=lambda file: file[:2])
        kinds = [(kind, [path for *_, path in group]) for kind, group in groupby(files, key=lambda file: file[:2])]
        for start in range(0, len(kinds), CONTEXTS):
            batch = kinds[start : start + CONTEXTS]
            # Where the archive takes none of them, each is set aside.
            association = associate(self._entity, self._pacs, [kind for kind, _ in batch])
            try:
                taken = accepted(association)
                for kind, members in batch:
                    for path in members:
                        if self._stop.is_set():
                            return
                        if kind in taken:
                            self._send(association, path)
                        else:
                            self._set_aside(path, f"class {kind[0]} in transfer syntax {kind[1]} is not accepted")
            finally:
                association.release()

    def _send(self, association: Any, path: Path) -> None:
        if not association.is_established:
            raise PacsUnreachable("The archive ended the association; it is called again.")
        try:
            status = association.send_c_store(path).get("Status")
        except (ValueError, AttributeError) as error:
            self._set_aside(path, f"it cannot be sent: {error}")
            return
        if status is None:
            self._hung_up[path] += 1
            if self._hung_up[path] == _HANG_UPS:
                self._set_aside(path, f"the archive hung up on it {_HANG_UPS} times")
            raise PacsUnreachable("The archive hung up, or did not answer in time; it is called again.")
        if status in SUCCESS_OR_WARNING:
            self._spool.forwarded(path)
        elif status & 0xFF00 == 0xA700:
            raise PacsRefused(f"The archive has no room (0x{status:04X}); free its disk.")
        else:
            self._set_aside(path, f"the archive answered 0x{status:04X}")

    def _set_aside(self, path: Path, reason: str) -> None:
        del self._hung_up[path]
        self._spool.refuse(path)
        _log.error("instance set aside", study_uid=path.parent.name, instance_uid=path.stem, reason=reason)

    def _run(self) -> None:
        pause = _LOOK_SECONDS
        while not self._stop.is_set():
            self._wake.clear()
            paths = self._spool.waiting()[:_BATCH]
            try:
                if paths:
                    self.forward(paths)
                    pause = _LOOK_SECONDS
                else:
                    self._spool.tidy(time.time() - _TIDY_SECONDS)
                    self._wake.wait(_LOOK_SECONDS)
            except (PacsError, OSError) as error:
                _log.warning("not forwarded", waiting=len(paths), reason=str(error), again_in_seconds=pause)
                self._stop.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _class_and_syntax(path: Path) -> tuple[UID, UID]:
    meta = read_file_meta_info(path)
    return meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID
