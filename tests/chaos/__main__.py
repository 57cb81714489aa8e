"""``python -m tests.chaos --kills N [--seed S] [--json FILE] [--folder FOLDER]``: exits 1 where something was lost, twice or stuck."""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
import tempfile
import time
from pathlib import Path

import psutil

from ai_engine.model.weights import save_weights
from tests.ai_engine.conftest import language, taught
from tests.chaos.proof import prove


def main() -> None:
    """Make a tiny model, run the proof with it, and write its figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 16))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--folder", type=Path, help="keep archive and logs here; an empty folder")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sightline-chaos-") as thrown_away:
        folder = arguments.folder or Path(thrown_away) / "data"
        weights = Path(thrown_away) / "weights"
        for path in (folder, weights):
            path.mkdir(exist_ok=True)
        assistant = taught(language())
        save_weights(weights, assistant.model, assistant.language)
        started = time.monotonic()

        def say(what: str) -> None:
            print(f"{time.monotonic() - started:7.1f} s  {what}", flush=True)

        figures = prove(arguments.kills, arguments.seed, folder, weights, say)
    figures["seconds"] = round(time.monotonic() - started, 1)
    figures["machine"] = f"{platform.machine()}, {psutil.cpu_count()} cores, {psutil.virtual_memory().total >> 30} GiB"
    text = json.dumps(figures, indent=1)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")
    sys.exit(1 if figures["lost"] or figures["duplicates"] or figures["stuck"] or figures["acknowledged"] < figures["studies"] else 0)


if __name__ == "__main__":
    main()
