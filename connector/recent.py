"""Studies whose headers were fetched lately: who judges a CT of 600 slices does not wait for 600 headers at every key."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from connector.pacs import Pacs
from radiology.study import Study


class RecentStudies:
    """The headers of the studies that were asked for last. Thread-safe.

    They are fetched anew whenever the archive's own lists say anything else of the study, its patient or its images than before, so
    that a correction of the patient is never undone by a result that was written from an old header.
    """

    def __init__(self, pacs: Pacs, size: int = 4) -> None:
        """``size``: how many studies are kept; one of 600 slices takes about 50 MB."""
        self._pacs = pacs
        self._size = size
        self._known: OrderedDict[str, tuple[str, Study]] = OrderedDict()
        self._lock = Lock()

    def fetch(self, study_uid: str) -> Study:
        """Return the headers of a study as :meth:`connector.pacs.Pacs.fetch` does, and raise what it raises."""
        mark = self._pacs.mark(study_uid)
        with self._lock:
            before = self._known.get(study_uid)
        study = before[1] if before is not None and before[0] == mark else self._pacs.fetch(study_uid)
        with self._lock:
            self._known[study_uid] = (mark, study)
            self._known.move_to_end(study_uid)
            while len(self._known) > self._size:
                self._known.popitem(last=False)
        return study
