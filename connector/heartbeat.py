"""A service's sign of life: a file that it touches between two pieces of work, for whoever watches over its process.

A process can be there and do nothing any more; this says that it came round. Each host, or container, has files of its own in
``data_folder/alive``, as several workers may share the folder. The health checks of docker-compose.yml look at their age.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path


class Heartbeat:
    """The sign of life of the service ``name`` on this host."""

    def __init__(self, data_folder: Path, name: str) -> None:
        self._file = data_folder / "alive" / f"{name}.{socket.gethostname()}"

    def beat(self) -> None:
        """Give a sign. On a disk that does not take it there is none, which is what it then should look like."""
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.touch()
