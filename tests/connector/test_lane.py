"""Senders that are not as tidy as most: each is served, or its association ends; the others' go on."""

import struct
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid
from pynetdicom.dimse_messages import C_ECHO_RQ
from pynetdicom.dimse_primitives import C_ECHO

from connector.listener import Listener
from connector.spool import Spool
from radiology.settings import ListenerSettings
from tests.connector.modality import associate, send
from tests.connector.samples import CT_IMAGE, ct_series, radiograph
from tests.connector.waiting import until
from tests.orthanc import free_port

ECHO = "1.2.840.10008.1.1"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@pytest.fixture
def settings(spool: Spool) -> Iterator[ListenerSettings]:
    settings = ListenerSettings(port=free_port(), minimum_free_bytes=1)
    with Listener(settings, spool, lambda: None):
        yield settings


def test_echoes_and_instances_take_turns_on_one_association(settings: ListenerSettings, spool: Spool) -> None:
    association = associate(settings, (CT_IMAGE, EXPLICIT), (ECHO, IMPLICIT))
    for image in ct_series(generate_uid(), 3):
        assert association.send_c_store(image).Status == 0x0000
        assert association.send_c_echo().Status == 0x0000
    association.release()
    assert association.is_released
    assert len(spool.waiting()) == 3


@pytest.mark.parametrize("longest", [128, 4096], ids=["a command in pieces", "a data set in pieces"])
def test_short_pdus_bring_the_same(spool: Spool, longest: int) -> None:
    settings = ListenerSettings(port=free_port(), minimum_free_bytes=1, maximum_pdu_bytes=longest)
    (image,) = ct_series(generate_uid(), 1)
    image.PixelData, image.Rows, image.Columns = bytes(range(256)) * 128, 128, 128
    with Listener(settings, spool, lambda: None):
        assert send(settings, image) == 0x0000
    (kept,) = spool.waiting()
    assert dcmread(kept).PixelData == image.PixelData


def test_an_instance_of_a_context_that_was_not_agreed_on_ends_the_association(settings: ListenerSettings, spool: Spool) -> None:
    (image,) = ct_series(generate_uid(), 1)
    association = associate(settings, (CT_IMAGE, EXPLICIT))
    (context,) = association._accepted_cx.values()
    context.context_id = 77
    association._accepted_cx = {77: context}
    association.send_c_store(image)
    until(lambda: not association.is_established)
    assert spool.waiting() == []
    assert send(settings, radiograph(generate_uid())) == 0x0000


@pytest.mark.parametrize("length", [0, 1, 0xFFFFFFF0], ids=["no header", "half a header", "more than there is"])
def test_a_value_with_a_wrong_length_ends_the_association(settings: ListenerSettings, length: int) -> None:
    association = associate(settings, (CT_IMAGE, EXPLICIT))
    value = struct.pack(">LBB", length, 1, 3) + bytes(10)
    association.dul.socket.socket.sendall(struct.pack(">BBL", 4, 0, len(value)) + value)
    until(lambda: not association.is_established, seconds=30)
    assert send(settings, radiograph(generate_uid())) == 0x0000


def test_who_does_not_wait_for_an_answer_loses_nothing(settings: ListenerSettings, spool: Spool) -> None:
    (image,) = ct_series(generate_uid(), 1)
    association = associate(settings, (CT_IMAGE, EXPLICIT), (ECHO, IMPLICIT))
    echo = echo_pdu(next(each.context_id for each in association.accepted_contexts if each.abstract_syntax == ECHO))
    association._reactor_checkpoint.clear()  # its answers are read below
    association.dul.socket.socket.sendall(echo)
    assert association.send_c_store(image) is not None
    until(lambda: len(spool.waiting()) == 1)
    association.abort()


def echo_pdu(context_id: int) -> bytes:
    request = C_ECHO()
    request.MessageID = 9
    message = C_ECHO_RQ()
    message.primitive_to_message(request)
    (data,) = message.encode_msg(context_id, 16384)
    ((_, value),) = data.presentation_data_value_list
    return struct.pack(">BBLLB", 4, 0, len(value) + 5, len(value) + 1, context_id) + bytes(value)


def test_a_listener_that_stops_ends_an_association_in_the_middle_of_sending(spool: Spool) -> None:
    settings = ListenerSettings(port=free_port(), minimum_free_bytes=1)
    slices = ct_series(generate_uid(), 400)
    statuses: list[Any] = []
    with Listener(settings, spool, lambda: None):
        association = associate(settings, (CT_IMAGE, EXPLICIT))
        association.dimse_timeout = 3  # so long it waits for an answer that does not come

        def send_on() -> None:
            for image in slices:
                if not association.is_established or None in statuses:
                    return
                statuses.append(association.send_c_store(image).get("Status"))

        sender = Thread(target=send_on)
        sender.start()
        until(lambda: len(statuses) > 5)
    sender.join(30)
    assert not sender.is_alive()
    kept = {path.stem for path in spool.waiting()}
    assert {image.SOPInstanceUID for image, status in zip(slices, statuses, strict=False) if status == 0} <= kept
