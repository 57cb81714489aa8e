"""The listener's door: who may come in, how many, and how long a caller may take.

What comes before an association is anybody's. So a caller who has not asked for one holds a place in a waiting room, not one of
the places of those who send; is hung up on after a while; and when the room is full, the address with the most callers in it
loses its oldest. No announced length makes the process grow: it is checked before there is room made for it.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from threading import Lock, Thread
from typing import Any

import structlog
from pynetdicom import AE, evt
from pynetdicom.transport import ThreadedAssociationServer

from connector.alarms import Alarms
from connector.lane import Lane
from radiology.settings import ListenerSettings

_LARGEST_REQUEST = 1 << 20
_LARGEST_COMMAND = 1 << 16
_FAREWELL_SECONDS = 5.0
_LOOK_SECONDS = 0.01
_UNANSWERED = 8

# Result, source and reason of A-ASSOCIATE-RJ (PS3.8 9.3.4)
_CALLING_UNKNOWN, _CALLED_UNKNOWN, _TOO_MANY = (1, 1, 3), (1, 1, 7), (2, 3, 2)

_TOO_MANY_WAIT = "Too many connect and ask for nothing."

_log = structlog.get_logger()


@dataclass(eq=False)
class Caller:
    """One connection. ``studies`` are the UIDs of what it has sent so far; ``ae_title`` is empty until it was admitted."""

    connection: socket.socket
    address: str
    port: int
    since: float
    association: Any = None
    ae_title: str = ""
    studies: set[str] = field(default_factory=set)

    @property
    def gone(self) -> bool:
        """Whether its thread has ended or its connection is closed."""
        ended = self.association is not None and self.association.ident is not None and not self.association.is_alive()
        return ended or self.connection.fileno() < 0


class Door:
    """Admits callers to one application entity, over any number of ports. ``left`` is called when one has gone."""

    def __init__(self, settings: ListenerSettings, left: Callable[[], None], alarms: Alarms) -> None:
        self.greeting_seconds = settings.greeting_seconds
        self._settings = settings
        self._left = left
        self._alarms = alarms
        self._callers: dict[socket.socket, Caller] = {}
        self._lock = Lock()

    @property
    def handlers(self) -> list[evt.EventHandlerType]:
        """What the entity's servers call when somebody connects, asks for an association, and goes."""
        return [(evt.EVT_CONN_OPEN, self._opened), (evt.EVT_REQUESTED, self._requested), (evt.EVT_CONN_CLOSE, self._closed)]

    @property
    def inside(self) -> list[Caller]:
        """Those who were admitted and are still there."""
        with self._lock:
            self._forget_who_is_gone()
            return [caller for caller in self._callers.values() if caller.ae_title]

    def caller(self, association: Any) -> Caller:
        """Return who has this association."""
        with self._lock:
            return next(caller for caller in self._callers.values() if caller.association is association)

    def knock(self, connection: socket.socket, address: Sequence[Any]) -> None:
        """Give a new connection a place in the waiting room."""
        newcomer = Caller(connection, address[0], address[1], time.monotonic())
        with self._lock:
            self._forget_who_is_gone()
            waiting = [caller for caller in self._callers.values() if not caller.ae_title]
            if len(waiting) >= self._settings.maximum_associations:
                crowd = Counter(caller.address for caller in waiting).most_common(1)[0][0]
                oldest = next(caller for caller in waiting if caller.address == crowd)
                _log.warning("caller hung up on", address=oldest.address, reason=_TOO_MANY_WAIT)
                self._alarms.sound(_TOO_MANY_WAIT, oldest.address)
                _hang_up(oldest.connection)
                del self._callers[oldest.connection]
            self._callers[connection] = newcomer

    def leave(self, connection: socket.socket) -> None:
        """Close a connection and give its place back."""
        connection.close()
        with self._lock:
            self._callers.pop(connection, None)

    def refused_tls(self, address: str, reason: str) -> None:
        """Sound the alarm: somebody without the certificates that are asked for."""
        self._alarms.sound(f"No TLS association: {reason}.", address)

    def clear(self, entity: AE) -> None:
        """Hang up on all who wait, and see them out: the entity's own farewell is for associations only."""
        until = time.monotonic() + _FAREWELL_SECONDS
        while time.monotonic() < until:
            with self._lock:
                waiting = [caller for caller in self._callers.values() if not caller.ae_title and not caller.gone]
            if not waiting and all(association.is_established for association in entity.active_associations):
                return
            for caller in waiting:
                _hang_up(caller.connection)
            time.sleep(_LOOK_SECONDS)

    def _forget_who_is_gone(self) -> None:
        for connection in [connection for connection, caller in self._callers.items() if caller.gone]:
            connection.close()  # pynetdicom leaves it open where the other side was first
            del self._callers[connection]

    def _opened(self, event: evt.Event) -> None:
        """Before the first byte is read: no waiting for acknowledgements, and limits of length and time on every PDU."""
        association, wire = event.assoc, event.assoc.dul.socket
        connection: socket.socket = wire.socket
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            caller = self._callers.get(connection)
            if caller is not None:
                caller.association = association
        until = (time.monotonic() if caller is None else caller.since) + self.greeting_seconds

        idle_seconds = self._settings.idle_seconds

        def check(size: int) -> None:
            longest = self._settings.maximum_pdu_bytes
            limit = longest if association.is_established else max(_LARGEST_REQUEST, longest)
            if size > limit:  # pynetdicom would collect 4 GiB for whoever announces them
                raise OSError(f"A PDU of {size} bytes was announced; {limit} are accepted.")
            if association.dimse.msg_queue.qsize() > _UNANSWERED:  # one operation at a time was agreed on (PS3.7 D.3.3.3)
                raise OSError("Messages come without waiting for their answers.")
            message = association.dimse.message
            if message and message.encoded_command_set.tell() > _LARGEST_COMMAND:
                raise OSError("A command has no end.")
            if message and message.data_set.tell() > self._settings.maximum_instance_bytes:
                raise OSError("A data set is longer than SIGHTLINE_LISTENER__MAXIMUM_INSTANCE_BYTES.")

        def read(buffer: memoryview) -> int:
            received = _fill(buffer, connection, time.monotonic() + idle_seconds if association.is_established else until)
            connection.settimeout(idle_seconds)  # for our answers: who does not read them is hung up on too
            return received

        Lane(association, check, read)

    def _requested(self, event: evt.Event) -> None:
        """Admit the caller, or answer A-ASSOCIATE-RJ; who is neither, because this went wrong, does not come in."""
        association = event.assoc
        association.is_rejected = True
        request = association.requestor.primitive
        calling = request.calling_ae_title.strip()
        caller = self.caller(association)
        with self._lock:
            refusal, reason = self._refusal(caller, calling, request.called_ae_title.strip())
            if refusal is None:
                caller.ae_title = calling
        if refusal is None:
            association.is_rejected = False
            return
        _log.warning("association rejected", calling_ae=calling, address=caller.address, reason=reason)
        self._alarms.sound(reason, caller.address, who=calling)
        association.acse.send_reject(*refusal)
        association.kill()

    def _refusal(self, caller: Caller, calling: str, called: str) -> tuple[tuple[int, int, int] | None, str]:
        """Why a caller is not admitted: what it is told, and a reason for the log."""
        allowed = self._settings.callers
        if called != self._settings.ae_title.strip():
            return _CALLED_UNKNOWN, "It calls somebody else."
        if not calling or (allowed and calling not in allowed):
            return _CALLING_UNKNOWN, "Its AE title is not in SIGHTLINE_LISTENER__CALLERS."
        if allowed and not any(_plain(caller.address) in network for network in allowed[calling]):
            return _CALLING_UNKNOWN, "SIGHTLINE_LISTENER__CALLERS has its AE title, but not at this address."
        inside = Counter(each.address for each in self._callers.values() if each.ae_title and not each.gone)
        if inside[caller.address] >= self._settings.maximum_associations_per_address:
            return _TOO_MANY, "Its address has SIGHTLINE_LISTENER__MAXIMUM_ASSOCIATIONS_PER_ADDRESS open."
        if inside.total() >= self._settings.maximum_associations:
            return _TOO_MANY, "SIGHTLINE_LISTENER__MAXIMUM_ASSOCIATIONS are open."
        return None, ""

    def _closed(self, event: evt.Event) -> None:
        with self._lock:
            for caller in [caller for caller in self._callers.values() if caller.association is event.assoc]:
                caller.connection.close()
                del self._callers[caller.connection]
        if event.assoc.requestor.primitive is None:
            event.assoc.dul.to_user_queue.put(None)  # its thread would wait for a request till its time is over
        self._left()


class Entrance(ThreadedAssociationServer):  # type: ignore[misc]
    """One port. A TLS handshake is made in the caller's own thread, so that one who never ends it keeps nobody else waiting."""

    daemon_threads = True

    def __init__(
        self, entity: AE, address: tuple[str, int], door: Door, handlers: list[evt.EventHandlerType], tls: ssl.SSLContext | None
    ) -> None:
        """Take the port, with TLS or without; ``OSError`` where somebody has it."""
        self._door, self._tls = door, tls
        super().__init__(entity, address, entity.ae_title, entity.supported_contexts, None, [*door.handlers, *handlers])

    def open(self) -> None:
        """Begin to answer, in a thread of its own, until the entity is shut down."""
        self.ae._servers.append(self)  # as AE.start_server does, which knows no other class of servers
        Thread(target=self.serve_forever, name=f"entrance {self.server_address[1]}", daemon=True).start()

    def process_request(self, request: socket.socket, client_address: Any) -> None:
        """Let a connection wait, and go on in a thread of its own."""
        if self._tls:
            request = self._tls.wrap_socket(request, server_side=True, do_handshake_on_connect=False)
        self._door.knock(request, client_address)
        super().process_request(request, client_address)

    def process_request_thread(self, request: socket.socket, client_address: Any) -> None:
        """Make the handshake, if there is one, and begin to read."""
        request.settimeout(self._door.greeting_seconds)
        try:
            if isinstance(request, ssl.SSLSocket):
                request.do_handshake()
        except (OSError, ValueError) as error:
            _log.warning("TLS refused", address=client_address[0], reason=str(error))
            if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError):  # who says nothing only looks who is there
                self._door.refused_tls(client_address[0], error.reason)
            self._door.leave(request)
            return
        super().process_request_thread(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say that a connection broke before it was one; the server goes on."""
        _log.warning("connection broken", address=client_address[0])


def _fill(buffer: memoryview, connection: socket.socket, until: float) -> int:
    """Read until the buffer is full or the other side has closed; returns the number of bytes. ``OSError`` when that takes too long."""
    at = 0
    while at < len(buffer):
        connection.settimeout(max(until - time.monotonic(), 0.001))
        count = connection.recv_into(buffer[at:])
        if not count:
            break
        at += count
        # A sender without TCP_NODELAY holds its next piece back until this one is acknowledged, 40 ms for an instance.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    return at


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):  # Not SSLSocket's own: that one takes the TLS away under the thread that reads.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _plain(address: str) -> IPv4Address | IPv6Address:
    """The address, an IPv4 one also where it came in IPv6's clothes."""
    parsed = ip_address(address)
    return getattr(parsed, "ipv4_mapped", None) or parsed
