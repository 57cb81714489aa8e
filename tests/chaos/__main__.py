"""``python -m tests.chaos [--proof NAME] [--kills N] [--seconds S] [--json FILE]``: exits 1 where something was lost, twice or stuck."""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
import tempfile
from pathlib import Path

import psutil

from ai_engine.model.weights import save_weights
from tests.ai_engine.conftest import language, taught
from tests.chaos.kills import kills, power_cut
from tests.chaos.outages import archive_down, broker_wiped, clock_stepped, disk_full
from tests.chaos.proof import is_proven, prove
from tests.chaos.record import Record
from tests.chaos.stack import LAYOUTS, running


def main() -> None:
    """Make a tiny model, run the proof with it, and write its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proof", choices=LAYOUTS, default="kills")
    parser.add_argument("--kills", type=int, default=100, help="how many, of the proof of that name")
    parser.add_argument("--seconds", type=float, default=600, help="how long the archive is down, or the disk full")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 16))
    parser.add_argument("--json", type=Path, help="figures so far are kept here from the start")
    parser.add_argument("--folder", type=Path, help="keep archive and logs here; an empty folder")
    arguments = parser.parse_args()
    disturb = {
        "kills": kills(arguments.kills),
        "power-cut": power_cut,
        "archive-down": archive_down(arguments.seconds),
        "disk-full": disk_full(arguments.seconds),
        "disk-low": disk_full(arguments.seconds),
        "broker-wiped": broker_wiped,
        "folder-wiped": broker_wiped,
        "clock-stepped": clock_stepped,
    }[arguments.proof]
    record = Record(arguments.json)
    record.note(
        proof=arguments.proof, machine=f"{platform.machine()}, {psutil.cpu_count()} cores, {psutil.virtual_memory().total >> 30} GiB"
    )
    with tempfile.TemporaryDirectory(prefix="sightline-chaos-") as thrown_away:
        folder = arguments.folder or Path(thrown_away) / "data"
        weights = Path(thrown_away) / "weights"
        for path in (folder, weights):
            path.mkdir(exist_ok=True)
        assistant = taught(language())
        save_weights(weights, assistant.model, assistant.language)
        record.say("the model is made")
        with running(folder, weights, LAYOUTS[arguments.proof]) as stack:
            figures = prove(disturb, stack, arguments.seed, record)
    print(json.dumps(figures, indent=1))
    sys.exit(0 if is_proven(figures) else 1)


if __name__ == "__main__":
    main()
