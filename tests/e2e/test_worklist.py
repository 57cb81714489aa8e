"""The study list, and older studies beside the one that is read."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect
from pydicom.dataset import FileDataset

from connector.ledger import Ledger
from radiology.study import Study
from tests.e2e import chest
from tests.e2e.seat import Seat

pytestmark = pytest.mark.timeout(1000)  # a browser without a GPU, on a machine that may be busy


def test_the_study_list_says_what_the_assistant_did(seat: Seat, origin: str, ledger: Ledger, file_study: Callable[..., Study]) -> None:
    study, _ = (file_study(described(words)) for words in ("Waits", "Never sent"))
    job = ledger.arriving(study.study_uid, "CR CHEST, 2 images", "Coming.")
    seat.page.goto(origin, wait_until="commit")
    row, other = (seat.page.get_by_role("row").filter(has_text=words) for words in ("Waits", "Never sent"))
    expect(row).to_contain_text("Arriving")
    assert other.locator(".sightline-state").inner_text() == "", "it was never read, and that is no result"
    seat.picture("study-list")
    ledger.refuse(job.job_id, "Not a chest.")
    expect(row).to_contain_text("Not read")  # without another look at the page


def test_the_newest_prior_stands_beside(seat: Seat, file_study: Callable[..., Study]) -> None:
    prior = file_study(chest.radiographs(), chest.radiograph_report, patient_id="PRIOR-1")
    study = file_study(chest.radiographs(), chest.radiograph_report, patient_id="PRIOR-1")
    seat.open(study.study_uid)
    seat.await_boxes(["A nodule in the right upper lung."])
    seat.press("Shift+P")
    now, before = ({frame.uid for series in each.series for frame in series.frames} for each in (study, prior))
    seat.page.wait_for_function("window.seen.instances().length === 2 && window.seen.instances().every(Boolean)")
    left, right = seat.seen("instances")
    assert left in now
    assert right in before
    seat.picture("prior-beside")
    assert seat.page.get_by_text("Measurements cannot span").count() == 0, "the boxes are not the reader's"
    seat.press("Shift+P")
    seat.page.wait_for_function("window.seen.instances().length === 1")
    seat.assert_undisturbed()


def described(words: str) -> list[FileDataset]:
    """Radiographs of a study with this description."""
    images = chest.radiographs()
    for image in images:
        image.StudyDescription = words
    return images
