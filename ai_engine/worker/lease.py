"""The sign of life that a worker gives while it is at a job or a question."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from radiology.errors import IllegalTransition, LedgerError

_log = structlog.get_logger()


@contextmanager
def renewed(renew: Callable[[], None], seconds: float) -> Iterator[None]:
    """Renew a lease of so many ``seconds`` from a thread for as long as the work goes on."""
    over = threading.Event()

    def keep() -> None:
        while not over.wait(seconds / 3):
            try:
                renew()
            except IllegalTransition:
                return  # finished, or given to another worker, which the ledger will say at the end
            except LedgerError as error:
                _log.warning("lease not renewed", reason=str(error))

    thread = threading.Thread(target=keep, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
