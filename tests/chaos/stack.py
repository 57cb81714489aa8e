"""All services of one installation on this machine, each a process of its own that can be killed: the archive, listener, watcher and
worker, with PostgreSQL and a Redis that forgets everything when it dies, or with SQLite and folders."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from connector.ledger import Ledger
from deploy import orthanc
from deploy.services import commands, environment
from radiology.settings import EngineSettings, LedgerSettings, ListenerSettings, PacsSettings, QueueSettings, Settings, WatcherSettings
from tests.chaos.service import Service
from tests.orthanc import free_port
from tests.servers import postgres_cluster, redis

TARGETS = ("listener", "watcher", "worker", "broker", "orthanc", "database")


@dataclass(frozen=True)
class Layout:
    """How an installation is set up.

    Attributes:
        on_one_disk: SQLite and folders in the place of PostgreSQL and Redis, as the demo has it.
        disk_bytes: size of the disk of its data, which only root can make; None is the machine's own.
        minimum_free_bytes: the listener's setting.
        own_clock: listener, watcher and worker have a time of day that can be set; needs gcc.
    """

    on_one_disk: bool = False
    disk_bytes: int | None = None
    minimum_free_bytes: int = 1 << 20
    own_clock: bool = False


_SMALL_DISK = 96 << 20
LAYOUTS = {
    "kills": Layout(),
    "power-cut": Layout(),
    "archive-down": Layout(),
    "disk-full": Layout(on_one_disk=True, disk_bytes=_SMALL_DISK, minimum_free_bytes=0),
    "disk-low": Layout(on_one_disk=True, disk_bytes=_SMALL_DISK, minimum_free_bytes=_SMALL_DISK // 8),
    "broker-wiped": Layout(),
    "folder-wiped": Layout(on_one_disk=True),
    "clock-stepped": Layout(own_clock=True),
}
"""How the installation is set up for each proof."""


class Stack:
    """The services, and the settings that they run with."""

    def __init__(self, settings: Settings, services: list[Service], clock: Path) -> None:
        self.settings = settings
        self.services = services
        self._clock = clock
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

    @contextmanager
    def without(self, name: str) -> Iterator[None]:
        """A service is stopped, and not started again before the end."""
        service = self.service(name)
        service.stop()
        self.services.remove(service)
        try:
            yield
        finally:
            self.services.append(service)

    def set_clock(self, hours: float) -> None:
        """Set the installation's own clock so far off the right time."""
        self._clock.write_text(f"{hours * 3600:+.0f}\n")

    def stop(self) -> None:
        """End them all."""
        if self._ledger is not None:
            self._ledger.close()
        for service in reversed(self.services):
            service.stop()


@contextmanager
def running(folder: Path, weights: Path, layout: Layout = Layout()) -> Iterator[Stack]:
    """Run everything in an empty folder, with this model."""
    data, logs, clock = folder / "data", folder / "logs", folder / "clock"
    data.mkdir()
    logs.mkdir()
    with ExitStack() as stack:
        if layout.disk_bytes:
            stack.enter_context(_disk(data, layout.disk_bytes))
        (data / "orthanc").mkdir()
        (data / "temporary").mkdir()
        services = []
        ledger_url, broker_url = "", "filesystem://"
        if not layout.on_one_disk:
            database, broker = stack.enter_context(postgres_cluster()), redis(data)
            ledger_url, broker_url = database.url, broker.url
            services.append(Service("database", database.command, logs / "database.log", database.options))
            services.append(Service("broker", broker.command, logs / "broker.log", {}))
        settings = _settings(data, weights, ledger_url, broker_url, layout.minimum_free_bytes)
        (data / "orthanc.json").write_text(json.dumps(orthanc.configuration(settings)))
        ours = {name: value for name, value in os.environ.items() if not name.startswith("SIGHTLINE_")}
        variables = {**ours, **orthanc.ENVIRONMENT, **environment(settings), "OMP_WAIT_POLICY": "PASSIVE", "C_FORCE_ROOT": "1"}
        variables["TMPDIR"] = str(data / "temporary")
        clocked = _clocked(clock) if layout.own_clock else {}
        for name, command in commands(settings).items():
            if name in TARGETS:
                own = variables if name == "orthanc" else variables | clocked
                services.append(Service(name, command, logs / f"{name}.log", {"env": own}))
        installation = Stack(settings, services, clock)
        installation.set_clock(0)
        stack.callback(installation.stop)
        yield installation


@contextmanager
def _disk(folder: Path, size: int) -> Iterator[None]:
    """A disk of its own for a folder, so small that it can be filled."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def _clocked(clock: Path) -> dict[str, str]:
    """The environment that gives a process a time of day that is off by the seconds in a file."""
    library = clock.with_suffix(".so")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-o", library, Path(__file__).with_name("clock.c"), "-ldl"], check=True)
    return {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(clock)}


def _settings(folder: Path, weights: Path, ledger_url: str, broker_url: str, minimum_free_bytes: int) -> Settings:
    """Short pauses: a proof that waits proves less in the same time. And no end of attempts: a study at which the worker dies again and
    again is given up, as it may be the study's doing, and here it never is."""
    http_port = free_port()
    url = f"http://127.0.0.1:{http_port}"
    return Settings(
        data_folder=folder,
        pacs=PacsSettings(dicomweb_url=f"{url}/dicom-web", orthanc_url=url, port=free_port(), timeout_seconds=20),
        listener=ListenerSettings(port=free_port(), minimum_free_bytes=minimum_free_bytes),
        watcher=WatcherSettings(quiet_seconds=1),
        ledger=LedgerSettings(url=ledger_url, lease_seconds=6, retry_seconds=1, maximum_attempts=1000),
        queue=QueueSettings(broker_url=broker_url, sweep_seconds=1),
        engine=EngineSettings(weights=weights, threads=1, maximum_key_slices=2),
    )
