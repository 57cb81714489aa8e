"""A process that is killed without warning, and started again when it has ended, as compose's restart policy does."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.1, 5.0
_ENDURED_SECONDS = 10.0
_END_WITH_PARENT = ["setpriv", "--pdeathsig", "KILL"]


class Service:
    """One service. All its methods are called by one thread, the end of which would end the process too.

    Attributes:
        kills: how often it was killed.
        ends: how often it ended otherwise, which is its own doing.
    """

    def __init__(self, name: str, command: Sequence[str], log: Path, options: Mapping[str, Any]) -> None:
        """``options`` are for ``Popen``; what it prints is added to ``log``."""
        self.name = name
        self.kills = self.ends = 0
        self._command, self._log, self._options = [*_END_WITH_PARENT, *command], log, options
        self._pause, self._again = _SHORTEST_PAUSE_SECONDS, 0.0
        self._started = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether there is something to kill."""
        return self._process is not None and self._process.poll() is None

    @property
    def process_id(self) -> int:
        """Of the process that runs; 0 where none does."""
        return self._process.pid if self._process is not None and self.running else 0

    def keep(self) -> None:
        """Start it if it does not run, after a pause that grows while it ends again and again."""
        if self.running:
            return
        if self._process is not None:
            self._process = None
            self.ends += 1
            self._wait()
        if time.monotonic() >= self._again:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **self._options)
            self._started = time.monotonic()

    def kill(self) -> None:
        """Kill it and all that it started, as the end of a container does."""
        assert self._process is not None
        family = [psutil.Process(self._process.pid), *psutil.Process(self._process.pid).children(recursive=True)]
        for member in family:
            try:
                member.kill()
            except psutil.NoSuchProcess:
                continue
        self._process.wait()
        self._process = None
        self.kills += 1
        self._wait()

    def stop(self, seconds: float = 60) -> None:
        """Ask it to end, and see that it does."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def _wait(self) -> None:
        endured = time.monotonic() - self._started >= _ENDURED_SECONDS
        self._pause = _SHORTEST_PAUSE_SECONDS if endured else min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        self._again = time.monotonic() + self._pause
