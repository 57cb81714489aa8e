"""The listener's process stays within its bounds: however many instances came, and however much comes at once."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from pydicom.uid import generate_uid

from benchmarks import receivers
from benchmarks.senders import senders
from radiology.settings import ListenerSettings
from tests.connector.modality import send
from tests.connector.samples import radiograph
from tests.connector.waiting import until
from tests.orthanc import Orthanc

MIB = 1 << 20


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("few", "many", "associations"), [(100, 300, 2), pytest.param(1000, 10_000, 4, marks=pytest.mark.slow)])
def test_memory_and_descriptors_do_not_grow_with_what_comes(
    orthanc: Orthanc, tmp_path: Path, few: int, many: int, associations: int
) -> None:
    with receivers.sightline(tmp_path / "sightline", orthanc.settings.pacs) as listener, senders(associations) as group:
        process = psutil.Process(listener.process)
        used = []
        for count in (few, many - few):
            group.send(listener.receiver, count, associations, side=64)
            until(lambda: listener.kept() == 0, seconds=600)
            until(lambda: process.num_threads() < 8)
            used.append((peak_memory(listener.process) / MIB, process.num_fds()))
    (peak_few, open_few), (peak_many, open_many) = used
    print(f"after {few} and {many}: {peak_few:.0f} and {peak_many:.0f} MiB at most, {open_few} and {open_many} descriptors")
    assert peak_many - peak_few < 32
    assert open_many <= open_few + 4


def peak_memory(process_id: int) -> int:
    """The most bytes that a process ever had in memory."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) * 1024


def test_what_does_not_fit_into_its_memory_is_refused_and_the_rest_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pynetdicom._config.STORE_SEND_CHUNKED_DATASET", True)
    large = radiograph(generate_uid())
    large.PixelData = bytes(120 * MIB)
    large.save_as(tmp_path / "large.dcm", enforce_file_format=True)

    def send_large(settings: ListenerSettings) -> int:
        with suppress(AttributeError):  # the association ended before there was a status
            return send(settings, tmp_path / "large.dcm")
        return -1

    with receivers.sightline(tmp_path / "sightline", maximum_memory_bytes=256 * MIB) as listener:
        settings = ListenerSettings(port=listener.receiver.port)
        with ThreadPoolExecutor() as pool:
            answers = list(pool.map(send_large, [settings] * 4))
        assert set(answers) - {0x0000} <= {0xA700, -1}
        assert len(set(answers) - {0x0000}) > 0
        assert send(settings, radiograph(generate_uid())) == 0x0000
        assert peak_memory(listener.process) < 320 * MIB
