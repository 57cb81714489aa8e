"""Who may not come in is told so; who only wants to do harm gets neither memory nor time, nor the places of those who send."""

import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from pydicom.uid import generate_uid
from pynetdicom.pdu_primitives import A_ASSOCIATE

from connector.listener import Listener
from connector.spool import Spool
from radiology.settings import ListenerSettings
from tests.connector.modality import associate, send
from tests.connector.samples import radiograph
from tests.connector.waiting import until
from tests.orthanc import free_port

ELSEWHERE = "127.0.0.2"
PROCESS = psutil.Process()

Listening = Callable[..., ListenerSettings]


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Listening]:
    """Starts a listener with the settings that are given, and returns all of them."""
    with ExitStack() as stack:

        def start(**chosen: Any) -> ListenerSettings:
            settings = ListenerSettings(**{"port": free_port(), "minimum_free_bytes": 1, **chosen})
            stack.enter_context(Listener(settings, Spool(tmp_path / "spool"), lambda: None))
            return settings

        yield start


def rejection(association: Any) -> tuple[int, int, int]:
    answer: A_ASSOCIATE = association.acceptor.primitive
    assert association.is_rejected
    return answer.result, answer.result_source, answer.diagnostic


@contextmanager
def connected(settings: ListenerSettings, source: str = ELSEWHERE) -> Iterator[socket.socket]:
    with socket.create_connection((settings.host, settings.port), timeout=30, source_address=(source, 0)) as connection:
        yield connection


def hung_up(connection: socket.socket) -> bool:
    """Wait until the other side closes; what it says before does not count."""
    with suppress(ConnectionResetError):
        while connection.recv(4096):
            pass
    return True


def hung_up_on_dripping(connection: socket.socket) -> bool:
    """Send a byte every tenth of a second; return whether the other side closes within half a minute."""
    connection.settimeout(0.1)
    for _ in range(300):
        try:
            connection.sendall(b"\0")
            if connection.recv(1) == b"":
                return True
        except TimeoutError:
            continue
        except ConnectionError:
            return True
    return False


def test_a_caller_is_known_by_title_and_address_together(listening: Listening) -> None:
    settings = listening(callers={"CT1": ["127.0.0.1"], "CT 2": ["127.0.0.2", "10.1.0.0/16"]})
    for title, source in (("CT1", "127.0.0.1"), ("CT 2", "127.0.0.2")):
        association = associate(settings, calling=title, source=source)
        assert association.is_established
        association.release()
    assert rejection(associate(settings, calling="STRANGER")) == (1, 1, 3)
    assert rejection(associate(settings, calling="CT1", source=ELSEWHERE)) == (1, 1, 3)
    assert rejection(associate(settings, calling="ct1")) == (1, 1, 3)
    assert rejection(associate(settings, calling="CT1", called="OTHER")) == (1, 1, 7)


def test_one_association_too_many_is_told_to_come_again(listening: Listening) -> None:
    settings = listening(maximum_associations=3, maximum_associations_per_address=2)
    held = [associate(settings, source=source) for source in ("127.0.0.1", "127.0.0.1", ELSEWHERE)]
    assert all(each.is_established for each in held)
    assert rejection(associate(settings, source="127.0.0.1")) == (2, 3, 2), "too many from one address"
    assert rejection(associate(settings, source="127.0.0.3")) == (2, 3, 2), "too many in all"
    for each in held:
        each.release()
    until(lambda: send(settings, radiograph(generate_uid())) == 0x0000)


@pytest.mark.parametrize("kind", [1, 4, 7], ids=["A-ASSOCIATE-RQ", "P-DATA-TF", "A-ABORT"])
def test_four_gigabytes_announced_are_no_memory(listening: Listening, kind: int) -> None:
    settings = listening()
    before = PROCESS.memory_info().rss
    with connected(settings) as hostile, suppress(ConnectionError):
        hostile.sendall(struct.pack(">BBL", kind, 0, 0xFFFFFFF0))
        piece = bytes(1 << 20)
        for _ in range(300):
            hostile.sendall(piece)
    assert PROCESS.memory_info().rss - before < 64 << 20
    assert send(settings, radiograph(generate_uid())) == 0x0000


def test_an_instance_without_end_is_cut_off(listening: Listening) -> None:
    settings = listening(maximum_instance_bytes=4 << 20)
    image = radiograph(generate_uid())
    image.PixelData = bytes(64 << 20)
    association = associate(settings, (image.SOPClassUID, image.file_meta.TransferSyntaxUID))
    assert "Status" not in association.send_c_store(image)
    assert send(settings, radiograph(generate_uid())) == 0x0000


def test_those_who_ask_for_nothing_take_no_place_of_those_who_send(listening: Listening) -> None:
    settings = listening(maximum_associations=4, maximum_associations_per_address=4, greeting_seconds=30)
    with ExitStack() as stack:
        silent = [stack.enter_context(connected(settings)) for _ in range(40)]
        held = [associate(settings) for _ in range(4)]
        assert all(each.is_established for each in held)
        assert all(hung_up(each) for each in silent[:36]), "the room is small, and the oldest go first"
        for each in held:
            each.release()


@pytest.mark.parametrize("said", [b"", b"\x01", struct.pack(">BBL", 1, 0, 200) + bytes(100)], ids=["nothing", "a byte", "half a PDU"])
def test_who_does_not_ask_for_an_association_is_hung_up_on(listening: Listening, said: bytes) -> None:
    settings = listening(greeting_seconds=1)
    with connected(settings) as slow:
        slow.sendall(said)
        assert hung_up(slow)


def test_a_byte_now_and_then_gains_no_time(listening: Listening) -> None:
    settings = listening(greeting_seconds=1)
    with connected(settings) as slow:
        slow.sendall(struct.pack(">BBL", 1, 0, 100_000))
        assert hung_up_on_dripping(slow)


def test_an_association_that_stops_in_the_middle_of_a_pdu_is_ended(listening: Listening) -> None:
    settings = listening(idle_seconds=1)
    association = associate(settings)
    association.dul.socket.socket.sendall(struct.pack(">BBL", 4, 0, 1000) + bytes(10))
    until(lambda: not association.is_established, seconds=30)
    assert send(settings, radiograph(generate_uid())) == 0x0000


def test_a_command_without_end_ends_the_association(listening: Listening) -> None:
    settings = listening()
    image = radiograph(generate_uid())
    association = associate(settings, (image.SOPClassUID, image.file_meta.TransferSyntaxUID))
    context = association.accepted_contexts[0].context_id
    unfinished = bytes.fromhex("000000000200")  # a piece of a command set, never the last
    value = bytes([context, 1]) + unfinished * 1000
    pdv = struct.pack(">L", len(value)) + value
    with suppress(OSError):
        for _ in range(1000):
            association.dul.socket.socket.sendall(struct.pack(">BBL", 4, 0, len(pdv)) + pdv)
    until(lambda: not association.is_established, seconds=30)
    assert send(settings, radiograph(generate_uid())) == 0x0000


def test_connections_that_come_and_go_leave_nothing_open(listening: Listening) -> None:
    settings = listening()
    send(settings, radiograph(generate_uid()))
    before = PROCESS.num_fds()
    for _ in range(40):
        with connected(settings) as brief:
            brief.sendall(b"\x01")
    until(lambda: PROCESS.num_fds() <= before + 5)
