"""A real PostgreSQL and a real Redis for the tests, each thrown away at the end."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from redis import ConnectionError as RedisError
from redis import Redis

from tests.orthanc import free_port


@dataclass(frozen=True)
class Server:
    """How a server is started (``options`` are for ``Popen``), and the URL at which it answers then."""

    command: Sequence[str]
    url: str
    options: Mapping[str, Any] = field(default_factory=dict)


@contextmanager
def postgres_cluster() -> Iterator[Server]:
    """Make an empty PostgreSQL that is to listen on a socket in its own folder; it is not started."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        raise RuntimeError("PostgreSQL is missing; run scripts/setup --test, or apt-get install postgresql.")
    # PostgreSQL refuses to run as root, so root starts it as the account that its package made; the folder must be reachable for it.
    account: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="sightline-postgres-"))
    if account:
        shutil.chown(folder, "postgres", "postgres")
    cluster = folder / "cluster"
    subprocess.run(
        [programs[-1], "-D", cluster, "-U", "sightline", "--auth=trust", "--encoding=UTF8", "--no-sync"],
        **account, cwd=folder, stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip
    program = str(programs[-1].with_name("postgres"))
    command = [program, "-D", str(cluster), "-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off"]
    try:
        yield Server(command, f"postgresql+psycopg://sightline@/postgres?host={folder}", {**account, "cwd": folder})
    finally:
        shutil.rmtree(folder)


@contextmanager
def postgres() -> Iterator[str]:
    """Start an empty PostgreSQL; gives its SQLAlchemy URL."""
    with postgres_cluster() as cluster:
        folder = cluster.options["cwd"]
        server = subprocess.Popen(cluster.command, **cluster.options, stderr=(folder / "log").open("w"))
        try:
            wait_for(lambda: psycopg.connect(f"host={folder} user=sightline dbname=postgres").close(), server, psycopg.OperationalError)
            yield cluster.url
        finally:
            server.send_signal(2)  # SIGINT: fast shutdown, without waiting for clients
            server.wait(30)


def redis(folder: Path) -> Server:
    """Return a Redis that keeps nothing, on a free port; it is not started."""
    program = shutil.which("redis-server")
    if program is None:
        raise RuntimeError("Redis is missing; run scripts/setup --test, or apt-get install redis-server.")
    port = free_port()
    return Server([program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)], f"redis://127.0.0.1:{port}/0")


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Start an empty Redis on a free port; gives its URL."""
    broker = redis(folder)
    server = subprocess.Popen(broker.command, stdout=subprocess.DEVNULL)
    try:
        with Redis.from_url(broker.url) as client:
            wait_for(client.ping, server, RedisError)
        yield broker.url
    finally:
        server.terminate()
        server.wait(30)


def wait_for(answers: Callable[[], object], server: subprocess.Popen[bytes], not_yet: type[Exception]) -> None:
    """Return when ``answers`` does; raise its error where the server ended or takes too long."""
    deadline = time.monotonic() + 60
    while True:
        try:
            answers()
            return
        except not_yet:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
