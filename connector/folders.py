"""The queue's folders: kombu's file-system transport, with messages that appear whole.

kombu creates a message's file and then fills it. A worker that looks in between reads nothing where it expects a message, and stops.
"""

from __future__ import annotations

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


class Transport(filesystem.Transport):  # type: ignore[misc]
    """The transport that ``broker_transport`` names."""

    Channel = Channel
