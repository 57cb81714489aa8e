"""A real Orthanc for the tests: an empty archive on free ports, stopped and started at will."""

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from deploy import orthanc
from radiology.settings import ListenerSettings, PacsSettings, Settings, WatcherSettings


def free_port() -> int:
    """A TCP port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Orthanc:
    """An Orthanc process with its own folder; ``settings`` are Sightline's, pointing at it and at a free listener port.

    The quiet time in ``settings`` is short, so that tests do not wait. What is stored survives ``stop`` and ``start``.
    ``options`` of Orthanc's configuration take the place of ours; ``program`` starts it, if not its own program.
    """

    def __init__(self, folder: Path, program: Path | None = None, **options: object) -> None:
        http_port = free_port()
        url = f"http://127.0.0.1:{http_port}"
        self.settings = Settings(
            data_folder=folder,
            pacs=PacsSettings(dicomweb_url=f"{url}/dicom-web", orthanc_url=url, port=free_port(), timeout_seconds=20),
            listener=ListenerSettings(port=free_port(), minimum_free_bytes=1 << 20),
            watcher=WatcherSettings(poll_seconds=0.1, quiet_seconds=0.5),
        )
        self.url = url
        self._folder = folder
        self._program = program
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it and wait until it answers."""
        (self._folder / "orthanc").mkdir(parents=True, exist_ok=True)
        file = self._folder / "orthanc.json"
        file.write_text(json.dumps(orthanc.configuration(self.settings) | self._options))
        log = self._folder / "orthanc.log"
        self._process = subprocess.Popen(
            [self._program or orthanc.program(), f"--logfile={log}", str(file)],
            env={**os.environ, **orthanc.ENVIRONMENT},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                if httpx.get(f"{self.url}/system").status_code in (200, 401):
                    return self
            except httpx.HTTPError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"Orthanc did not start; its log: {log.read_text() if log.exists() else ''}") from None
                time.sleep(0.05)

    def stop(self) -> None:
        """Stop it and wait until its ports are free."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def empty(self) -> None:
        """Delete every study."""
        with httpx.Client(base_url=self.url) as client:
            for study in client.get("/studies").json():
                client.delete(f"/studies/{study}").raise_for_status()

    def lose_everything(self) -> None:
        """Remove a stopped archive's database, its log of changes included."""
        shutil.rmtree(self._folder / "orthanc")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
