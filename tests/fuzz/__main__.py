"""Fuzz one reader: ``python -m tests.fuzz TARGET --seconds N [--corpus DIR]``; further options go to libFuzzer (``-runs=1000``).

It begins with the seeds and what is kept of the target. An input that breaks the reader ends the run with a status other than 0 and is
written to ``tests/fuzz/corpus/TARGET/``, where it stays as a test.
"""

import argparse
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import atheris

warnings.simplefilter("ignore")  # pydicom says of every value what is wrong with it

_OURS = ("radiology", "dicom_sr", "connector", "ai_engine")
_THEIRS = (
    "pydicom.filereader",
    "pydicom.sequence",
    "pydicom.values",
    "pydicom.charset",
    "pydicom.pixels",
    "yaml.composer",
    "yaml.constructor",
)
"""Where ways part by what was read; all of pydicom would take most of the time."""

with atheris.instrument_imports(include=[*_OURS, *_THEIRS]):
    from tests.fuzz import TARGETS, corpus, inputs, load

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=60, help="how long; 60 where nothing is said")
    parser.add_argument("--corpus", type=Path, help="a folder that takes every input that reaches new code")
    asked, further = parser.parse_known_args()
    target = load(asked.target)

LONGEST = 1 << 16
"""Bytes of an input; a reader that is slow or large on so little is a defect."""
LONGEST_SECONDS, MOST_MIB = 20, 2500


with TemporaryDirectory() as scratch:
    seeds = Path(scratch, "seeds")
    found = asked.corpus or Path(scratch, "found")
    for folder in (seeds, found, corpus(asked.target)):
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in inputs(asked.target).items():
        Path(seeds, name).write_bytes(content)
    options = [
        f"-max_total_time={asked.seconds}",
        f"-timeout={LONGEST_SECONDS}",
        f"-report_slow_units={LONGEST_SECONDS}",
        f"-rss_limit_mb={MOST_MIB}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={corpus(asked.target)}/broke-",
        "-print_final_stats=1",
    ]
    mutate = {"custom_mutator": target.mutate} if hasattr(target, "mutate") else {}
    atheris.Setup([sys.argv[0], *options, *further, str(found), str(seeds)], target.play, **mutate)
    atheris.Fuzz()
