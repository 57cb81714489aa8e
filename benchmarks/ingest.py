"""How fast CT slices are taken in, by Sightline's listener, Orthanc, DCMTK's storescp and a plain handler on pynetdicom.

``python -m benchmarks.ingest [--rounds N] [--json FILE]`` sends 300 slices of 512 x 512 pixels over 1, 4 and 8 associations, to each in
turn, round after round. A slice counts when it was answered with success; afterwards each receiver must have all of them.
``ratio_to_X``: X's seconds by Sightline's in the same round; above 1 Sightline is the faster. Sightline's listener runs as the
service does, without an archive to forward to. ``nothing`` keeps nothing: it shows what the senders themselves take.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks import receivers
from benchmarks.senders import SIDE, senders

ASSOCIATIONS = (1, 4, 8)
PEERS = ("orthanc", "storescp", "plain_pynetdicom")
_RECEIVERS = ("sightline", *PEERS, "nothing")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    figures = {
        "machine": f"{platform.machine()}, {psutil.cpu_count()} cores, {psutil.virtual_memory().total >> 30} GiB",
        "load_average": psutil.getloadavg()[0],
        **measure(arguments.rounds, arguments.slices, ASSOCIATIONS),
    }
    _print(figures)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1) + "\n")


def measure(rounds: int, slices: int, associations: Sequence[int], side: int = SIDE) -> dict[str, Any]:
    """Send so many slices to each receiver, over each number of associations, in each round.

    Returns:
        ``seconds`` by receiver and number of associations, and ``ratio_to_X`` by number of associations for each peer X; each with its
        smallest, median and largest value.
    """
    seconds: dict[str, dict[str, list[float]]] = {name: {str(count): [] for count in associations} for name in _RECEIVERS}
    with tempfile.TemporaryDirectory(prefix="sightline-ingest-") as folder, ExitStack() as stack:
        group = stack.enter_context(senders(max(associations)))
        running = {name: stack.enter_context(getattr(receivers, name)(Path(folder, name))) for name in _RECEIVERS}
        for turn in range(rounds):
            for count in associations:
                order = _RECEIVERS[turn % len(_RECEIVERS) :] + _RECEIVERS[: turn % len(_RECEIVERS)]
                for name in order:
                    os.sync()  # what one wrote is not to be waited for by the next
                    seconds[name][str(count)].append(group.send(running[name].receiver, slices, count, side))
                    if name != "nothing" and running[name].kept() != slices:
                        sys.exit(f"{name} has {running[name].kept()} of {slices} slices.")
                    running[name].forget()
    return {
        "slices": slices,
        "side": side,
        "seconds": {name: {count: _spread(times) for count, times in table.items()} for name, table in seconds.items()},
        **{
            f"ratio_to_{peer}": {
                count: _spread([theirs / ours for theirs, ours in zip(seconds[peer][count], times, strict=True)])
                for count, times in seconds["sightline"].items()
            }
            for peer in PEERS
        },
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"min": round(min(values), 3), "median": round(statistics.median(values), 3), "max": round(max(values), 3)}


def _print(figures: dict[str, Any]) -> None:
    console = Console()
    for title, tables in (
        (f"Seconds for {figures['slices']} slices; {figures['machine']}", figures["seconds"]),
        ("Times as fast", {f"ratio_to_{peer}": figures[f"ratio_to_{peer}"] for peer in PEERS}),
    ):
        table = Table("", *(f"{count} associations" for count in next(iter(tables.values()))), title=title)
        for name, spreads in tables.items():
            table.add_row(name, *(f"{spread['min']:.2f} / {spread['median']:.2f} / {spread['max']:.2f}" for spread in spreads.values()))
        console.print(table)


if __name__ == "__main__":
    main()
