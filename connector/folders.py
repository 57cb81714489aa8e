"""The queue's folders: kombu's file-system transport, with messages that appear whole.

kombu creates a file and then fills it, a message as well as the table of who listens. Who looks in between reads nothing where it
expects JSON, and stops.
"""

from __future__ import annotations

import fcntl
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):  # type: ignore[misc]
    """Writes a message beside the queue and then moves it in."""

    def _put(self, queue: str, payload: dict[str, Any], **_: Any) -> None:
        """Put one message. Messages are read in the order of their names, which begin with the time."""
        path = Path(self.data_folder_out) / f"{time.time_ns()}_{uuid4()}.{queue}.msg"
        partial = path.with_name(f".{path.name}.partial")  # a name that no queue looks for
        try:
            partial.write_text(dumps(payload))
            partial.replace(path)
        except OSError as error:
            raise ChannelError(f"Cannot add {path.name} to the queue's folder: {error.strerror}") from error

    def _queue_bind(self, *binding: str) -> None:
        """Enter a queue into its exchange's table, one process at a time."""
        with (Path(self.control_folder) / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            super()._queue_bind(*binding)


class Transport(filesystem.Transport):  # type: ignore[misc]
    """The transport that ``broker_transport`` names."""

    Channel = Channel
