"""What the queue and the ledger cost a job, however many wait, and what a second worker brings.

``python -m benchmarks.queue [--jobs N] [--json FILE]`` starts a Redis and a PostgreSQL. ``cost``: with 10, 1,000 and 10,000 jobs
waiting, one job is queued and one taken, noted and finished, again and again, so that as many go on waiting; the three take turns.
``two_workers_speedup``: the same jobs, each a wait of ``WORK_SECONDS`` in place of a model on a device of its own, by one real worker
process and by two. No model and no archive take part.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from datetime import UTC, datetime, timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import psutil
import psycopg
import sqlalchemy as sa
from pydicom.uid import generate_uid
from rich.console import Console
from rich.table import Table

from connector import tables
from connector.database import Database
from connector.ledger import Ledger, Outcome
from connector.queue import Queue, celery_app
from radiology.jobs import READ_STUDY, JobState
from radiology.settings import LedgerSettings, QueueSettings, Settings
from tests.servers import postgres, redis_server

BACKLOGS = (10, 1_000, 10_000)
WORK_SECONDS = 0.1
_ROUNDS = 5
_WAIT_SECONDS = 120


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=40, help="jobs a round")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = {
        "machine": f"{platform.machine()}, {psutil.cpu_count()} cores, {psutil.virtual_memory().total >> 30} GiB",
        "load_average": psutil.getloadavg()[0],
        **measure(BACKLOGS, arguments.jobs),
    }
    _print(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


def measure(backlogs: Sequence[int], jobs: int) -> dict[str, Any]:
    """Measure both: ``cost_ms`` and ``sweep_ms`` by backlog, the ratio of the largest backlog to the smallest, and the speed-up."""
    with tempfile.TemporaryDirectory(prefix="sightline-queue-") as folder, ExitStack() as stack:
        ledger_url = stack.enter_context(postgres())
        broker_url = stack.enter_context(redis_server(Path(folder)))
        installations = [_installation(Path(folder), ledger_url, broker_url, number) for number in range(len(backlogs) + 2)]
        lines = [stack.enter_context(_Line.filled(settings, count)) for settings, count in zip(installations, backlogs, strict=False)]
        costs: list[list[float]] = [[] for _ in backlogs]
        sweeps: list[list[float]] = [[] for _ in backlogs]
        for _ in range(_ROUNDS):
            for line, cost, sweep in zip(lines, costs, sweeps, strict=True):
                started = time.perf_counter()
                for _ in range(jobs):
                    line.one_in_one_out()
                cost.append((time.perf_counter() - started) / jobs * 1000)
                started = time.perf_counter()
                line.ledger.sweep(datetime.now(UTC))
                sweep.append((time.perf_counter() - started) * 1000)
        alone, together = (_work_off(settings, workers, jobs) for workers, settings in enumerate(installations[-2:], 1))
    name = f"cost_ratio_{backlogs[-1]}_to_{backlogs[0]}"
    return {
        "cost_ms": {str(backlog): _spread(cost) for backlog, cost in zip(backlogs, costs, strict=True)},
        "sweep_ms": {str(backlog): _spread(sweep) for backlog, sweep in zip(backlogs, sweeps, strict=True)},
        name: round(statistics.median(costs[-1]) / statistics.median(costs[0]), 3),
        "work_seconds": WORK_SECONDS,
        "one_worker_seconds": round(alone, 3),
        "two_workers_seconds": round(together, 3),
        "two_workers_speedup": round(alone / together, 3),
    }


def _installation(folder: Path, ledger_url: str, broker_url: str, number: int) -> Settings:
    """Return settings with a database and a broker of their own."""
    server, _, place = ledger_url.partition("/postgres?")
    with psycopg.connect(f"{place} user=sightline dbname=postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE queue{number}".encode())
    return Settings(
        data_folder=folder,
        ledger=LedgerSettings(url=f"{server}/queue{number}?{place}", lease_seconds=3600),
        queue=QueueSettings(broker_url=broker_url.removesuffix("0") + str(number)),
    )


class _Line:
    """Jobs that wait, in the ledger and in the queue."""

    def __init__(self, settings: Settings) -> None:
        self.ledger = Ledger.open(settings)
        self._queue, self._settings = Queue(settings), settings
        self._received: Any = None

    @classmethod
    @contextmanager
    def filled(cls, settings: Settings, count: int) -> Iterator[_Line]:
        """A line of so many, and its two ends open."""
        line = cls(settings)
        for job_id in _enter(settings, count):
            line._queue.send(job_id)
        app = celery_app(settings)
        studies = next(each for each in app.conf.task_queues if each.name == app.conf.task_default_queue)
        with app.connection_for_read() as connection:
            line._received = connection.SimpleQueue(studies)
            yield line
        line.ledger.close()

    def one_in_one_out(self) -> None:
        """Queue a job as the watcher does, and finish the oldest as a worker does."""
        made = self.ledger.arriving(generate_uid(), "CT CHEST, 1 image", "Coming.")
        self._queue.send(self.ledger.queue(made.job_id, "d" * 64, "Quiet.").job_id)
        message = self._received.get(timeout=_WAIT_SECONDS)
        _read(self.ledger, "benchmark")
        message.ack()


def _enter(settings: Settings, count: int) -> list[int]:
    """Enter jobs as the watcher would have left them, but in one go; return their ids."""
    now = datetime.now(UTC)
    job = {
        "revision": 0,
        "state": JobState.QUEUED,
        "reason": "Quiet.",
        "description": "CT CHEST, 1 image",
        "created": now,
        "updated": now,
        "due": now + timedelta(hours=1),
    }
    database = Database(settings.ledger_url)
    with database.transaction() as connection:
        connection.execute(sa.insert(tables.jobs), [{**job, "study_uid": generate_uid()} for _ in range(count)])
        ids = list(connection.execute(sa.select(tables.jobs.c.job_id).order_by(tables.jobs.c.job_id)).scalars())
        step = {"source": JobState.ARRIVING, "target": JobState.QUEUED, "reason": "Quiet.", "time": now}
        connection.execute(sa.insert(tables.transitions), [{**step, "job_id": job_id} for job_id in ids])
    database.close()
    return ids


def _read(ledger: Ledger, worker: str) -> None:
    """Take the job that is next, note how far it is, and finish it."""
    job = None
    while job is None:
        job_id = ledger.next_job()
        if job_id is None:
            sys.exit("There are more messages than jobs.")
        job = ledger.take(job_id, worker)  # None where the other worker was faster
    ledger.history(job.job_id)
    ledger.progress(job.job_id, worker, 0.5, "Slice 1 of 2")
    ledger.finish(job.job_id, worker, JobState.DONE, "1 result is in the archive.", Outcome("0" * 64, ("1.2.3",)))


def _work_off(settings: Settings, workers: int, jobs: int) -> float:
    """Return the seconds from the first job to the end of the last, with so many workers."""
    with _working(settings, workers):
        queue, ids = Queue(settings), _enter(settings, jobs)
        started = time.perf_counter()
        for job_id in ids:
            queue.send(job_id)
        ledger = Ledger.open(settings)
        while len(ledger.jobs(JobState.DONE, limit=jobs)) < jobs:
            if time.perf_counter() - started > _WAIT_SECONDS + jobs * WORK_SECONDS:
                sys.exit("The workers do not finish.")
            time.sleep(0.02)
        seconds = time.perf_counter() - started
        ledger.close()
        return seconds


@contextmanager
def _working(settings: Settings, workers: int) -> Iterator[None]:
    """Run worker processes; all of them answer when the body begins."""
    spawn = multiprocessing.get_context("spawn")
    processes: list[BaseProcess] = [spawn.Process(target=_work, args=(settings, f"worker{number}")) for number in range(workers)]
    for process in processes:
        process.start()
    try:
        app, since = celery_app(settings), time.monotonic()
        while len(app.control.ping(timeout=0.5)) < workers:
            if time.monotonic() - since > _WAIT_SECONDS:
                sys.exit("The workers do not start.")
        yield
    finally:
        for process in processes:
            process.terminate()
            process.join(_WAIT_SECONDS)


def _work(settings: Settings, name: str) -> None:
    """Be a worker that waits where another would think."""
    ledger, app = Ledger.open(settings), celery_app(settings)

    def wait(_: int) -> None:
        time.sleep(WORK_SECONDS)
        _read(ledger, name)

    app.task(wait, name=READ_STUDY, shared=False)
    words = ["worker", "--pool=solo", "--loglevel=ERROR", f"--hostname={name}@%h", "--without-gossip", "--without-mingle"]
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):  # Celery greets whoever starts it
        app.worker_main(words)


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"min": round(min(values), 3), "median": round(statistics.median(values), 3), "max": round(max(values), 3)}


def _print(figures: dict[str, Any]) -> None:
    table = Table("waiting", "min ms", "median ms", "max ms", title=f"One job in, one job out; {figures['machine']}")
    for backlog, spread in figures["cost_ms"].items():
        table.add_row(backlog, *(f"{spread[key]:.2f}" for key in ("min", "median", "max")))
    console = Console()
    console.print(table)
    for name, value in figures.items():
        if not isinstance(value, dict):
            console.print(f"{name}: {value}")


if __name__ == "__main__":
    main()
