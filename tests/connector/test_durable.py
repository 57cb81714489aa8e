"""A name that was given stays, whoever tidies up meanwhile."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import pytest

from connector import durable


@pytest.mark.parametrize("name", [durable.place, durable.move])
def test_a_folder_that_is_tidied_away_at_that_moment_is_made_again(tmp_path: Path, name: Callable[[Path, Path], Path]) -> None:
    source, folder, stop = tmp_path / "source", tmp_path / "folder", Event()

    def tidy() -> None:
        while not stop.is_set():
            with suppress(OSError):
                folder.rmdir()

    tidier = Thread(target=tidy)
    tidier.start()
    try:
        for _ in range(300):
            source.touch()
            name(source, folder / "name").unlink()
    finally:
        stop.set()
        tidier.join()


@pytest.mark.parametrize("name", [durable.place, durable.move])
def test_a_file_that_is_gone_is_said_to_be(tmp_path: Path, name: Callable[[Path, Path], Path]) -> None:
    with pytest.raises(FileNotFoundError):
        name(tmp_path / "source", tmp_path / "folder" / "name")
