"""Names of files that survive a power cut."""

from __future__ import annotations

import os
from pathlib import Path


def move(source: Path, target: Path) -> Path:
    """Rename within a volume, in the place of what may be there."""
    _make(target.parent)
    source.rename(target)
    _sync(target.parent)
    return target


def place(source: Path, target: Path) -> Path:
    """Give a file a second name; ``FileExistsError`` where something has it, which then stays as it is."""
    while True:
        _make(target.parent)
        try:
            os.link(source, target)
        except FileNotFoundError:
            if target.parent.exists():
                raise
            continue  # it was empty, and has just been tidied away
        _sync(target.parent)
        return target


def _make(folder: Path) -> None:
    if not folder.exists():
        folder.mkdir(exist_ok=True)
        _sync(folder.parent)


def _sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
