import subprocess
import sys
from pathlib import Path


def test_what_cannot_be_done_is_one_sentence_and_a_failure(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "training.evaluate", "--cases", tmp_path / "nowhere", "--json", tmp_path / "figures.json"]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "manifest.json cannot be read" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
