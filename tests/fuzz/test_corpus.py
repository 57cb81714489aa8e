"""What once broke a reader breaks it no more, nor does anything else that is kept."""

import os
import subprocess
import sys

import pytest

from tests.fuzz import TARGETS, inputs, load


@pytest.mark.filterwarnings("ignore")  # pydicom says of every value what is wrong with it
@pytest.mark.parametrize("target", TARGETS)
def test_every_reader_keeps_its_promise_on_what_is_kept(target: str) -> None:
    play = load(target).play
    for name, content in inputs(target).items():
        try:
            play(content)
        except Exception as error:
            raise AssertionError(f"{target} does not keep its promise on {name}") from error


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_no_reader_breaks_while_it_is_fuzzed(target: str) -> None:
    command = [sys.executable, "-m", "tests.fuzz", target, "--seconds", "20"]
    fuzz = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False)
    assert fuzz.returncode == 0, fuzz.stdout + fuzz.stderr
