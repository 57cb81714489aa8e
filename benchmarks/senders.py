"""Senders of CT slices that cost next to nothing, so that it is the receiver that is measured.

Each is a process with one association. What it sends was encoded before: only the first PDU of a slice, with its UIDs, differs from
slice to slice. PDUs are as long as the receiver takes them, 128 KiB at most, which is DCMTK's limit.
"""

from __future__ import annotations

import multiprocessing
import secrets
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from time import perf_counter

import numpy as np
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ, A_RELEASE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification
from pynetdicom.presentation import build_context
from pynetdicom.transport import AddressInformation

SIDE = 512
_LONGEST_PDU = 131072
_CT_IMAGE = UID("1.2.840.10008.5.1.4.1.1.2")
_CONTEXT = 1
_WAIT_SECONDS = 120
_COMMAND_END, _DATA, _DATA_END = 3, 0, 2


@dataclass(frozen=True)
class Receiver:
    """Where a storage SCP listens, and what it is called."""

    port: int
    ae_title: str


class Senders:
    """So many sender processes, ready to send."""

    def __init__(self, pipes: Sequence[Connection]) -> None:
        self._pipes = pipes

    def send(self, receiver: Receiver, slices: int, associations: int, side: int = SIDE) -> float:
        """Send slices of ``side`` x ``side`` pixels of one new study over so many associations at once.

        Returns:
            The seconds from the first call to the last release.

        Raises:
            RuntimeError: a slice was not answered with success.
        """
        study_uid = _new_uid()
        pipes = self._pipes[:associations]
        for number, pipe in enumerate(pipes):
            share = slices // associations + (number < slices % associations)
            pipe.send((receiver, study_uid, share, side))
        for pipe in pipes:
            pipe.recv()  # it has encoded its share
        for pipe in pipes:
            pipe.send(None)
        times = [pipe.recv() for pipe in pipes]
        for each in times:
            if isinstance(each, str):
                raise RuntimeError(f"Not everything was taken by port {receiver.port}: {each}")
        return float(max(end for _, end in times) - min(begin for begin, _ in times))


@contextmanager
def senders(count: int) -> Iterator[Senders]:
    """Start so many sender processes; they end with the body."""
    spawn = multiprocessing.get_context("spawn")
    ends = [spawn.Pipe() for _ in range(count)]
    processes = [spawn.Process(target=_serve, args=(there,), daemon=True) for _, there in ends]
    for process in processes:
        process.start()
    try:
        yield Senders([here for here, _ in ends])
    finally:
        for process in processes:
            process.terminate()
            process.join(_WAIT_SECONDS)


def _serve(pipe: Connection) -> None:
    while True:
        receiver, study_uid, count, side = pipe.recv()
        instances = _Instances(side)
        with socket.create_connection(("127.0.0.1", receiver.port), _WAIT_SECONDS) as connection:
            longest = _associate(connection, receiver)
            _release(connection)
        messages = [instances.message(study_uid, longest) for _ in range(count)]
        pipe.send(None)
        pipe.recv()
        begin = perf_counter()
        try:
            with socket.create_connection(("127.0.0.1", receiver.port), _WAIT_SECONDS) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _associate(connection, receiver)
                for head, tail in messages:
                    connection.sendall(head)
                    connection.sendall(tail)
                    _expect_success(connection)
                _release(connection)
            pipe.send((begin, perf_counter()))
        except (OSError, ValueError) as error:
            pipe.send(str(error))


class _Instances:
    """CT slices that differ in their UIDs alone, with the header of a real one."""

    def __init__(self, side: int) -> None:
        sample = dcmread(str(get_testdata_file("CT_small.dcm")))
        self._study_uid, self._instance_uid = _new_uid(), _new_uid()
        sample.StudyInstanceUID, sample.SOPInstanceUID, sample.SeriesInstanceUID = self._study_uid, self._instance_uid, _new_uid()
        sample.Rows = sample.Columns = side
        sample.PixelData = np.random.default_rng(0).integers(0, 4096, (side, side), np.uint16).tobytes()
        if "DataSetTrailingPadding" in sample:
            del sample.DataSetTrailingPadding
        self._encoded: bytes = encode(sample, is_implicit_vr=False, is_little_endian=True) or b""
        self._tails: dict[int, bytes] = {}

    def message(self, study_uid: str, longest: int) -> tuple[bytes, bytes]:
        """One more slice as the PDUs that bring it: what is its own, and what it shares with the others."""
        uid = _new_uid()
        room = longest - 6
        first = self._encoded[:room].replace(self._study_uid.encode(), study_uid.encode())
        first = first.replace(self._instance_uid.encode(), uid.encode())
        if longest not in self._tails:
            pieces = [self._encoded[start : start + room] for start in range(room, len(self._encoded), room)]
            controls = [_DATA] * (len(pieces) - 1) + [_DATA_END]
            self._tails[longest] = b"".join(map(_data_pdu, pieces, controls))
        tail = self._tails[longest]
        return _data_pdu(_command(uid), _COMMAND_END) + _data_pdu(first, _DATA if tail else _DATA_END), tail


def _command(instance_uid: str) -> bytes:
    request = C_STORE()
    request.MessageID = 1
    request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = _CT_IMAGE, UID(instance_uid)
    request.Priority = 0
    message = C_STORE_RQ()
    message.primitive_to_message(request)
    message.command_set.CommandDataSetType = 1
    return encode(message.command_set, is_implicit_vr=True, is_little_endian=True) or b""


def _data_pdu(piece: bytes, control: int) -> bytes:
    """A P-DATA-TF PDU of one item (PS3.8 9.3.5)."""
    return struct.pack(">BBLLBB", 4, 0, len(piece) + 6, len(piece) + 2, _CONTEXT, control) + piece


def _associate(connection: socket.socket, receiver: Receiver) -> int:
    """Open an association; returns the longest PDU to send."""
    asked = A_ASSOCIATE()
    asked.application_context_name = UID("1.2.840.10008.3.1.1.1")
    asked.calling_ae_title, asked.called_ae_title = "BENCHMARK", receiver.ae_title
    asked.calling_presentation_address = asked.called_presentation_address = AddressInformation("127.0.0.1", receiver.port)
    context = build_context(_CT_IMAGE, ExplicitVRLittleEndian)
    context.context_id = _CONTEXT
    asked.presentation_context_definition_list = [context]
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = _LONGEST_PDU
    implementation.implementation_class_uid = UID("1.2.826.0.1.3680043.9.3811.3.0.4")
    asked.user_information = [length, implementation]
    request = A_ASSOCIATE_RQ()
    request.from_primitive(asked)
    connection.sendall(request.encode())
    kind, answer = _read(connection)
    if kind != 2:
        raise ValueError("It rejects the association.")
    accepted = A_ASSOCIATE_AC()
    accepted.decode(struct.pack(">BBL", kind, 0, len(answer)) + answer)
    if accepted.presentation_context[0].result != 0:
        raise ValueError("It takes no CT in explicit VR little endian.")
    return min(accepted.user_information.maximum_length or _LONGEST_PDU, _LONGEST_PDU)


def _release(connection: socket.socket) -> None:
    connection.sendall(A_RELEASE_RQ().encode())
    if _read(connection)[0] != 6:
        raise ValueError("It does not release the association.")


def _expect_success(connection: socket.socket) -> None:
    _, answer = _read(connection)
    at = answer.find(b"\0\0\0\x09\x02\0\0\0") + 8  # Status (0000,0900), two bytes long
    (status,) = struct.unpack_from("<H", answer, at)
    if at < 8 or status != 0:
        raise ValueError(f"It answered status 0x{status:04X}.")


def _read(connection: socket.socket) -> tuple[int, bytes]:
    """Read one PDU: its type, and what follows its length."""
    kind, _, length = struct.unpack(">BBL", _exactly(connection, 6))
    return kind, _exactly(connection, length)


def _exactly(connection: socket.socket, size: int) -> bytes:
    received = bytearray()
    while len(received) < size:
        piece = connection.recv(size - len(received))
        if not piece:
            raise ValueError("It hung up.")
        received += piece
    return bytes(received)


def _new_uid() -> str:
    """A UID (PS3.5 B.2) that is always of the same length."""
    return f"2.25.{10**38 + secrets.randbelow(10**38)}"
