"""Which studies somebody may see: those of their institutions, by what the archive says of each study."""

from __future__ import annotations

import time
from collections import OrderedDict
from threading import Lock

from connector.access import User
from connector.pacs import Pacs

_ONE_ANSWER_SECONDS = 60.0
_STUDIES = 10_000


class Sight:
    """Answers for one archive. A look at a study is hundreds of requests: the archive is asked once a minute. Thread-safe."""

    def __init__(self, pacs: Pacs) -> None:
        self._pacs = pacs
        self._known: OrderedDict[str, tuple[float, str | None]] = OrderedDict()
        self._lock = Lock()

    def covers(self, user: User, study_uid: str) -> bool:
        """Return whether a study is the user's to see; a study that the archive does not have is, to who may see all.

        Raises:
            PacsError: the archive cannot be asked.
        """
        if user.institutions is None:
            return True
        institution = self._institution(study_uid)
        return institution is not None and user.may_see(institution)

    def _institution(self, study_uid: str) -> str | None:
        with self._lock:
            asked, institution = self._known.get(study_uid, (-_ONE_ANSWER_SECONDS, None))
        if time.monotonic() - asked < _ONE_ANSWER_SECONDS and institution is not None:
            return institution
        institution = self._pacs.institution(study_uid)
        with self._lock:
            self._known[study_uid] = time.monotonic(), institution
            self._known.move_to_end(study_uid)
            while len(self._known) > _STUDIES:
                self._known.popitem(last=False)
        return institution
