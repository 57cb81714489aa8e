"""What receives CT slices: Sightline's listener, Orthanc, DCMTK's storescp, a plain handler on pynetdicom, and one that forgets everything.

Each is a process or more of its own, started empty, and answers on a free port. All have TCP_NODELAY and take PDUs of 128 KiB.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from pynetdicom import AE, _config, evt
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ, A_RELEASE_RP

from benchmarks.senders import Receiver
from deploy.services import environment
from radiology.settings import ListenerSettings, LogSettings, PacsSettings, Settings
from tests.orthanc import Orthanc, free_port

_WAIT_SECONDS = 60
_PDU = 131072


@dataclass(frozen=True)
class Running:
    """A receiver: ``kept`` counts the instances that it has, ``forget`` removes them."""

    receiver: Receiver
    kept: Callable[[], int]
    forget: Callable[[], None]
    process: int = 0


@contextmanager
def sightline(folder: Path, pacs: PacsSettings | None = None, **chosen: int) -> Iterator[Running]:
    """Sightline's listener as a service, with these of its settings; without an archive it only collects."""
    settings = Settings(
        data_folder=folder,
        log=LogSettings(level="ERROR"),
        listener=ListenerSettings(port=free_port(), minimum_free_bytes=1 << 20, **chosen),
        pacs=pacs or PacsSettings(port=free_port()),
    )
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SIGHTLINE_")}
    waiting = folder / "spool" / "waiting"
    with _process([sys.executable, "-m", "connector", "listen"], {**ours, **environment(settings)}, settings.listener.port) as process:
        yield Running(Receiver(settings.listener.port, settings.listener.ae_title), *_in_files(waiting), process)


@contextmanager
def orthanc(folder: Path) -> Iterator[Running]:
    """Orthanc as Sightline configures it; it syncs every file (``SyncStorageArea``)."""
    with Orthanc(folder) as archive:

        def kept() -> int:
            return int(httpx.get(f"{archive.url}/statistics").json()["CountInstances"])

        yield Running(Receiver(archive.settings.pacs.port, archive.settings.pacs.ae_title), kept, archive.empty)


@contextmanager
def storescp(folder: Path) -> Iterator[Running]:
    """DCMTK's storescp, a process for each association, writing the bytes as they come; it syncs nothing."""
    folder.mkdir()
    port = free_port()
    options = ["--fork", "--bit-preserving", "--max-pdu", str(_PDU), "--output-directory", str(folder)]
    with _process(["/usr/bin/storescp", *options, str(port)], {**os.environ, "TCP_NODELAY": "1"}, port):
        yield Running(Receiver(port, "STORESCP"), *_in_files(folder))


@contextmanager
def plain_pynetdicom(folder: Path) -> Iterator[Running]:
    """One process on pynetdicom that writes the bytes as they come; it syncs nothing."""
    folder.mkdir()
    with _python(_plain_pynetdicom, folder) as port:
        yield Running(Receiver(port, "PLAIN"), *_in_files(folder))


@contextmanager
def nothing(folder: Path) -> Iterator[Running]:
    """A process for each association that answers success and keeps nothing: how fast the senders are."""
    with _python(_nothing, folder) as port:
        yield Running(Receiver(port, "NOTHING"), lambda: 0, lambda: None)


def _in_files(folder: Path) -> tuple[Callable[[], int], Callable[[], None]]:
    def kept() -> int:
        return sum(path.is_file() for path in folder.rglob("*"))

    def forget() -> None:
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    return kept, forget


@contextmanager
def _process(command: list[str], variables: dict[str, str], port: int) -> Iterator[int]:
    process = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL)
    try:
        _wait_for(port)
        yield process.pid
    finally:
        process.terminate()
        process.wait(_WAIT_SECONDS)


@contextmanager
def _python(receive: Callable[[int, Path], None], folder: Path) -> Iterator[int]:
    port = free_port()
    process = multiprocessing.get_context("spawn").Process(target=receive, args=(port, folder))
    process.start()
    try:
        _wait_for(port)
        yield port
    finally:
        process.terminate()
        process.join(_WAIT_SECONDS)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _plain_pynetdicom(port: int, folder: Path) -> None:
    _config.LOG_HANDLER_LEVEL = "none"

    def opened(event: evt.Event) -> None:
        event.assoc.dul.socket.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def store(event: evt.Event) -> int:
        (folder / f"{event.request.AffectedSOPInstanceUID}.dcm").write_bytes(event.encoded_dataset())
        return 0x0000

    entity = AE("PLAIN")
    entity.add_supported_context("1.2.840.10008.5.1.4.1.1.2")
    entity.maximum_pdu_size = _PDU
    entity.start_server(("127.0.0.1", port), evt_handlers=[(evt.EVT_CONN_OPEN, opened), (evt.EVT_C_STORE, store)])


def _nothing(port: int, folder: Path) -> None:
    with socket.create_server(("127.0.0.1", port)) as server:
        while True:
            connection, _ = server.accept()
            if os.fork() == 0:
                with suppress(ValueError, OSError):
                    _answer(connection)
                os._exit(0)
            connection.close()
            with suppress(ChildProcessError):
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass


def _answer(connection: socket.socket) -> None:
    """Accept everything, and answer every data set with a C-STORE-RSP of status 0 that names no instance (PS3.7 9.3.1.2)."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    fields = [(0x0002, b"1.2.840.10008.5.1.4.1.1.2\0"), (0x0100, b"\x01\x80"), (0x0120, b"\1\0"), (0x0800, b"\1\1"), (0x0900, b"\0\0")]
    command = b"".join(struct.pack("<HHL", 0, element, len(value)) + value for element, value in fields)
    command = struct.pack("<HHLL", 0, 0, 4, len(command)) + command
    success = struct.pack(">BBLLBB", 4, 0, len(command) + 6, len(command) + 2, 1, 3) + command
    buffer = bytearray(_PDU + 6)
    view = memoryview(buffer)
    while True:
        _fill(connection, view[:6])
        kind, _, length = struct.unpack_from(">BBL", buffer)
        _fill(connection, view[6 : 6 + length])
        if kind == 1:
            connection.sendall(_accepted(bytes(view[: 6 + length])))
        elif kind == 5:
            connection.sendall(A_RELEASE_RP().encode())
            return
        elif buffer[11] == 2:
            connection.sendall(success)


def _accepted(request: bytes) -> bytes:
    asked = A_ASSOCIATE_RQ()
    asked.decode(request)
    primitive = asked.to_primitive()
    for context in primitive.presentation_context_definition_list:
        context.result = 0
    primitive.presentation_context_definition_results_list = primitive.presentation_context_definition_list
    primitive.result = 0
    answer = A_ASSOCIATE_AC()
    answer.from_primitive(primitive)
    return bytes(answer.encode())


def _fill(connection: socket.socket, view: memoryview) -> None:
    if connection.recv_into(view, len(view), socket.MSG_WAITALL) < len(view):
        raise ValueError("It hung up.")
