"""Kills without warning: of one service after the other at random moments, and of all at once."""

from __future__ import annotations

import random
import time
from typing import Any

from radiology.errors import LedgerError
from radiology.jobs import JobState
from tests.chaos.proof import Disturbance, Run
from tests.chaos.stack import TARGETS

_LONGEST_GAP_SECONDS = 4.0
_STORING_SECONDS = 0.6
_PATIENCE_SECONDS = 300.0


def kills(count: int) -> Disturbance:
    """Kill so many services, and send a study for every second one.

    A worker is killed at work: it takes long to start, and killed before that it would never be killed at it. Half of its kills, and
    of the archive's, come while results are being stored.
    """

    def disturb(run: Run) -> dict[str, Any]:
        storing = 0
        for number, victim in enumerate(_victims(count, run.chance), 1):
            read = run.load.go_on()
            while_storing = victim in ("worker", "orthanc") and run.chance.random() < 0.5
            must_work = victim == "worker" or while_storing
            if number % 2 or (must_work and read == len(run.load.studies)):
                run.load.send()
            is_at_it = must_work and until_at_work(run, while_storing)
            run.stack.keep(run.chance.uniform(0, _STORING_SECONDS if while_storing else _LONGEST_GAP_SECONDS))
            run.stack.kill(victim)
            storing += while_storing and is_at_it
            left = (count - number) * run.record.seconds / number
            what = f"{victim}{' while results are stored' if while_storing else ''}"
            run.record.say(f"kill {number} of {count}: {what}; {read} of {len(run.load.studies)} are read; about {left:.0f} s to go")
            killed = {each.name: each.kills for each in run.stack.services}
            run.record.note(kills=number, killed_while_storing=storing, killed=killed)
        return {"kills": count}

    return disturb


def power_cut(run: Run) -> dict[str, Any]:
    """Kill everything at once while results are being stored."""
    run.load.send()
    until_at_work(run, storing=True)
    run.stack.keep(run.chance.uniform(0, _STORING_SECONDS))
    run.stack.kill(*TARGETS)
    run.record.say("all is dark")
    return {"kills": len(TARGETS)}


def _victims(count: int, chance: random.Random) -> list[str]:
    """Who is killed, in turn: a hand is dealt anew when it is empty, so that all are killed equally often."""
    hands = [chance.sample(TARGETS, len(TARGETS)) for _ in range(count // len(TARGETS) + 1)]
    return [name for hand in hands for name in hand][:count]


def until_at_work(run: Run, storing: bool = False) -> bool:
    """Return when the worker that runs now reads a study, or stores its results; False where that does not come about."""
    since = time.monotonic()
    while time.monotonic() - since < _PATIENCE_SECONDS:
        run.stack.keep(0.02)
        mine = f":{run.stack.service('worker').process_id} took it."
        try:
            ledger = run.stack.ledger
            for job in ledger.jobs(JobState.RUNNING):
                progress = ledger.records([job.study_uid])[job.study_uid].progress
                if job.reason.endswith(mine) and (not storing or (progress and progress.doing == "Storing")):
                    return True
            if time.monotonic() - since > 1:
                run.load.go_on()
        except LedgerError:  # it is coming up
            continue
    return False
