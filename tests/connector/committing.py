"""An archive's DICOM port that is asked for storage commitment, and answers as it is told to: now, later, or never."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Thread
from typing import Any

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE, build_context, build_role, evt
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance, Verification

from connector.association import prepare
from radiology.settings import ListenerSettings

Commit = Callable[[list[str]], Mapping[str, int] | None]
"""What is asked for, as SOP Instance UIDs, to Failure Reasons of those that it does not commit to; None gives no answer."""


def report(listener: ListenerSettings, asked: Dataset, failures: Mapping[str, int]) -> int:
    """Call the listener as SCP, and report; returns the status that it answered."""
    association = AE("ORTHANC").associate(
        listener.host,
        listener.port,
        contexts=[build_context(StorageCommitmentPushModel)],
        ae_title=listener.ae_title,
        ext_neg=[build_role(StorageCommitmentPushModel, scp_role=True)],
        evt_handlers=[(evt.EVT_CONN_OPEN, prepare)],
    )
    assert association.is_established
    assert association.accepted_contexts[0].as_scp, "an archive that keeps to its role would say nothing"
    try:
        return _send(association, asked, failures)
    finally:
        association.release()


class Committing:
    """The port. ``asked`` are the questions that came, as data sets; ``statuses`` what the listener answered to the reports."""

    def __init__(self, listener: ListenerSettings, commit: Commit, offers: UID, *, stays: bool) -> None:
        self.asked: list[Dataset] = []
        self.statuses: list[int] = []
        self._listener, self._commit, self._stays = listener, commit, stays
        entity = AE("ORTHANC")
        entity.add_supported_context(offers)
        self._due: list[Dataset] = []
        handlers: list[evt.EventHandlerType] = [
            (evt.EVT_CONN_OPEN, prepare),
            (evt.EVT_N_ACTION, self._answer),
            (evt.EVT_PDU_SENT, self._answered),
        ]
        self.server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = int(self.server.server_address[1])

    def _answer(self, event: evt.Event) -> tuple[int, None]:
        asked = event.action_information
        self.asked.append(asked)
        self._due.append(asked)
        return 0x0000, None

    def _answered(self, event: evt.Event) -> None:
        """The question is answered: now the report may follow, and not before, as pynetdicom would take it for the answer."""
        if self._due and isinstance(event.pdu, P_DATA_TF):
            Thread(target=self._report, args=(event.assoc, self._due.pop())).start()

    def _report(self, association: Any, asked: Dataset) -> None:
        failures = self._commit([str(item.ReferencedSOPInstanceUID) for item in asked.ReferencedSOPSequence])
        if failures is not None:
            self.statuses.append(_send(association, asked, failures) if self._stays else report(self._listener, asked, failures))


@contextmanager
def committing(
    listener: ListenerSettings, commit: Commit, *, offers: UID = StorageCommitmentPushModel, stays: bool = False
) -> Iterator[Committing]:
    """Open such a port; ``stays`` answers on the association on which it was asked."""
    port = Committing(listener, commit, offers, stays=stays)
    try:
        yield port
    finally:
        port.server.shutdown()


NOTHING_OFFERED = UID(Verification)


def _send(association: Any, asked: Dataset, failures: Mapping[str, int]) -> int:
    said = Dataset()
    said.TransactionUID = asked.TransactionUID
    said.ReferencedSOPSequence = [each for each in asked.ReferencedSOPSequence if each.ReferencedSOPInstanceUID not in failures]
    if failures:
        said.FailedSOPSequence = [each for each in asked.ReferencedSOPSequence if each.ReferencedSOPInstanceUID in failures]
        for each in said.FailedSOPSequence:
            each.FailureReason = failures[each.ReferencedSOPInstanceUID]
    status, _ = association.send_n_event_report(said, 2 if failures else 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
    return int(status.Status)
