"""The fast lane: C-STORE requests are read, kept and answered by the one thread that reads the connection.

pynetdicom hands every PDU through three queues to a second thread, and both look a thousand times a second whether there is something:
with eight senders that takes a core. In the lane the data sets of C-STORE requests are joined where they are read, the handler of
``EVT_C_STORE`` is called at once, and the second thread rests. Everything else (an echo, another service, a release, what is malformed)
is left to pynetdicom. Written against pynetdicom 3.0.4; it uses what that one has no public names for.
"""

from __future__ import annotations

import select
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from threading import Event
from typing import Any

from pydicom.uid import UID
from pynetdicom import evt
from pynetdicom.dimse_messages import DIMSEMessage
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.pdu_primitives import P_DATA

_LULL_SECONDS = 0.05
_HEADER, _ITEM = struct.Struct(">BxL"), struct.Struct(">LBB")  # of a PDU, and of a presentation data value (PS3.8 9.3)
_P_DATA_TF = 4
_COMMAND, _LAST = 1, 2  # bits of a message control header (PS3.8 E.2)
_ELEMENT = struct.Struct("<HHL")  # of a command set (PS3.7 6.3.1)
_C_STORE_RQ, _C_STORE_RSP, _NO_DATA_SET = b"\x01\x00", b"\x01\x80", b"\x01\x01"
_ESTABLISHED, _CLOSED, _INVALID = "Sta6", "Evt17", "Evt19"  # of the state machine (PS3.8 9.2)


class Lane:
    """The lane of one association; from the beginning, it takes the place of pynetdicom's reading.

    Args:
        association: pynetdicom's, as acceptor.
        check: sees whether so many bytes may come now.
        read: fills a buffer from the connection; returns how many bytes it got, fewer where the other side has closed.
            Both raise ``OSError`` to end the connection.
    """

    def __init__(self, association: Any, check: Callable[[int], None], read: Callable[[memoryview], int]) -> None:
        self._association, self._provider, self._messages = association, association.dul, association.dimse
        self._check, self._read = check, read
        self._buffer = bytearray()
        self._request: Any = None
        self._returned = b""
        self._store = association.get_handlers(evt.EVT_C_STORE)[0]
        self._second_thread = association._reactor_checkpoint = _Gate()
        self._read_as_usual = self._provider._read_pdu_data
        self._provider._read_pdu_data = self.carry
        self._provider.socket.recv = self._receive

    def carry(self) -> None:
        """Take what comes, until nothing comes for a moment or what comes is not for the lane."""
        if self._is_open:
            with self._second_thread.resting():
                try:
                    while self._takes_a_pdu():
                        self._send_what_waits()
                        if not (self._is_open and self._more_comes()):
                            return
                except OSError:
                    self._provider.event_queue.put(_CLOSED)
                    return
        self._read_as_usual()

    @property
    def _is_open(self) -> bool:
        """Whether data sets may come, and nothing else is to be done before."""
        return bool(
            self._association.is_established
            and self._provider.state_machine.current_state == _ESTABLISHED
            and self._provider.event_queue.empty()
            and self._messages.msg_queue.empty()
        )

    def _more_comes(self) -> bool:
        connection = self._provider.socket
        if connection.ready:
            return True
        try:
            return bool(select.select([connection.socket], [], [], _LULL_SECONDS)[0])
        except (ValueError, TypeError):  # it was closed
            return False

    def _takes_a_pdu(self) -> bool:
        """Read one PDU; where it is none with data its header is given back, for pynetdicom to go on with."""
        header = self._receive(_HEADER.size)
        kind, length = _HEADER.unpack(header) if len(header) == _HEADER.size else (0, 0)
        if kind != _P_DATA_TF:
            self._returned = bytes(header)
            return False
        self._check(length)
        if length > len(self._buffer):
            self._buffer = bytearray(length)
        values = memoryview(self._buffer)[:length]
        if self._read(values) < length:
            raise ConnectionAbortedError
        while values:
            size, context_id, control = _ITEM.unpack_from(values) if len(values) >= _ITEM.size else (0, 0, 0)
            if not 2 <= size <= len(values) - 4:
                self._provider.event_queue.put(_INVALID)
                break
            self._add(context_id, control, values[6 : 4 + size])
            values = values[4 + size :]
        return True

    def _add(self, context_id: int, control: int, fragment: memoryview) -> None:
        """Add a fragment to the message that is coming. One that is not a C-STORE request is made by pynetdicom, and left to it."""
        message = self._messages.message
        if message is None and control & (_COMMAND | _LAST) == _COMMAND | _LAST and context_id in self._association._accepted_cx:
            self._request = _c_store(fragment)
            if self._request is not None:
                self._request._context_id, self._messages.message = context_id, DIMSEMessage()
                return
        if message is not None and not control & _COMMAND:
            message.data_set.write(fragment)
            if not control & _LAST:
                return
            if self._request is not None:
                self._serve(message.data_set)
                return
            fragment = fragment[:0]
        self._request = None
        data = P_DATA()
        data.presentation_data_value_list = [[context_id, bytes([control]) + fragment]]
        self._messages.receive_primitive(data)

    def _serve(self, data_set: BytesIO) -> None:
        """Have an instance that has come kept, and answer for it."""
        request, self._request, self._messages.message = self._request, None, None
        request.DataSet = data_set
        context = self._association._accepted_cx[request._context_id].as_tuple
        status = self._store(evt.Event(self._association, evt.EVT_C_STORE, {"request": request, "context": context}))
        self._provider.socket.send(_answer(request, status))

    def _send_what_waits(self) -> None:
        while self._provider.event_queue.empty() and self._provider._process_recv_primitive():
            self._provider.state_machine.do_action(self._provider.event_queue.get())

    def _receive(self, size: int) -> bytearray:
        """Read for pynetdicom: the header that was given back, or so many bytes."""
        received, self._returned = bytearray(self._returned), b""
        if not received:
            self._check(size)
            received = bytearray(size)
            del received[self._read(memoryview(received)) :]
        return received


def _c_store(command: memoryview) -> C_STORE | None:
    """The C-STORE request of a command set (PS3.7 9.3.1.1); None where it is another command, or not quite right."""
    values, at = {}, 0
    while at <= len(command) - _ELEMENT.size:
        group, number, length = _ELEMENT.unpack_from(command, at)
        at += _ELEMENT.size + length
        values[group << 16 | number] = bytes(command[at - length : at])
    if at != len(command) or values.get(0x0100) != _C_STORE_RQ or values.get(0x0800, _NO_DATA_SET) == _NO_DATA_SET:
        return None
    request = C_STORE()
    try:
        request.AffectedSOPClassUID = _uid(values[0x0002])
        request.AffectedSOPInstanceUID = _uid(values[0x1000])
        (request.MessageID,) = struct.unpack("<H", values[0x0110])
    except (KeyError, ValueError, TypeError, struct.error):
        return None
    return request


def _uid(value: bytes) -> UID:
    return UID(value.rstrip(b"\0 ").decode("ascii"))


def _answer(request: Any, status: int) -> bytes:
    """A C-STORE-RSP (PS3.7 9.3.1.2) as a PDU: it is shorter than the shortest that anybody may ask for."""
    command = b"".join(
        (
            _element(0x0002, str(request.AffectedSOPClassUID).encode("ascii")),
            _element(0x0100, _C_STORE_RSP),
            _element(0x0120, struct.pack("<H", request.MessageID)),
            _element(0x0800, _NO_DATA_SET),
            _element(0x0900, struct.pack("<H", status)),
            _element(0x1000, str(request.AffectedSOPInstanceUID).encode("ascii")),
        )
    )
    command = _element(0x0000, struct.pack("<L", len(command))) + command
    value = _ITEM.pack(len(command) + 2, request._context_id, _COMMAND | _LAST) + command
    return _HEADER.pack(_P_DATA_TF, len(value)) + value


def _element(number: int, value: bytes) -> bytes:
    value += b"\0" * (len(value) % 2)
    return _ELEMENT.pack(0, number, len(value)) + value


class _Gate(Event):
    """Where pynetdicom lets an association's second thread wait; here it waits for the lane too."""

    def __init__(self) -> None:
        super().__init__()
        self.set()
        self._lane_is_empty = Event()
        self._lane_is_empty.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for both."""
        self._lane_is_empty.wait()
        return super().wait(timeout)

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Keep the thread here."""
        self._lane_is_empty.clear()
        try:
            yield
        finally:
            self._lane_is_empty.set()
