"""One archive, one API and one browser for all the pages of the viewer."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from pydicom.dataset import FileDataset

import dicom_sr
from connector.pacs import Pacs
from deploy import ohif
from radiology.report import Report
from radiology.study import Study
from tests.connector.test_commands import answers, service
from tests.connector.waiting import until
from tests.e2e import chest
from tests.e2e.seat import ROOT, Seat
from tests.orthanc import Orthanc, free_port

SIZE = {"width": 1280, "height": 800}
PATIENCE_MS = 200_000
"""A browser without a GPU, on a machine that may be busy; it only ends a test that has failed."""

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


@pytest.fixture(scope="package")
def extension_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension as it is now, built."""
    extension, folder = ROOT / "ohif-extension", tmp_path_factory.mktemp("extension")
    assert (extension / "node_modules").is_dir(), "run: npm ci --prefix ohif-extension"
    subprocess.run(["npm", "run", "--silent", "build", "--", f"--outfile={folder / 'index.js'}"], cwd=extension, check=True)
    return folder


@pytest.fixture(scope="package")
def archive(start_orthanc: Callable[[], Orthanc]) -> Orthanc:
    """An archive for the viewer's studies."""
    return start_orthanc()


@pytest.fixture(scope="package")
def pacs(archive: Orthanc) -> Pacs:
    """The way to it."""
    return Pacs.connect(archive.settings.pacs)


@pytest.fixture(scope="package")
def origin(archive: Orthanc, extension_folder: Path) -> Iterator[str]:
    """Address of the API and the viewer, served as in production."""
    port = free_port()
    variables = {
        "SIGHTLINE_API__PORT": str(port),
        "SIGHTLINE_API__VIEWER_FOLDER": str(ohif.install(ROOT / ohif.CACHE_FOLDER)),
        "SIGHTLINE_API__EXTENSION_FOLDER": str(extension_folder),
    }
    with service("serve", archive.settings, **variables) as api:
        until(lambda: answers(f"http://127.0.0.1:{port}/api/v1/health") or api.poll() is not None, seconds=240)
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "Chromium is missing; run: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_SWITCHES)
        yield browser
        browser.close()


@pytest.fixture
def take_seat(browser: Browser, origin: str) -> Iterator[Callable[[], Seat]]:
    """A function that opens one more window, with cookies and storage of its own."""
    with ExitStack() as stack:

        def take() -> Seat:
            context = stack.enter_context(browser.new_context(viewport=SIZE, reduced_motion="reduce", locale="en-GB"))
            context.set_default_timeout(PATIENCE_MS)
            return Seat(context.new_page(), origin)

        yield take


@pytest.fixture
def seat(take_seat: Callable[[], Seat]) -> Seat:
    """One window."""
    return take_seat()


@pytest.fixture
def file_study(pacs: Pacs) -> Callable[..., Study]:
    """A function that puts images into the archive as a study of its own, with results where a report is made of it."""

    def file(images: Sequence[FileDataset], *reports: Callable[[Study], Report]) -> Study:
        images = chest.as_new_study(images)
        pacs.store(images)
        study = pacs.fetch(images[0].StudyInstanceUID)
        for report in reports:
            pacs.store(dicom_sr.write(study, report(study)))
        return study

    return file
