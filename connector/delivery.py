"""Storage commitment (PS3.4 Annex J): results are delivered when the archive has said that it keeps them, where it offers to.

It is asked by N-ACTION, and answers by N-EVENT-REPORT: on the same association, or on one that it opens to our listener, in
which it is the SCP. Either way the answer is written into the ledger, where whoever asked looks for it. An archive that does not
offer it, or does not answer in time, is believed by its query.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Thread, current_thread
from typing import Any

import structlog
from pydicom import Dataset
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.pdu_primitives import SCP_SCU_RoleSelectionNegotiation
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from connector.association import associate
from connector.commitments import Commitments
from connector.pacs import Pacs
from connector.service import SUCCESS, answered
from radiology.errors import PacsRefused, PacsUnreachable
from radiology.settings import Settings

_NO_SUCH_EVENT, _INVALID_ARGUMENT = 0x0113, 0x0115

_REQUEST = 1
"""Action Type ID (PS3.4 Table J.3.2-1)."""
_REPORTS = (1, 2)
"""Event Type IDs: all is committed to, and failures exist (PS3.4 Table J.3.3-1)."""
_LOOK_SECONDS = 0.1

_log = structlog.get_logger()


class _NoAnswer(Exception):
    """Why the archive cannot be held to a commitment, as the end of a sentence about it."""


class Delivery:
    """Delivery of results to one archive."""

    def __init__(self, settings: Settings, pacs: Pacs, commitments: Commitments) -> None:
        self._archive, self._own_ae_title = settings.pacs, settings.listener.ae_title  # the archive answers to whom it knows by that title
        self._pacs = pacs
        self._commitments = commitments

    def confirm(self, study_uid: str, results: Sequence[Dataset]) -> str:
        """See that the archive commits to results that it has stored; return a sentence on who says that they are there.

        What it does not commit to is stored once more. What it has committed to before is not asked again.

        Raises:
            PacsRefused: it does not commit to some of them, twice.
            PacsError: they could not be stored again.
        """
        if self._archive.storage_commitment == "off" or not results:
            return f"{len(results)} results are in the archive."
        promised = {uid for transaction in self._commitments.of_study(study_uid) for uid in transaction.committed}
        pending = [result for result in results if str(result.SOPInstanceUID) not in promised]
        try:
            failures = self._ask(study_uid, pending) if pending else {}
            if failures:
                _log.warning("not committed to", study_uid=study_uid, failures=_reasons(failures))
                again = [result for result in pending if str(result.SOPInstanceUID) in failures]
                self._pacs.send(again)
                failures = self._ask(study_uid, again)
        except _NoAnswer as reason:
            _log.warning("no storage commitment", study_uid=study_uid, reason=str(reason))
            return f"{len(results)} results are in the archive by its query; it {reason}."
        if failures:
            raise PacsRefused(f"The archive does not commit to keep {_reasons(failures)}; look at its log.")
        return f"{len(results)} results are in the archive, and it has committed to keep them."

    def _ask(self, study_uid: str, results: Sequence[Dataset]) -> dict[str, int]:
        """Ask for the commitment to these; return the Failure Reason of each that it is refused for, by SOP Instance UID."""
        with self._association() as association:
            transaction_uid = self._commitments.ask(study_uid, [str(result.SOPInstanceUID) for result in results])
            try:
                status, _ = association.send_n_action(
                    _action(transaction_uid, results), _REQUEST, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
                )
            except RuntimeError as error:
                raise _NoAnswer("ended the association when it was asked for a commitment") from error
            if status.get("Status") != SUCCESS:
                said = f"0x{status.Status:04X}" if "Status" in status else "no answer"
                raise _NoAnswer(f"could not be asked for a commitment ({said})")
            until = time.monotonic() + self._archive.commitment_seconds
            while time.monotonic() < until:
                transaction = self._commitments.find(transaction_uid)
                if transaction and transaction.answered:
                    return dict(transaction.failures)
                time.sleep(_LOOK_SECONDS)
        raise _NoAnswer(f"did not commit to them within {self._archive.commitment_seconds:g} s")

    @contextmanager
    def _association(self) -> Iterator[Any]:
        """An association on which the archive may be asked, and may answer."""
        entity = AE(self._own_ae_title)
        entity.acse_timeout = entity.dimse_timeout = entity.connection_timeout = self._archive.timeout_seconds
        entity.network_timeout = self._archive.timeout_seconds + self._archive.commitment_seconds
        try:
            association = associate(entity, self._archive, [(StorageCommitmentPushModel, ImplicitVRLittleEndian)])
        except PacsUnreachable as error:
            raise _NoAnswer("does not answer at its DICOM port, so it could not be asked for a commitment") from error
        if not association.accepted_contexts:
            raise _NoAnswer("offers no storage commitment")
        answering: list[Thread] = []

        def take(event: evt.Event) -> int:
            answering.append(current_thread())
            return receive(event, self._commitments)

        association.bind(evt.EVT_N_EVENT_REPORT, answered(take))
        try:
            yield association
        finally:
            for thread in answering:
                thread.join(self._archive.timeout_seconds)  # a release would overtake our answer to the report
            association.release()


class Reports:
    """The service by which the listener takes the archive's answers."""

    sop_class = StorageCommitmentPushModel
    roles = (False, True)

    def __init__(self, commitments: Commitments) -> None:
        self._commitments = commitments

    @property
    def handlers(self) -> list[evt.EventHandlerType]:
        """What is called for the role that the archive proposes, and for its reports."""
        return [(evt.EVT_REQUESTED, _agree), (evt.EVT_N_EVENT_REPORT, answered(lambda event: receive(event, self._commitments)))]


def receive(event: evt.Event, commitments: Commitments) -> int:
    """Take an N-EVENT-REPORT; return the status to answer (PS3.7 10.1.1.1.8)."""
    if event.request.EventTypeID not in _REPORTS:
        return _NO_SUCH_EVENT
    report = event.event_information
    committed = {str(item.ReferencedSOPInstanceUID) for item in report.get("ReferencedSOPSequence", ())}
    failures = {str(item.ReferencedSOPInstanceUID): int(item.FailureReason) for item in report.get("FailedSOPSequence", ())}
    transaction = commitments.answer(str(report.TransactionUID), committed, failures)
    if transaction is None:
        _log.warning("report of an unknown transaction", transaction_uid=str(report.TransactionUID))
        return _INVALID_ARGUMENT
    refused = _reasons(transaction.failures)
    _log.info("commitment answered", study_uid=transaction.study_uid, committed=len(transaction.committed), refused=refused)
    return SUCCESS


def _agree(event: evt.Event) -> None:
    """Answer ``EVT_REQUESTED``: let the archive be the SCP; to who wants us to be it the service is not offered.

    pynetdicom negotiates the role, and forgets to say so in its answer where it also takes storage classes that it does not know.
    """
    acceptor = event.assoc.acceptor
    proposed = event.assoc.requestor.role_selection.get(StorageCommitmentPushModel)
    if proposed is not None and proposed.scp_role:
        answer = SCP_SCU_RoleSelectionNegotiation()
        answer.sop_class_uid, answer.scu_role, answer.scp_role = StorageCommitmentPushModel, False, True
        acceptor.add_negotiation_item(answer)
    else:
        offered = acceptor.supported_contexts
        acceptor.supported_contexts = [context for context in offered if context.abstract_syntax != StorageCommitmentPushModel]


def _action(transaction_uid: str, results: Sequence[Dataset]) -> Dataset:
    """Action Information (PS3.4 Table J.3.2-1)."""
    action = Dataset()
    action.TransactionUID = transaction_uid
    action.ReferencedSOPSequence = []
    for result in results:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = result.SOPClassUID, result.SOPInstanceUID
        action.ReferencedSOPSequence.append(item)
    return action


def _reasons(failures: Mapping[str, int]) -> str:
    return ", ".join(f"{uid} (0x{reason:04X})" for uid, reason in sorted(failures.items()))
