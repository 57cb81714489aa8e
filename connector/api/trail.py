"""What requests leave in the audit trail. An entry that cannot be written stops what it is about: nothing happens unseen."""

from __future__ import annotations

import time
from threading import Lock

from fastapi import Request

from connector.api.session import signed_in
from connector.audit import Audit, Event

_ONE_LOOK_SECONDS = 600.0


class Trail:
    """The trail, as requests write it. Methods raise :class:`~radiology.errors.LedgerError` where the ledger fails."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._looks: dict[tuple[Event, str, str, str], float] = {}
        self._lock = Lock()

    def note(
        self, request: Request, event: Event, study_uid: str = "", *, who: str = "", detail: str = "", is_success: bool = True
    ) -> None:
        """Add an entry; ``who`` counts where nobody has to sign in."""
        user = signed_in(request)
        address = request.client.host if request.client else ""
        login = user.login if user else who
        self._audit.note(event, is_success=is_success, who=login, address=address, study_uid=study_uid, detail=detail)

    def seen(self, request: Request, study_uid: str) -> None:
        """Note that somebody looks at a study; a look is hundreds of requests, and counts once in ten minutes."""
        self._once_a_look(request, Event.SEEN, study_uid)

    def read(self, request: Request) -> None:
        """Note that somebody reads this trail; as often as a look at a study."""
        self._once_a_look(request, Event.TRAIL_READ, "")

    def _once_a_look(self, request: Request, event: Event, study_uid: str) -> None:
        user = signed_in(request)
        look = event, user.login if user else "", request.client.host if request.client else "", study_uid
        now = time.monotonic()
        with self._lock:
            self._looks = {known: moment for known, moment in self._looks.items() if now - moment < _ONE_LOOK_SECONDS}
            if look in self._looks:
                return
            self._looks[look] = now
        self.note(request, event, study_uid)
