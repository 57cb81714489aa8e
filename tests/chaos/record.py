"""What a run has shown so far: printed as it goes, and kept in a file, so that a run that is interrupted leaves what it knows."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any


class Record:
    """The figures of one run; ``finished`` says whether they are all."""

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._started = time.monotonic()
        self.figures: dict[str, Any] = {"finished": False}

    @property
    def seconds(self) -> float:
        """How long the run has gone on."""
        return time.monotonic() - self._started

    def say(self, what: str) -> None:
        """Print what happens."""
        print(f"{self.seconds:7.1f} s  {what}", flush=True)

    def note(self, **figures: Any) -> None:
        """Add figures, or bring them up to date."""
        self.figures |= figures | {"seconds": round(self.seconds, 1)}
        if self._file:
            partial = self._file.with_name(f"{self._file.name}.partial")
            partial.write_text(json.dumps(self.figures, indent=1) + "\n")
            partial.replace(self._file)
