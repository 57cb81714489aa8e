"""How the command lines of training begin: what cannot be done is said in one sentence."""

from __future__ import annotations

from collections.abc import Callable

import typer

from radiology.errors import SightlineError


def run(main: Callable[..., None]) -> None:
    """Call ``main`` with the options of the command line.

    A :class:`SightlineError` ends the program with its sentence and status 1, and so does a file that cannot be read or written.
    """
    try:
        typer.run(main)
    except SightlineError as error:
        raise SystemExit(str(error)) from None
    except OSError as error:
        if error.filename is None:
            raise
        raise SystemExit(f"{error.filename}: {error.strerror}.") from None
