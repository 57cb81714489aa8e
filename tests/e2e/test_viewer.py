"""A reader opens a study in the unmodified OHIF, and the results are on the screen. Real archive, real API, real browser."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

import dicom_sr
from connector.pacs import Pacs
from deploy import ohif
from radiology.judgement import Observer, Reason, Rejection
from radiology.verdict import Accept, Decision, Reject
from tests.connector.test_commands import answers, service
from tests.connector.waiting import until
from tests.e2e import chest
from tests.orthanc import Orthanc, free_port

pytestmark = pytest.mark.timeout(2000)  # a browser without a GPU, on a machine that may be busy

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
EXTENSION = ROOT / "ohif-extension"


@pytest.fixture(scope="module")
def extension_folder() -> Path:
    """The extension as it is now, built."""
    assert (EXTENSION / "node_modules").is_dir(), "run: npm ci --prefix ohif-extension"
    subprocess.run(["npm", "run", "--silent", "build"], cwd=EXTENSION, check=True, capture_output=True)
    return EXTENSION / "dist"


@pytest.fixture(scope="module")
def archive(start_orthanc: Callable[[], Orthanc]) -> Orthanc:
    """An archive for this page's studies."""
    return start_orthanc()


@pytest.fixture(scope="module")
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


def look(url: str, name: str, measurements: int, segmentations: int) -> dict[str, Any]:
    """Open a page, keep a screenshot as build/screenshots/NAME.png, and return what a reader would see."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert chromium, "Chromium is missing; run: apt-get install chromium"
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    command = ["node", ROOT / "tests/e2e/look.mjs", url, SCREENSHOTS / f"{name}.png", str(measurements), str(segmentations)]
    run = subprocess.run(command, env={**os.environ, "CHROMIUM": chromium}, capture_output=True, text=True, timeout=900, check=False)
    assert run.returncode == 0, run.stderr
    facts: dict[str, Any] = json.loads(run.stdout)
    return facts


def _hued(name: str, facts: dict[str, Any], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Pixels of the image's viewport, (y, x), whose hue is that of a display colour, in a screenshot."""
    area = facts["area"]
    picture = Image.open(SCREENSHOTS / f"{name}.png").convert("RGB")
    picture = picture.crop(tuple(int(area[side]) for side in ("left", "top", "right", "bottom")))
    pixels = np.asarray(picture.convert("HSV"), int)
    hue = Image.new("RGB", (1, 1), colour).convert("HSV").getpixel((0, 0))[0]
    return np.asarray((np.abs(pixels[..., 0] - hue) < 8) & (pixels[..., 1] > 60) & (pixels[..., 2] > 80))


def coloured(name: str, facts: dict[str, Any], colour: tuple[int, int, int]) -> int:
    """Number of pixels of the viewport that have a display colour."""
    return int(_hued(name, facts, colour).sum())


def filled(name: str, facts: dict[str, Any], colour: tuple[int, int, int]) -> list[float]:
    """First row, first column, last row and last column of the image that a display colour fills; lines and letters are not filled."""
    surface = ndimage.binary_opening(_hued(name, facts, colour), np.ones((7, 7), bool))
    y, x = np.nonzero(surface)
    origin, right, down = (np.asarray(facts["canvas"][corner]) for corner in ("origin", "right", "down"))
    places = origin + np.outer(x + 0.5, right - origin) + np.outer(y + 0.5, down - origin)
    return [*places.min(axis=0), *places.max(axis=0)]


NODULE = (255, 221, 51)
"""The colour of radiology.terms for a nodule."""


def assert_undisturbed(facts: dict[str, Any]) -> None:
    """No error, no question, nothing asked of another host, nothing but GET."""
    assert facts["errors"] == []
    assert facts["dialogs"] == []
    hosts = {httpx.URL(request.split()[1]).host for request in facts["requests"] if request.split()[1].startswith("http")}
    assert hosts == {"127.0.0.1"}
    assert {request.split()[0] for request in facts["requests"]} == {"GET"}


def test_a_ct_opens_with_overlay_and_findings(origin: str, archive: Orthanc) -> None:
    pacs = Pacs.connect(archive.settings.pacs)
    images = chest.ct_study()
    pacs.store(images)
    study = pacs.fetch(images[0].StudyInstanceUID)
    address = f"{origin}/viewer?StudyInstanceUIDs={study.study_uid}"

    before = look(address, "ct-before", 0, 0)
    assert_undisturbed(before | {"errors": [error for error in before["errors"] if "404" not in error]})
    assert "not read by AI" in before["panel"]
    assert coloured("ct-before", before, NODULE) == 0

    pacs.store(dicom_sr.write(study, chest.ct_report(study)))
    facts = look(address, "ct", 2, 1)
    assert_undisturbed(facts)
    assert {each["label"] for each in facts["measurements"]} == {"A nodule in the right lung.", "A small pleural effusion on the left."}
    assert facts["segmentations"] == [["Right nodule", "Left pleural effusion"]]
    assert facts["instance_uid"] == "2.25.2000.1.16", "the slice that shows most of the nodule"
    assert coloured("ct", facts, NODULE) > 1000
    # The middle slice of the nodule: rows 39 to 50, columns 25 to 36, in the mask and in the box around it.
    assert filled("ct", facts, NODULE) == pytest.approx([39, 25, 50, 36], abs=2)
    assert np.ravel(facts["drawn"]) == pytest.approx([39, 25, 50, 36], abs=2)
    panel = facts["panel"]
    assert "not verified" in panel
    for text in (
        "A nodule in the right lung.",
        "No pneumothorax.",
        "The mask fills only a small part of its box.",
        "One sentence was withheld",
    ):
        assert text in panel
    assert [click["instance_uid"] for click in facts["clicks"]] == ["2.25.2000.1.16", "2.25.2000.1.5"], "each sentence leads to its slice"


def test_a_radiograph_of_two_views_opens_with_overlay_and_findings(origin: str, archive: Orthanc) -> None:
    pacs = Pacs.connect(archive.settings.pacs)
    images = chest.radiographs()
    pacs.store(images)
    study = pacs.fetch(images[0].StudyInstanceUID)
    pacs.store(dicom_sr.write(study, chest.radiograph_report(study)))

    facts = look(f"{origin}/viewer?StudyInstanceUIDs={study.study_uid}", "radiograph", 1, 1)
    assert_undisturbed(facts)
    assert [each["label"] for each in facts["measurements"]] == ["A nodule in the right upper lung."]
    assert facts["instance_uid"] == "2.25.3000.1.1", "the view with the finding"
    assert coloured("radiograph", facts, NODULE) > 1000
    # The pixels are twice as high as wide: the box must stand around the mask all the same.
    (box,) = facts["boxes"]
    row, column = zip(*box, strict=True)
    assert (min(row), min(column), max(row), max(column)) == pytest.approx((78, 48, 103, 73), abs=1)
    assert np.ravel(facts["drawn"]) == pytest.approx([78, 48, 103, 73], abs=2)
    assert filled("radiograph", facts, NODULE) == pytest.approx([78, 48, 103, 73], abs=2)


def test_without_the_api_the_panel_says_so_and_the_overlay_is_there(origin: str, archive: Orthanc) -> None:
    pacs = Pacs.connect(archive.settings.pacs)
    images = chest.radiographs()
    pacs.store(images)
    study = pacs.fetch(images[0].StudyInstanceUID)
    pacs.store(dicom_sr.write(study, chest.radiograph_report(study)))

    facts = look(f"{origin}/viewer?StudyInstanceUIDs={study.study_uid}#without-api", "without-api", 1, 1)
    assert "No report can be shown now" in facts["panel"]
    assert coloured("without-api", facts, NODULE) > 1000


def test_what_is_rejected_is_gone_from_the_viewer(origin: str, archive: Orthanc) -> None:
    pacs = Pacs.connect(archive.settings.pacs)
    images = chest.ct_study()
    pacs.store(images)
    study = pacs.fetch(images[0].StudyInstanceUID)
    pacs.store(dicom_sr.write(study, chest.ct_report(study)))
    address = f"{origin}/viewer?StudyInstanceUIDs={study.study_uid}"
    version = dicom_sr.current(pacs.results(study.study_uid), study)
    assert version is not None
    reader, moment = Observer("Curie^Marie", "Institut du Radium"), version.moment + timedelta(hours=1)
    verdicts = (Reject(1, Reason.FALSE_POSITIVE), Accept(2), Accept(3))
    decision = Decision(version.document_uid, reader, moment, verdicts, is_signed=True)
    pacs.store(dicom_sr.revise(study, version.objects, decision))

    facts = look(address, "ct-rejected", 1, 1)
    assert_undisturbed(facts)
    assert [each["label"] for each in facts["measurements"]] == ["A small pleural effusion on the left."]
    assert facts["segmentations"] == [["Left pleural effusion"]]
    assert coloured("ct-rejected", facts, NODULE) == 0
    assert "A nodule in the right lung." not in facts["panel"]
    assert "Signed by Curie^Marie" in facts["panel"]

    why = Rejection(0, Reason.WRONG_PLACE, reader, moment + timedelta(hours=1))
    pacs.store([dicom_sr.reject(study, pacs.results(study.study_uid), why)])
    facts = look(address, "ct-taken-back", 0, 0)
    assert_undisturbed(facts)
    assert "Curie^Marie took it back" in facts["panel"]
    assert (facts["measurements"], facts["segmentations"]) == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param({"withheld": (), "impression": "No abnormality."}, "No pneumothorax.", id="nothing found"),
        pytest.param(
            {"findings": (), "withheld": (), "impression": "", "failures": ("Cut short.",), "is_read": False}, "Cut short.", id="not read"
        ),
    ],
)
def test_a_report_without_places_opens_without_a_complaint(change: dict[str, Any], said: str, origin: str, archive: Orthanc) -> None:
    archive.empty()
    pacs = Pacs.connect(archive.settings.pacs)
    images = chest.ct_study()
    pacs.store(images)
    study = pacs.fetch(images[0].StudyInstanceUID)
    report = chest.ct_report(study)
    pacs.store(dicom_sr.write(study, replace(report, **{"findings": report.findings[2:], **change})))

    facts = look(f"{origin}/viewer?StudyInstanceUIDs={study.study_uid}", "ct-without-places", 0, 0)
    assert_undisturbed(facts)
    assert said in facts["panel"]
