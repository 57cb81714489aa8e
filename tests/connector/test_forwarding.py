"""What the listener said is safe reaches the archive: now, when it comes back, or after the listener was killed."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from threading import Thread

import httpx
import pytest
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import DeflatedExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt

from connector.forwarding import Forwarder
from connector.ledger import Ledger
from connector.listener import Listener
from connector.pacs import Pacs
from connector.spool import Spool
from radiology.settings import Settings
from tests.connector.modality import associate, data_set, send, send_all
from tests.connector.samples import CT_IMAGE, ct_series, radiograph
from tests.connector.waiting import until
from tests.orthanc import Orthanc, free_port

RUN = """
import sys
from connector.listener import run
from radiology.settings import Settings
run(Settings.model_validate_json(sys.argv[1]))
"""


@pytest.fixture(autouse=True)
def _files_are_sent_as_their_bytes_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pynetdicom._config.STORE_SEND_CHUNKED_DATASET", True)


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


@contextmanager
def forwarding(settings: Settings, spool: Spool) -> Iterator[Listener]:
    """Listener and forwarder, as ``run`` puts them together, without the ledger."""
    with Forwarder(settings, spool) as forwarder, Listener(settings.listener, spool, forwarder.wake) as listener:
        yield listener


@contextmanager
def listener_process(settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", RUN, settings.model_dump_json()])
    try:
        until(lambda: listens(settings), seconds=120)
        yield process
    finally:
        process.kill()
        process.wait()


def listens(settings: Settings) -> bool:
    with suppress(ConnectionRefusedError), socket.create_connection((settings.listener.host, settings.listener.port)):
        return True
    return False


@contextmanager
def archive(settings: Settings, answer: Callable[[evt.Event], int]) -> Iterator[None]:
    """An archive that takes known classes only, and answers as it is told to."""
    entity = AE(settings.pacs.ae_title)
    for context in AllStoragePresentationContexts:
        entity.add_supported_context(context.abstract_syntax, ALL_TRANSFER_SYNTAXES)
    server = entity.start_server((settings.pacs.host, settings.pacs.port), block=False, evt_handlers=[(evt.EVT_C_STORE, answer)])
    try:
        yield
    finally:
        server.shutdown()


def elsewhere(settings: Settings) -> Settings:
    """The same settings with another archive's DICOM port."""
    return settings.model_copy(update={"pacs": settings.pacs.model_copy(update={"port": free_port()})})


FILES = [
    "CT_small.dcm",
    "ExplVR_BigEnd.dcm",
    "SC_rgb_jpeg_dcmtk.dcm",
    "JPEG2000.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "SC_rgb_rle.dcm",
    "test-SR.dcm",
]


def test_the_archive_gets_the_bytes_that_were_sent(orthanc: Orthanc, spool: Spool) -> None:
    settings = elsewhere(orthanc.settings)
    sources = [Path(str(get_testdata_file(file))) for file in FILES]
    received: dict[str, bytes] = {}

    def receive(event: evt.Event) -> int:
        received[event.request.AffectedSOPInstanceUID] = event.request.DataSet.getvalue()
        return 0x0000

    with archive(settings, receive), forwarding(settings, spool):
        assert [send(settings.listener, source) for source in sources] == [0x0000] * len(sources)
        until(lambda: not spool.waiting())
    assert spool.refused() == []
    assert received == {dcmread(source).SOPInstanceUID: data_set(source) for source in sources}


def test_orthanc_takes_every_transfer_syntax(orthanc: Orthanc, spool: Spool, tmp_path: Path) -> None:
    deflated = radiograph(generate_uid())
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    deflated.save_as(tmp_path / "deflated.dcm", enforce_file_format=True)
    sources = [tmp_path / "deflated.dcm", *(Path(str(get_testdata_file(file))) for file in FILES)]
    with forwarding(orthanc.settings, spool):
        assert [send(orthanc.settings.listener, source) for source in sources] == [0x0000] * len(sources)
        until(lambda: not spool.waiting())
    assert spool.refused() == []
    for source in sources:
        sent = dcmread(source)
        found = httpx.post(f"{orthanc.url}/tools/lookup", content=sent.SOPInstanceUID).json()
        stored = dcmread(BytesIO(httpx.get(f"{orthanc.url}{found[0]['Path']}/file").content))
        assert stored.file_meta.TransferSyntaxUID == sent.file_meta.TransferSyntaxUID
        assert stored.get("PixelData") == sent.get("PixelData")


def test_an_archive_that_is_down_gets_it_when_it_is_back(start_orthanc: Callable[[], Orthanc], spool: Spool) -> None:
    orthanc = start_orthanc()
    orthanc.stop()
    slices = ct_series(generate_uid(), 4)
    with forwarding(orthanc.settings, spool):
        assert send_all(orthanc.settings.listener, slices) == [0x0000] * 4
        assert len(spool.waiting()) == 4
        orthanc.start()
        until(lambda: not spool.waiting())
    assert Pacs.connect(orthanc.settings.pacs).count(slices[0].StudyInstanceUID) == 4


def test_sending_again_makes_nothing_new(orthanc: Orthanc, spool: Spool) -> None:
    slices = ct_series(generate_uid(), 3)
    with forwarding(orthanc.settings, spool):
        for _ in range(2):
            assert send_all(orthanc.settings.listener, slices) == [0x0000] * 3
            until(lambda: not spool.waiting())
    assert Pacs.connect(orthanc.settings.pacs).count(slices[0].StudyInstanceUID) == 3


def test_what_the_archive_will_not_take_is_set_aside_and_holds_nothing_up(orthanc: Orthanc, spool: Spool) -> None:
    settings = elsewhere(orthanc.settings)
    bad, good = radiograph(generate_uid()), ct_series(generate_uid(), 2)
    with (
        archive(settings, lambda event: 0xC000 if event.request.AffectedSOPInstanceUID == bad.SOPInstanceUID else 0x0000),
        forwarding(settings, spool),
    ):
        assert send_all(settings.listener, [bad, *good]) == [0x0000] * 3
        until(lambda: not spool.waiting())
    assert [path.stem for path in spool.refused()] == [bad.SOPInstanceUID]
    spool.readmit()
    assert [path.stem for path in spool.waiting()] == [bad.SOPInstanceUID]


def test_a_file_on_which_the_archive_hangs_up_is_set_aside_in_the_end(orthanc: Orthanc, spool: Spool) -> None:
    settings = elsewhere(orthanc.settings)
    poison, good = ct_series(generate_uid(), 2)

    def hang_up_on_poison(event: evt.Event) -> int:
        if event.request.AffectedSOPInstanceUID == poison.SOPInstanceUID:
            event.assoc.abort()
        return 0x0000

    with archive(settings, hang_up_on_poison), forwarding(settings, spool):
        assert send_all(settings.listener, [poison, good]) == [0x0000] * 2
        until(lambda: not spool.waiting())
    assert [path.stem for path in spool.refused()] == [poison.SOPInstanceUID]


def test_an_archive_without_room_is_asked_again(orthanc: Orthanc, spool: Spool) -> None:
    settings = elsewhere(orthanc.settings)
    answers = iter([0xA700])
    image = radiograph(generate_uid())
    with archive(settings, lambda event: next(answers, 0x0000)), forwarding(settings, spool):
        assert send(settings.listener, image) == 0x0000
        until(lambda: not spool.waiting())
    assert spool.refused() == []
    assert next(answers, None) is None


def test_a_killed_listener_loses_nothing_that_it_acknowledged(orthanc: Orthanc, tmp_path: Path) -> None:
    settings = orthanc.settings.model_copy(update={"data_folder": tmp_path, "pacs": elsewhere(orthanc.settings).pacs})
    slices = ct_series(generate_uid(), 400)
    statuses: list[int] = []
    with listener_process(settings) as process:
        sender = Thread(target=lambda: statuses.extend(send_all(settings.listener, slices)))
        sender.start()
        until(lambda: len(list((tmp_path / "spool" / "waiting").rglob("*.dcm"))) > 20)
        process.send_signal(signal.SIGKILL)
        sender.join()
    acknowledged = {each.SOPInstanceUID for each in slices[: len(statuses)]}
    assert 0 < len(acknowledged) < 400
    kept = list((tmp_path / "spool" / "waiting").rglob("*.dcm"))
    assert acknowledged <= {path.stem for path in kept}
    sent = {each.SOPInstanceUID: each.PixelData for each in slices}
    assert all(dcmread(path).PixelData == sent[path.stem] for path in kept)
    with listener_process(settings.model_copy(update={"pacs": orthanc.settings.pacs})):
        until(lambda: not list((tmp_path / "spool" / "waiting").rglob("*.dcm")))
    assert Pacs.connect(orthanc.settings.pacs).stored(slices) >= acknowledged
    assert not list((tmp_path / "spool" / "incoming").iterdir())


def test_a_study_of_which_nothing_waits_leaves_no_folder(orthanc: Orthanc, spool: Spool, tmp_path: Path) -> None:
    done, going_on = (tmp_path / "spool" / "waiting" / uid for uid in ("1.2.3", "1.2.4"))
    for folder in (done, going_on):
        folder.mkdir()
    os.utime(done, (0, 0))
    with Forwarder(orthanc.settings, spool):
        until(lambda: not done.exists())
    assert going_on.exists(), "its next instance is on its way"


def test_the_ledger_hears_which_studies_are_on_their_way(orthanc: Orthanc, tmp_path: Path) -> None:
    settings = orthanc.settings.model_copy(update={"data_folder": tmp_path})
    (image,) = ct_series(generate_uid(), 1)
    ledger = Ledger.open(settings)
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    with listener_process(settings):
        association = associate(settings.listener, (CT_IMAGE, image.file_meta.TransferSyntaxUID), calling="CT1")
        association.send_c_store(image)
        until(lambda: "CT1" in ledger.sources.open_associations(image.StudyInstanceUID, long_ago))
        association.release()
        until(lambda: ledger.sources.open_associations(image.StudyInstanceUID, long_ago) == [])
    ledger.close()
