"""The services of one machine: what stands in their way is said, and nothing of them stays behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from deploy import orthanc, services
from deploy.services import ServiceError
from radiology.settings import ApiSettings, ListenerSettings, PacsSettings, Settings, WatcherSettings
from tests.connector.waiting import until
from tests.orthanc import free_port

ROOT = Path(__file__).parents[2]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Everything on free ports and in an empty folder."""
    url = f"http://127.0.0.1:{free_port()}"
    return Settings(
        data_folder=tmp_path / "data",
        pacs=PacsSettings(
            orthanc_url=url, dicomweb_url=f"{url}/dicom-web", port=free_port(), user="sightline", password="pass %(word) 100%"
        ),  # type: ignore[arg-type]
        listener=ListenerSettings(
            port=free_port(), minimum_free_bytes=1 << 20, callers={"DEMO": ["127.0.0.1"], "CT 1": ["10.1.0.0/16", "fd00::/8"]}
        ),
        watcher=WatcherSettings(quiet_seconds=0.5),
        api=ApiSettings(port=free_port(), extension_folder=tmp_path),
    )


def processes_of(data_folder: Path) -> list[str]:
    """The command lines of all processes that were started with this data folder."""
    mark = f"SIGHTLINE_DATA_FOLDER={data_folder.resolve()}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it ended meanwhile
            continue
    return found


def test_settings_reach_the_services_as_they_are(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in services.environment(settings).items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings.model_copy(update={"data_folder": settings.data_folder.resolve()})


@pytest.mark.parametrize(
    ("port_of", "variable"),
    [
        (lambda s: int(s.pacs.orthanc_url.rsplit(":", 1)[1]), "SIGHTLINE_PACS__ORTHANC_URL"),
        (lambda s: s.pacs.port, "SIGHTLINE_PACS__PORT"),
        (lambda s: s.listener.port, "SIGHTLINE_LISTENER__PORT"),
        (lambda s: s.api.port, "SIGHTLINE_API__PORT"),
    ],
)
def test_a_port_in_use_is_named_with_its_setting(settings: Settings, port_of, variable: str) -> None:  # type: ignore[no-untyped-def]
    with socket.socket() as other:
        other.bind(("127.0.0.1", port_of(settings)))
        other.listen()
        with pytest.raises(ServiceError, match=rf"Port {port_of(settings)} is in use: .*{variable}"), services.running(settings):
            pass
    assert not processes_of(settings.data_folder)


def test_a_missing_program_is_named_with_the_way_to_install_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orthanc, "_PLUGIN", Path("/nowhere/libOrthancDicomWeb.so"))
    with pytest.raises(ServiceError, match="apt-get install orthanc orthanc-dicomweb"), services.running(settings):
        pass


def test_a_data_folder_that_cannot_be_written_is_named(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where the folder should be")
    with pytest.raises(ServiceError, match="SIGHTLINE_DATA_FOLDER"), services.running(settings):
        pass


def test_a_service_that_does_not_start_is_named_with_the_end_of_its_log(settings: Settings) -> None:
    settings.data_folder.mkdir()
    (settings.data_folder / "orthanc").mkdir()
    (settings.data_folder / "orthanc" / "index").mkdir()  # where Orthanc wants its database file
    with pytest.raises(ServiceError, match=r"orthanc does not start(?s:.)*index"), services.running(settings):
        pass
    assert not processes_of(settings.data_folder)


def test_services_answer_while_they_run_and_are_gone_afterwards(settings: Settings) -> None:
    with services.running(settings):
        assert httpx.get(f"http://127.0.0.1:{settings.api.port}/api/v1/health").status_code == 200
        assert len(processes_of(settings.data_folder)) >= 6
        until(lambda: list((settings.data_folder / "alive").glob("watcher.*")))  # its sign of life
        stored = settings.data_folder / "orthanc.json"
        assert stored.stat().st_mode & 0o077 == 0
    assert not processes_of(settings.data_folder)
    services.refuse_taken_ports(settings)


def test_services_end_when_whoever_started_them_is_killed(settings: Settings) -> None:
    program = """
import time
from deploy import services
from radiology.settings import Settings
with services.running(Settings()):
    print("up", flush=True)
    time.sleep(600)
"""
    starter = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, env={**os.environ, **services.environment(settings)}, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    assert starter.stdout.readline() == "up\n"
    starter.send_signal(signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    deadline = time.monotonic() + 60
    while processes_of(settings.data_folder) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not processes_of(settings.data_folder)
