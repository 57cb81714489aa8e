"""Outages that are no kills: an archive that is away, a disk that is full, a broker that is emptied, a clock that is set."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from redis import Redis

from tests.chaos.kills import until_at_work
from tests.chaos.proof import Disturbance, Run

_STUDIES = 6
_PART_BYTES = 20_000
"""Room for a part of an instance."""


def archive_down(seconds: float) -> Disturbance:
    """Stop the archive for so long while a study is read and others are sent.

    ``answers`` are the statuses that senders were given meanwhile, and ``recovery_seconds`` is how long it took from the archive's
    return until all was read.
    """

    def disturb(run: Run) -> dict[str, Any]:
        run.load.send()
        until_at_work(run)
        with run.stack.without("orthanc"):
            run.record.say(f"the archive is down for {seconds:.0f} s")
            for _ in range(_STUDIES):
                run.load.send()
                _go_on(run, seconds / _STUDIES)
            answers = run.load.answers
        run.record.say("the archive is back")
        back = time.monotonic()
        run.load.settle()
        return {"down_seconds": seconds, "answers": answers, "recovery_seconds": round(time.monotonic() - back, 1)}

    return disturb


def disk_full(seconds: float) -> Disturbance:
    """Fill the disk of all data, the archive's too, twice for so long while a study is read and others are sent.

    The first time room is left for a part of an instance above ``minimum_free_bytes``, then for none. ``answers`` as in
    :func:`archive_down`.
    """

    def disturb(run: Run) -> dict[str, Any]:
        folder = run.stack.settings.data_folder
        for left in (_PART_BYTES, 0):
            run.load.send()
            until_at_work(run)
            with _filled(folder, run.stack.settings.listener.minimum_free_bytes + left):
                run.record.say(f"the disk has {shutil.disk_usage(folder).free} bytes left")
                for _ in range(2):
                    run.load.send()
                    _go_on(run, seconds / 2)
            run.record.say("there is room again")
            run.load.settle()
        return {"full_seconds": seconds, "answers": run.load.answers}

    return disturb


def broker_wiped(run: Run) -> dict[str, Any]:
    """Take everything out of the broker under the services' hands, again and again while studies wait in it."""
    times = 0
    for _ in range(_STUDIES):
        for _ in range(2):
            run.load.send()
        until_at_work(run)
        run.stack.keep(run.chance.uniform(0, 2))
        _wipe(run)
        times += 1
        run.record.say(f"the broker was emptied {times} times")
    return {"wiped": times}


def clock_stepped(run: Run) -> dict[str, Any]:
    """Set the clock an hour forward, two hours back, and right again, each time while a study is read and one arrives.

    Each time the worker is killed, whose lease then has to end, and the messages are lost, so that the sweep has to send them again.
    """
    steps = (1, -1, 0)
    for hours in steps:
        run.load.send()
        until_at_work(run)
        run.load.send()
        run.stack.keep(run.chance.uniform(0, 1))
        run.stack.set_clock(hours)
        run.record.say(f"the clock is {hours:+d} h off")
        run.stack.keep(3)
        run.stack.kill("worker")
        _wipe(run)
        run.load.send()
        run.load.settle()
    return {"clock_hours": list(steps)}


def _go_on(run: Run, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        run.stack.keep(min(1, seconds))
        run.load.go_on()


def _wipe(run: Run) -> None:
    url = run.stack.settings.queue.broker_url
    if url.startswith("redis"):
        with Redis.from_url(url) as broker:
            broker.flushall()
    else:
        for folder in (run.stack.settings.data_folder / "queue").iterdir():
            for file in folder.iterdir():
                file.unlink(missing_ok=True)


@contextmanager
def _filled(folder: Path, left: int) -> Iterator[None]:
    """Fill the disk of a folder but for so many bytes."""
    ballast = folder / "ballast"
    with ballast.open("wb") as file:
        while (room := shutil.disk_usage(folder).free - left) > 0:
            with suppress(OSError):  # somebody else was faster; there is less room now
                os.posix_fallocate(file.fileno(), os.fstat(file.fileno()).st_size, room)
    try:
        yield
    finally:
        ballast.unlink()
