"""One run: send, disturb, wait until all is quiet, and judge."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.chaos.load import Load
from tests.chaos.modality import Modalities
from tests.chaos.record import Record
from tests.chaos.stack import Stack


@dataclass(frozen=True)
class Run:
    """What a disturbance has at hand."""

    stack: Stack
    load: Load
    chance: random.Random
    record: Record


Disturbance = Callable[[Run], Mapping[str, Any]]
"""Sends studies, disturbs, and ends when nothing is disturbed any more; returns figures of its own."""


def prove(disturb: Disturbance, stack: Stack, seed: int, record: Record) -> dict[str, Any]:
    """Run a disturbance on an installation, wait for the results, and return the figures (:meth:`tests.chaos.load.Load.judge`).

    ``seed`` decides what is left to chance. ``killed`` and ``ended`` say how often each service was killed, or ended by itself.
    """
    record.note(seed=seed)
    with Modalities(stack.settings.listener) as modalities:
        load = Load(stack, modalities, record)
        record.note(**disturb(Run(stack, load, random.Random(seed), record)))
        record.say("all is well again; waiting until all is read")
        load.settle()
        record.note(**load.judge())
    record.note(killed={each.name: each.kills for each in stack.services}, ended={each.name: each.ends for each in stack.services})
    record.note(finished=True)
    return record.figures


def is_proven(figures: Mapping[str, Any]) -> bool:
    """Whether nothing was lost, made twice or left lying, and every late image made a revision."""
    return (
        figures["acknowledged"] == figures["studies"]
        and figures["revised"] == figures["late"]
        and not (figures["lost"] or figures["duplicates"] or figures["stuck"])
    )
