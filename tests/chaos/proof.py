"""One run: send, kill, wait until all is quiet, and judge."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydicom import Dataset

from connector.ledger import Ledger
from radiology.errors import LedgerError
from radiology.jobs import JobState
from tests.ai_engine.chest_studies import ct, radiographs
from tests.chaos.judgement import is_read, judge
from tests.chaos.modality import Modalities
from tests.chaos.stack import TARGETS, Stack, running

_LONGEST_GAP_SECONDS = 4.0
_PATIENCE_SECONDS = 300.0
"""So long without any progress, on however busy a machine, is a study that is stuck."""
_UNFINISHED = (JobState.ARRIVING, JobState.QUEUED, JobState.RUNNING)


def prove(kills: int, seed: int, folder: Path, weights: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Send a study and kill a process, so many times; wait for the results; return the figures.

    Args:
        kills: how many; as many studies are sent, each while the services are being killed.
        seed: chooses who is killed and after which pause.
        folder: an empty one, for the archive and the logs; ``weights`` is the model's.
        say: is told what happens.

    Returns:
        ``acknowledged`` is the number of studies whose every instance was acknowledged, ``lost`` and ``duplicates`` how many of them have
        not all their images and one result set in force, or more than that; ``stuck`` the jobs that never ended,
        ``begun_again`` how often a reading was broken off and begun anew;
        ``faults`` says what is wrong, ``killed`` and ``ended`` how often each service was killed, or ended by itself.
    """
    chance = random.Random(seed)
    victims = _victims(kills, chance)
    studies: list[Sequence[Dataset]] = [radiographs("PA", "AP") if number % 2 else ct(3) for number in range(kills)]
    with running(folder, weights) as stack:
        with Modalities(stack.settings.listener) as modalities:
            for number, (study, victim) in enumerate(zip(studies, victims, strict=True), 1):
                modalities.send(study)
                if victim == "worker":
                    _until_it_reads(stack)
                stack.keep(chance.uniform(0, _LONGEST_GAP_SECONDS))
                stack.kill(victim)
                say(f"kill {number}: {victim}")
            say("no more kills; waiting until all is read")
            _settle(studies, modalities, stack, say)
            acknowledged = [study for study in studies if {str(each.SOPInstanceUID) for each in study} <= modalities.acknowledged]
        ledger = Ledger.open(stack.settings)
        verdicts = {str(study[0].StudyInstanceUID): judge(study, ledger, stack.settings.pacs) for study in acknowledged}
        stuck = [job.job_id for state in _UNFINISHED for job in ledger.jobs(state)]
        steps = [step for job in ledger.jobs(limit=10 * kills) for step in ledger.history(job.job_id)]
        ledger.close()
        return {
            "kills": kills,
            "seed": seed,
            "studies": len(studies),
            "acknowledged": len(acknowledged),
            "lost": sum(bool(verdict.lost) for verdict in verdicts.values()),
            "duplicates": sum(bool(verdict.twice) for verdict in verdicts.values()),
            "stuck": len(stuck),
            "begun_again": sum((step.source, step.target) == (JobState.RUNNING, JobState.QUEUED) for step in steps),
            "faults": [f"{uid}: {fault}" for uid, verdict in verdicts.items() for fault in (*verdict.lost, *verdict.twice)],
            "killed": {name: sum(each.kills for each in stack.services if each.name == name) for name in TARGETS},
            "ended": {name: sum(each.ends for each in stack.services if each.name == name) for name in TARGETS},
        }


def _victims(kills: int, chance: random.Random) -> list[str]:
    """Who is killed, in turn: a hand is dealt anew when it is empty, so that all are killed equally often."""
    hands = [chance.sample(TARGETS, len(TARGETS)) for _ in range(kills // len(TARGETS) + 1)]
    return [name for hand in hands for name in hand][:kills]


def _until_it_reads(stack: Stack) -> None:
    """Return when the worker has a study at hand: it takes long to start, and killed before that it would never be killed at work."""
    since = time.monotonic()
    while time.monotonic() - since < _PATIENCE_SECONDS:
        stack.keep(0.1)
        try:
            ledger = Ledger.open(stack.settings)
        except LedgerError:  # it is coming up
            continue
        running = ledger.jobs(JobState.RUNNING)
        ledger.close()
        if any((datetime.now(UTC) - job.updated).total_seconds() < stack.settings.ledger.lease_seconds for job in running):
            return


def _settle(studies: Sequence[Sequence[Dataset]], modalities: Modalities, stack: Stack, say: Callable[[str], None]) -> None:
    """Return when every study is read, or nothing has changed for a long time."""
    seen, changed = -1, time.monotonic()
    while time.monotonic() - changed < _PATIENCE_SECONDS:
        stack.keep(1)
        count = _read(studies, stack)
        if modalities.done and count == len(studies):
            return
        if count != seen:
            seen, changed = count, time.monotonic()
            say(f"{count} of {len(studies)} are read")
    say("nothing moves any more")


def _read(studies: Sequence[Sequence[Dataset]], stack: Stack) -> int:
    try:
        ledger = Ledger.open(stack.settings)
    except LedgerError:  # it is coming up
        return 0
    try:
        return sum(is_read(study, ledger) for study in studies)
    finally:
        ledger.close()
