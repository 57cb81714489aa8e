"""Modalities that send and send again until every instance was acknowledged, several at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import zip_longest
from threading import Event
from types import TracebackType
from typing import Self

from pydicom import Dataset

from radiology.settings import ListenerSettings
from tests.connector.modality import send_all

_ASSOCIATIONS = 4
_PAUSE_SECONDS = 0.2


class Modalities:
    """Senders to one listener, from ``__enter__`` to ``__exit__``."""

    def __init__(self, listener: ListenerSettings) -> None:
        self._listener = listener
        self._stop = Event()
        self._pool = ThreadPoolExecutor(_ASSOCIATIONS, "modality")
        self._deliveries: list[Future[None]] = []
        self.acknowledged: set[str] = set()
        """SOP Instance UIDs that the listener answered with success."""
        self.answers: Counter[int] = Counter()
        """How often each status was answered."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._pool.shutdown()

    def send(self, study: Sequence[Dataset]) -> None:
        """Begin to send a study, one half of its instances over one association, the other over another."""
        for half in (study[::2], study[1::2]):
            if half:
                self._deliveries.append(self._pool.submit(self._deliver, half))

    @property
    def done(self) -> bool:
        """Whether all was acknowledged. Raises what stopped a delivery."""
        for delivery in self._deliveries:
            if delivery.done():
                delivery.result()
        return all(delivery.done() for delivery in self._deliveries)

    def _deliver(self, instances: Sequence[Dataset]) -> None:
        waiting = list(instances)
        while waiting and not self._stop.is_set():
            try:
                statuses = send_all(self._listener, waiting)
            except RuntimeError:  # the association ended between two instances; what was answered before is sent once more
                statuses = []
            self.answers.update(statuses)
            answered = list(zip_longest(waiting, statuses))
            self.acknowledged.update(str(each.SOPInstanceUID) for each, status in answered if status == 0)
            waiting = [each for each, status in answered if status != 0]
            if waiting:
                self._stop.wait(_PAUSE_SECONDS)
