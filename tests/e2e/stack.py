"""What a viewer needs around it, started and stopped: API with viewer and extension, worker, browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from deploy import ohif
from deploy.services import environment
from radiology.settings import ApiSettings, EngineSettings, Settings
from tests.connector.test_commands import answers
from tests.connector.waiting import until
from tests.orthanc import free_port

ROOT = Path(__file__).parents[2]

_SWITCHES = [
    "--no-sandbox",
    # WebGL in software, as there is no GPU; the page itself is drawn without it, which takes a seventh of the time.
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
    "--disable-gpu-compositing",
    # Nothing of its own over the network.
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def build_extension(folder: Path) -> None:
    """Build the extension as it is now into a folder."""
    extension = ROOT / "ohif-extension"
    assert (extension / "node_modules").is_dir(), "run: npm ci --prefix ohif-extension"
    subprocess.run(["npm", "run", "--silent", "build", "--", f"--outfile={folder / 'index.js'}"], cwd=extension, check=True)


@contextmanager
def served(settings: Settings, extension_folder: Path) -> Iterator[str]:
    """Serve the API and the viewer for an archive, as in production; gives their address."""
    port = free_port()
    api = ApiSettings(port=port, viewer_folder=ohif.install(ROOT / ohif.CACHE_FOLDER), extension_folder=extension_folder)
    origin = f"http://127.0.0.1:{port}"
    with _process(settings.model_copy(update={"api": api}), "connector", "serve") as process:
        until(lambda: answers(f"{origin}/api/v1/health") or process.poll() is not None, seconds=240)
        yield origin


@contextmanager
def working(settings: Settings) -> Iterator[None]:
    """Run a worker with the weights that come with Sightline, on one core."""
    with _process(settings.model_copy(update={"engine": EngineSettings(threads=1)}), "ai_engine.worker"):
        yield


@contextmanager
def _process(settings: Settings, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    with (settings.data_folder / f"{words[0]}.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", *words], env=_variables(settings), stdout=log, stderr=log)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(60)


def _variables(settings: Settings) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("SIGHTLINE_")}
    return {**ours, **environment(settings), "OMP_WAIT_POLICY": "PASSIVE"}


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert program, "Chromium is missing; run: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=_SWITCHES)
        yield browser
        browser.close()
