"""Names of files that survive a power cut."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def move(source: Path, target: Path) -> Path:
    """Rename within a volume, in the place of what may be there."""
    return _put(source, target, os.rename)


def place(source: Path, target: Path) -> Path:
    """Give a file a second name; ``FileExistsError`` where something has it, which then stays as it is."""
    return _put(source, target, os.link)


def _put(source: Path, target: Path, named: Callable[[Path, Path], None]) -> Path:
    while True:
        _make(target.parent)
        try:
            named(source, target)
        except FileNotFoundError:
            if not source.exists():
                raise
            continue  # the folder was empty, and is being tidied away: until that is done it still seems to be there
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
