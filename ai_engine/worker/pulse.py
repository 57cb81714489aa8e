"""The worker's sign of life, given by the loop that takes the work: not while a study is read, and not when that loop hangs."""

from __future__ import annotations

from typing import Any

from celery import Celery
from celery.bootsteps import StartStopStep

from connector.heartbeat import Heartbeat

_PAUSE_SECONDS = 10.0


def give_signs(app: Celery, heartbeat: Heartbeat) -> None:
    """Let the worker of ``app`` give signs of life once it runs."""

    class Pulse(StartStopStep):  # type: ignore[misc]
        requires = ("celery.worker.components:Timer",)

        def start(self, parent: Any) -> None:
            heartbeat.beat()
            parent.timer.call_repeatedly(_PAUSE_SECONDS, heartbeat.beat)

    app.steps["worker"].add(Pulse)
