import subprocess
import sys
from pathlib import Path


def test_what_cannot_be_done_is_one_sentence_and_a_failure(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "training.evaluate", "--cases", tmp_path / "nowhere", "--json", tmp_path / "figures.json"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "manifest.json cannot be read" in ended.stderr.splitlines()[-1]
    assert "Traceback" not in ended.stderr


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "training.evaluation.pages", "--name", "x", tmp_path / "none.json"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (1, f"{tmp_path / 'none.json'}: No such file or directory.")
