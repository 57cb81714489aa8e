"""Associations as storage SCU, with the archive or with our own listener: what is proposed, how it is opened, and what its
statuses mean (PS3.4 B.2.3)."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from threading import Event, Lock
from typing import Any

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import AE, build_context, evt

from connector import tls
from radiology.errors import PacsUnreachable
from radiology.settings import ListenerSettings, PacsSettings

CONTEXTS = 128
"""Presentation contexts that one association may propose (PS3.8 9.3.2.2)."""
SUCCESS_OR_WARNING = frozenset({0x0000, 0xB000, 0xB006, 0xB007})
CLASS_NOT_SUPPORTED = 0x0122
_SAYS_SO_SECONDS = 0.05


def associate(entity: AE, peer: PacsSettings | ListenerSettings, kinds: Sequence[tuple[UID, UID]]) -> Any:
    """Open an association that proposes these SOP classes, each in one transfer syntax; by TLS where the peer has certificates.

    One that the peer answered by accepting none of them is returned too, not established.

    Raises:
        PacsUnreachable: no answer, or the association was rejected.
        SightlineError: the certificates cannot be used.
    """
    name, port = ("listener", next(iter(peer.ports))) if isinstance(peer, ListenerSettings) else ("archive", peer.port)
    # Our own listener's plain port is for this machine as for others: TLS is used where it alone is open.
    context = None if isinstance(peer, ListenerSettings) and peer.plain else tls.calling(peer)
    association = entity.associate(
        peer.host,
        port,
        contexts=[build_context(sop_class, syntax) for sop_class, syntax in kinds],
        ae_title=peer.ae_title,
        tls_args=(context, peer.host) if context else None,
        evt_handlers=[(evt.EVT_CONN_OPEN, prepare)],
    )
    if association.is_rejected:
        raise PacsUnreachable(
            f"The {name} rejected the association; see that it is called {peer.ae_title} and knows {entity.ae_title} at this address."
        )
    if association.is_established or association.rejected_contexts:
        return association
    trust = " and that each side's certificate is of an authority that the other trusts" if context else ""
    raise PacsUnreachable(f"The {name} does not answer at {peer.host}:{port}; see that it runs{trust}.")


def accepted(association: Any) -> set[tuple[UID, UID]]:
    """Return the SOP classes and transfer syntaxes that the other side takes."""
    return {(context.abstract_syntax, context.transfer_syntax[0]) for context in association.accepted_contexts}


def prepare(event: evt.Event) -> None:
    """Handle ``EVT_CONN_OPEN`` of a caller: small packets must not wait for each other, nor a response get lost."""
    event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    event.assoc._reactor_checkpoint = Checkpoint(event.assoc)


class Checkpoint(Event):
    """Where pynetdicom 3.0.4 lets an association's own thread wait while a request is sent and its response awaited.

    That thread says that it is paused before it waits here, and takes it back after. Between two requests it may be let go, be slow,
    and still seem paused when the second is sent, whose response it then takes away: the caller waits till its time is over. Here it
    is let go and not paused any more, or neither. As it is that thread which hears of an end, who sends without a pause stops at the
    first response that does not come.

    An N-EVENT-REPORT is served by a thread of its own, which at its end takes the pause back in the other's name: a caller who wants
    to release then would wait for ever. So who waits here says so again.
    """

    def __init__(self, association: Any) -> None:
        super().__init__()
        self._association, self._one = association, Lock()
        self.set()

    def clear(self) -> None:
        """Have the thread wait when it comes by."""
        with self._one:
            super().clear()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait as long as it takes."""
        while True:
            while not super().wait(_SAYS_SO_SECONDS):
                self._association._is_paused = True
            with self._one:
                if self.is_set():
                    self._association._is_paused = False
                    return True


def store(instances: Sequence[Dataset], archive: PacsSettings) -> Mapping[str, int]:
    """Send instances to the archive by C-STORE, each in its own transfer syntax.

    Returns:
        The status of each that was not stored, by SOP Instance UID; 0x0122 where its SOP class was not accepted.

    Raises:
        PacsUnreachable: no association, or it broke; some may have been stored.
    """
    entity = AE(archive.calling_ae_title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = entity.connection_timeout = archive.timeout_seconds
    kinds = sorted({_kind(instance) for instance in instances})
    association = associate(entity, archive, kinds)
    failed: dict[str, int] = {}
    try:
        taken = accepted(association)
        for instance in instances:
            uid = str(instance.SOPInstanceUID)
            if _kind(instance) not in taken:
                failed[uid] = CLASS_NOT_SUPPORTED
                continue
            try:
                status = association.send_c_store(instance).get("Status")
            except RuntimeError as error:
                raise PacsUnreachable("The archive ended the association; it is called again.") from error
            if status is None:
                raise PacsUnreachable("The archive hung up, or did not answer in time; it is called again.")
            if status not in SUCCESS_OR_WARNING:
                failed[uid] = status
    finally:
        association.release()
    return failed


def _kind(instance: Dataset) -> tuple[UID, UID]:
    return instance.SOPClassUID, instance.file_meta.TransferSyntaxUID
