"""One archive, one API and one browser for all the pages of the viewer."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from pydicom.dataset import FileDataset

import dicom_sr
from connector.ledger import Ledger
from connector.pacs import Pacs
from radiology.report import Report
from radiology.study import Study
from tests.e2e import chest, stack
from tests.e2e.seat import Seat
from tests.orthanc import Orthanc

PATIENCE_MS = 90_000
"""A browser without a GPU, on a machine that may be busy; it only ends a test that has failed."""


@pytest.fixture(scope="package")
def archive(start_orthanc: Callable[[], Orthanc]) -> Orthanc:
    """An archive for the viewer's studies."""
    return start_orthanc()


@pytest.fixture(scope="package")
def pacs(archive: Orthanc) -> Pacs:
    """The way to it."""
    return Pacs.connect(archive.settings.pacs)


@pytest.fixture
def ledger(archive: Orthanc) -> Iterator[Ledger]:
    """What the API and the worker know of the work."""
    ledger = Ledger.open(archive.settings)
    yield ledger
    ledger.close()


@pytest.fixture(scope="package")
def extension(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the extension as it is now."""
    folder = tmp_path_factory.mktemp("extension")
    stack.build_extension(folder)
    return folder


@pytest.fixture(scope="package")
def origin(archive: Orthanc, extension: Path) -> Iterator[str]:
    """Address of the API and the viewer."""
    with stack.served(archive.settings, extension) as origin:
        yield origin


@pytest.fixture(scope="package")
def worker(archive: Orthanc) -> Iterator[None]:
    """A worker with the weights that come with Sightline."""
    with stack.working(archive.settings):
        yield


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """A real one."""
    expect.set_options(timeout=PATIENCE_MS)
    with stack.chromium() as browser:
        yield browser


@pytest.fixture
def take_seat(browser: Browser, origin: str) -> Iterator[Callable[[], Seat]]:
    """A function that opens one more window, with cookies and storage of its own."""
    with ExitStack() as windows:

        def take() -> Seat:
            context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce", locale="en-GB")
            windows.callback(context.close)
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

    def file(images: Sequence[FileDataset], *reports: Callable[[Study], Report], patient_id: str | None = None) -> Study:
        images = chest.as_new_study(images, patient_id)
        pacs.store(images)
        study = pacs.fetch(images[0].StudyInstanceUID)
        for report in reports:
            pacs.store(dicom_sr.write(study, report(study)))
        return study

    return file
