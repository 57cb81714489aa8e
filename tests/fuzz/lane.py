"""What comes over a connection, from its first byte: an association asked for, and PDUs in one that was agreed on.

The first byte says which. Nothing else than our own door, lane and listener are asked: pynetdicom's threads do not run, so that an
input is a matter of milliseconds and every exception is seen.
"""

import socket
import struct
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, build_context, evt
from pynetdicom.association import Association
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.transport import AddressInformation, AssociationSocket

from connector.listener import Listener
from connector.spool import Spool
from radiology.settings import ListenerSettings
from tests.connector.samples import CR_IMAGE, radiograph
from tests.connector.test_lane import echo_pdu

_ESTABLISHED = 1
_ROUNDS = 64
_FOLDER = TemporaryDirectory()
_NOBODY = struct.pack("ii", 1, 0)  # closed without a word, so that the port is free at once


def seeds() -> Mapping[str, bytes]:
    """An instance in one piece and in pieces, an echo, a release, and a request for an association."""
    image = radiograph("1.2.3")
    return {
        "store": bytes([_ESTABLISHED]) + b"".join(_store_pdus(image, 16384)) + bytes.fromhex("05000000000400000000"),
        "pieces": bytes([_ESTABLISHED]) + b"".join(_store_pdus(image, 256)),
        "echo": bytes([_ESTABLISHED]) + echo_pdu(1),
    }


def _store_pdus(image: Dataset, longest: int) -> Iterator[bytes]:
    request, message, content = C_STORE(), C_STORE_RQ(), BytesIO()
    Dataset(image).save_as(content, implicit_vr=False, little_endian=True)
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
    request.MessageID, request.Priority = 1, 2
    request.DataSet = BytesIO(content.getvalue().removeprefix(bytes(128) + b"DICM"))
    message.primitive_to_message(request)
    for data in message.encode_msg(1, longest):
        values = b"".join(struct.pack(">LB", len(value) + 1, number) + value for number, value in data.presentation_data_value_list)
        yield struct.pack(">BxL", 4, len(values)) + values


@cache
def _listener() -> Listener:
    """A listener that is not listening, with a spool."""
    settings = ListenerSettings(minimum_free_bytes=1, greeting_seconds=1, idle_seconds=1)
    return Listener(settings, Spool(Path(_FOLDER.name)), lambda: None)


@cache
def _port() -> socket.socket:
    port = socket.create_server(("127.0.0.1", 0))
    port.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    return port


@contextmanager
def _connected(data: bytes) -> Iterator[tuple[socket.socket, Any]]:
    """A connection over which these bytes have come and no more will."""
    with socket.create_connection(_port().getsockname()) as caller:
        connection, address = _port().accept()
        caller.sendall(data)
        caller.shutdown(socket.SHUT_WR)
        with connection:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOBODY)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NOBODY)
            yield connection, address


def play(data: bytes) -> None:
    """Read all of it, as the thread of a connection does."""
    listener = _listener()
    with _connected(data[1:]) as (connection, address):
        listener._door.knock(connection, address)
        association = Association(AE(), "acceptor")
        association.bind(evt.EVT_C_STORE, lambda event: listener._receive(event)[0])  # its handler answers even what nobody foresaw
        association.set_socket(AssociationSocket(association, connection))
        association.requestor.address_info = AddressInformation.from_tuple(address)
        association.dul.event_queue.get()  # that somebody is there
        listener._door._opened(evt.Event(association, evt.EVT_CONN_OPEN, {}))
        if data[:1] == bytes([_ESTABLISHED]):
            context = build_context(CR_IMAGE, ExplicitVRLittleEndian)
            context.context_id = 1
            association._accepted_cx = {1: context}
            association.is_established = True
            association.dul.state_machine.current_state = "Sta6"
        for _ in range(_ROUNDS):
            try:
                association.dul._read_pdu_data()
            except Exception as error:
                if not _is_pynetdicoms_own(error):
                    raise
                break  # its reactor answers with A-ABORT
            if not association.dul.event_queue.empty():
                break
        listener._door.leave(connection)
    for kept in (*listener._spool.waiting(), *listener._spool.quarantine.files()):
        kept.unlink()
    assert not listener._door._callers


def _is_pynetdicoms_own(error: Exception) -> bool:
    """Whether it was raised where pynetdicom decodes a message."""
    return any(frame.name == "receive_primitive" for frame in traceback.extract_tb(error.__traceback__))
