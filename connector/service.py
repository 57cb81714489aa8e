"""Services that the listener offers beside storage: requests of the DIMSE-N kind, answered whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import structlog
from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import evt

from radiology.errors import LedgerError

SUCCESS, PROCESSING_FAILURE, RESOURCE_LIMITATION = 0x0000, 0x0110, 0x0213
"""Statuses of PS3.7 Annex C."""

_LARGEST_DATA_SET = 4 << 20

_log = structlog.get_logger()


class Service(Protocol):
    """What the listener offers."""

    @property
    def sop_class(self) -> UID:
        """The SOP class."""

    @property
    def roles(self) -> tuple[bool, bool]:
        """Whether a caller may be its SCU, and its SCP, where it proposes roles."""

    @property
    def handlers(self) -> Sequence[evt.EventHandlerType]:
        """What is called; requests are to be handled by what :func:`answered` gives."""


def answered(handle: Callable[[evt.Event], int | Dataset]) -> Callable[[evt.Event], tuple[int | Dataset, None]]:
    """Return a handler of a DIMSE-N request that answers the status of ``handle``, or a failure where that cannot do its part.

    ``handle`` decodes what was sent, which may be anything, so whatever it raises is an answer; a message may quote the data set,
    so only its kind is logged.
    """

    def handler(event: evt.Event) -> tuple[int | Dataset, None]:
        if _sent_bytes(event.request) > _LARGEST_DATA_SET:
            return RESOURCE_LIMITATION, None
        try:
            return handle(event), None
        except LedgerError as error:
            _log.warning("request not answered", message=event.request.msg_type, reason=str(error))
        except Exception as error:  # noqa: BLE001 - the caller must be answered, whatever happens
            _log.warning("request not understood", message=event.request.msg_type, kind=type(error).__name__)
        return PROCESSING_FAILURE, None

    return handler


def _sent_bytes(request: Any) -> int:
    """Length of the data set of an N-EVENT-REPORT, N-CREATE, N-SET or N-ACTION, encoded."""
    parts = ("EventInformation", "AttributeList", "ModificationList", "ActionInformation")
    return sum(len(data.getvalue()) for part in parts if (data := getattr(request, part, None)) is not None)
