"""Alarms of the listener: who was turned away, and what came under a false UID, in the audit trail, however many there are.

The first of a kind is an entry; more of its kind, for the same reason from the same address about the same study, are counted and
make one entry when their time is over. Nothing is written while a caller is served: whoever runs the listener writes what has come.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

from connector.audit import Audit, Event

_WINDOW = timedelta(minutes=10)
_KINDS = 256
_ELSEWHERE = "many addresses"


@dataclass
class _Alarm:
    """The first of a kind, how many have come that are no entry yet, and when the last entry was made."""

    reason: str
    address: str
    who: str
    study_uid: str
    unwritten: int = 0
    written: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Return whether nothing keeps it from being an entry again."""
        return self.written is None or now - self.written >= _WINDOW


class Alarms:
    """What has come and is not in the trail yet. Thread-safe."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str, str], _Alarm] = {}
        self._lock = Lock()

    def sound(self, reason: str, address: str, *, who: str = "", study_uid: str = "") -> None:
        """Note what has happened; ``who`` is the AE title that a caller gave itself."""
        with self._lock:
            if (reason, address, study_uid) not in self._kinds and len(self._kinds) >= _KINDS:  # they cost an attacker nothing
                address, study_uid = _ELSEWHERE, ""
            kind = self._kinds.setdefault((reason, address, study_uid), _Alarm(reason, address, who, study_uid))
            kind.unwritten += 1

    def write(self, audit: Audit, now: datetime) -> None:
        """Write what is to be written by ``now``.

        Raises:
            LedgerError: not all was written; the rest is, the next time.
        """
        with self._lock:
            over = {key: alarm for key, alarm in self._kinds.items() if alarm.is_over(now)}
            for key, alarm in over.items():
                if not alarm.unwritten:
                    del self._kinds[key]
            due = [(alarm, 1 if alarm.written is None else alarm.unwritten) for alarm in over.values() if alarm.unwritten]
        for alarm, count in due:
            detail = alarm.reason if alarm.written is None else f"{alarm.reason} Again, {count} times."
            audit.note(Event.TURNED_AWAY, is_success=False, who=alarm.who, address=alarm.address, study_uid=alarm.study_uid, detail=detail)
            with self._lock:
                alarm.unwritten -= count
                alarm.written = now
