"""A file of rules: rules that judge any series, or the lines that are wrong."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from connector.rules import Facts, read
from radiology.errors import RulesError

_FOLDER = TemporaryDirectory()
_SERIES = Facts(frozenset({"CT1"}), "CT", "ROOM2", "CHEST", ("Thorax nativ",), datetime(2026, 1, 2, 3, 4, tzinfo=UTC))

_GOOD = """timezone: Europe/Vienna
rules:
  - name: night
    source: [CT1, "ER*"]
    modality: CT
    days: [sat, sun]
    hours: 18:00-07:00
    priority: stat
    why: nobody is here
  - {name: &no knees, body_part: "*KNEE*", station: R?, description: "*", read: false}
"""


def seeds() -> Mapping[str, bytes]:
    """Rules that ask for everything that can be asked for."""
    return {"good": _GOOD.encode()}


def play(data: bytes) -> None:
    """Read the file, and judge a series by it."""
    path = Path(_FOLDER.name, "rules.yaml")
    path.write_bytes(data)
    try:
        rules = read(path)
    except RulesError:
        return
    rules.judge(_SERIES)
