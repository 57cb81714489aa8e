"""All services of one installation on this machine, each a process of its own that can be killed: the archive, PostgreSQL, a Redis
that forgets everything when it dies, the listener, the watcher and the worker."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connector.ledger import Ledger
from deploy import orthanc
from deploy.services import commands, environment
from radiology.settings import EngineSettings, LedgerSettings, ListenerSettings, PacsSettings, QueueSettings, Settings, WatcherSettings
from tests.chaos.service import Service
from tests.orthanc import free_port
from tests.servers import postgres_cluster, redis

TARGETS = ("listener", "watcher", "worker", "broker", "orthanc", "database")


class Stack:
    """The services, and the settings that they run with."""

    def __init__(self, settings: Settings, services: list[Service]) -> None:
        self.settings = settings
        self.services = services
        self._ledger: Ledger | None = None

    @property
    def ledger(self) -> Ledger:
        """The ledger, for whoever watches the run. Raises :class:`LedgerError` while it is not up."""
        if self._ledger is None:
            self._ledger = Ledger.open(self.settings)
        return self._ledger

    def service(self, name: str) -> Service:
        """Return one of the services."""
        return next(each for each in self.services if each.name == name)

    def keep(self, seconds: float) -> None:
        """Start again what has ended, for so long."""
        until = time.monotonic() + seconds
        while True:
            for service in self.services:
                service.keep()
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(0.05, left))

    def kill(self, *names: str) -> None:
        """Kill services one right after the other, once all of them run."""
        victims = [self.service(name) for name in names]
        while not all(victim.running for victim in victims):
            self.keep(0.05)
        for victim in victims:
            victim.kill()

    def stop(self) -> None:
        """End them all."""
        if self._ledger is not None:
            self._ledger.close()
        for service in reversed(self.services):
            service.stop()


@contextmanager
def running(folder: Path, weights: Path) -> Iterator[Stack]:
    """Run everything in an empty folder, with this model."""
    logs = folder / "logs"
    logs.mkdir()
    (folder / "orthanc").mkdir()
    with postgres_cluster() as database:
        broker = redis(folder)
        settings = _settings(folder, weights, database.url, broker.url)
        (folder / "orthanc.json").write_text(json.dumps(orthanc.configuration(settings)))
        ours = {name: value for name, value in os.environ.items() if not name.startswith("SIGHTLINE_")}
        variables = {**ours, **orthanc.ENVIRONMENT, **environment(settings), "OMP_WAIT_POLICY": "PASSIVE", "C_FORCE_ROOT": "1"}
        started = commands(settings)
        services = [Service("database", database.command, logs / "database.log", database.options)]
        services.append(Service("broker", broker.command, logs / "broker.log", {}))
        services += [Service(name, started[name], logs / f"{name}.log", {"env": variables}) for name in started if name in TARGETS]
        stack = Stack(settings, services)
        try:
            yield stack
        finally:
            stack.stop()


def _settings(folder: Path, weights: Path, ledger_url: str, broker_url: str) -> Settings:
    """Short pauses: a proof that waits proves less in the same time. And no end of attempts: a study at which the worker dies again and
    again is given up, as it may be the study's doing, and here it never is."""
    http_port = free_port()
    url = f"http://127.0.0.1:{http_port}"
    return Settings(
        data_folder=folder,
        pacs=PacsSettings(dicomweb_url=f"{url}/dicom-web", orthanc_url=url, port=free_port(), timeout_seconds=20),
        listener=ListenerSettings(port=free_port(), minimum_free_bytes=1 << 20),
        watcher=WatcherSettings(quiet_seconds=1),
        ledger=LedgerSettings(url=ledger_url, lease_seconds=6, retry_seconds=1, maximum_attempts=1000),
        queue=QueueSettings(broker_url=broker_url, sweep_seconds=1),
        engine=EngineSettings(weights=weights, threads=1, maximum_key_slices=2),
    )
