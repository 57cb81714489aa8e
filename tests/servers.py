"""A real PostgreSQL and a real Redis for the tests, each thrown away at the end."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import redis

from tests.orthanc import free_port


@contextmanager
def postgres() -> Iterator[str]:
    """Start an empty PostgreSQL that listens on a socket in its own folder; gives its SQLAlchemy URL."""
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
    server = subprocess.Popen(
        [programs[-1].with_name("postgres"), "-D", cluster, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"],
        **account, cwd=folder, stderr=(folder / "log").open("w"),
    )  # fmt: skip
    try:
        _wait_for(lambda: psycopg.connect(f"host={folder} user=sightline dbname=postgres").close(), server, psycopg.OperationalError)
        yield f"postgresql+psycopg://sightline@/postgres?host={folder}"
    finally:
        server.send_signal(2)  # SIGINT: fast shutdown, without waiting for clients
        server.wait(30)
        shutil.rmtree(folder)


@contextmanager
def redis_server(folder: Path) -> Iterator[str]:
    """Start an empty Redis on a free port; gives its URL."""
    program = shutil.which("redis-server")
    if program is None:
        raise RuntimeError("Redis is missing; run scripts/setup --test, or apt-get install redis-server.")
    port = free_port()
    server = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder], stdout=subprocess.DEVNULL
    )
    try:
        with redis.Redis(port=port) as client:
            _wait_for(client.ping, server, redis.ConnectionError)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.terminate()
        server.wait(30)


def _wait_for(answers: Callable[[], object], server: subprocess.Popen[bytes], not_yet: type[Exception]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            answers()
            return
        except not_yet:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
