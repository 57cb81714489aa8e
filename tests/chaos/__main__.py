"""``python -m tests.chaos [--kills N] [--seed S] [--json FILE] [--folder FOLDER]``: exits 1 where something was lost, twice or stuck."""

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
from tests.chaos.proof import is_proven, prove
from tests.chaos.record import Record
from tests.chaos.stack import running


def main() -> None:
    """Make a tiny model, run the proof with it, and write its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proof", choices=["kills", "power-cut"], default="kills")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 16))
    parser.add_argument("--json", type=Path, help="figures so far are kept here from the start")
    parser.add_argument("--folder", type=Path, help="keep archive and logs here; an empty folder")
    arguments = parser.parse_args()
    disturb = {"kills": kills(arguments.kills), "power-cut": power_cut}[arguments.proof]
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
        with running(folder, weights) as stack:
            figures = prove(disturb, stack, arguments.seed, record)
    print(json.dumps(figures, indent=1))
    sys.exit(0 if is_proven(figures) else 1)


if __name__ == "__main__":
    main()
