"""Whoever is turned away at the DICOM door leaves an entry in the audit trail, and a flood of them leaves a few."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydicom.uid import generate_uid

from connector.alarms import Alarms
from connector.audit import Entry, Event
from connector.ledger import Ledger
from connector.listener import Listener
from connector.spool import Spool
from radiology.settings import ListenerSettings, Settings
from tests.connector.certificates import Authority
from tests.connector.modality import associate, send
from tests.connector.samples import radiograph
from tests.connector.waiting import until
from tests.orthanc import free_port

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(Settings(data_folder=tmp_path))
    yield ledger
    ledger.close()


def entries(alarms: Alarms, ledger: Ledger, now: datetime = NOW) -> list[Entry]:
    alarms.write(ledger.audit, now)
    return list(ledger.audit.entries())


def test_a_flood_is_an_entry_and_later_another_with_its_count(ledger: Ledger) -> None:
    alarms = Alarms()
    for _ in range(1000):
        alarms.sound("It calls somebody else.", "10.0.0.7", who="CT1")
    assert [entry.detail for entry in entries(alarms, ledger)] == ["It calls somebody else."]
    assert len(entries(alarms, ledger, NOW + timedelta(minutes=9))) == 1
    assert entries(alarms, ledger, NOW + timedelta(minutes=10))[1].detail == "It calls somebody else. Again, 999 times."
    assert len(entries(alarms, ledger, NOW + timedelta(hours=9))) == 2, "and then there is silence"
    alarms.sound("It calls somebody else.", "10.0.0.7")
    assert len(entries(alarms, ledger, NOW + timedelta(hours=9))) == 3


def test_a_flood_from_ever_new_addresses_is_no_memory_and_few_entries(ledger: Ledger) -> None:
    alarms = Alarms()
    for number in range(5000):
        alarms.sound("It calls somebody else.", f"10.0.{number >> 8}.{number & 255}")
    written = entries(alarms, ledger)
    assert len(written) == 257
    assert written[-1].address == "many addresses"


def test_a_stranger_and_a_false_uid_are_entries_that_name_who_and_where(ledger: Ledger, tmp_path: Path) -> None:
    settings = ListenerSettings(port=free_port(), minimum_free_bytes=1, callers={"MODALITY": ["127.0.0.1"]})
    image = radiograph(str(generate_uid()))
    with Listener(settings, Spool(tmp_path / "spool"), lambda: None) as listener:
        assert associate(settings, calling="STRANGER").is_rejected
        assert send(settings, image) == 0x0000
        image.InstanceNumber = 77
        assert send(settings, image) == 0x0000
        stranger, false = entries(listener.alarms, ledger)
    assert (stranger.event, stranger.who, stranger.address, stranger.is_success) == (Event.TURNED_AWAY, "STRANGER", "127.0.0.1", False)
    assert "SIGHTLINE_LISTENER__CALLERS" in stranger.detail
    assert (false.who, false.study_uid) == ("MODALITY", image.StudyInstanceUID)
    assert "quarantine" in false.detail


def test_a_caller_without_our_certificates_is_an_entry_and_one_that_only_knocks_is_none(ledger: Ledger, tmp_path: Path) -> None:
    port = free_port()
    ours = Authority(tmp_path, "hospital").certify("listener").model_dump()
    settings = ListenerSettings(port=free_port(), tls_port=port, minimum_free_bytes=1, **ours)
    with Listener(settings, Spool(tmp_path / "spool"), lambda: None) as listener:
        socket.create_connection(("127.0.0.1", port)).close()
        with socket.create_connection(("127.0.0.1", port)) as plain:
            plain.sendall(b"\x01\x00\x00\x00\x00\x10" + bytes(16))
            until(lambda: entries(listener.alarms, ledger))
    assert [entry.detail for entry in ledger.audit.entries()] == ["No TLS association: WRONG_VERSION_NUMBER."]
