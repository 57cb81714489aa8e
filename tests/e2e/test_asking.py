"""A study is read while it is open, and the assistant answers questions about it: real worker, real weights."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import expect

import dicom_sr
from connector.ledger import Ledger
from connector.pacs import Pacs
from connector.queue import Queue
from deploy.recipes import RECIPES
from dicom_sr import Version
from radiology.finding import Region
from radiology.study import Study
from tests.connector.waiting import until
from tests.e2e import chest
from tests.e2e.seat import Seat
from tests.orthanc import Orthanc

pytestmark = pytest.mark.timeout(1000)  # a browser and a model on a machine that may be busy


@pytest.mark.usefixtures("worker")
def test_a_study_is_read_and_asked_about_while_it_is_open(
    seat: Seat, origin: str, archive: Orthanc, ledger: Ledger, pacs: Pacs, file_study: Callable[..., Study]
) -> None:
    images, _ = RECIPES["radiograph-real"].make(Path())
    study = file_study(images)
    seat.open(study.study_uid)
    expect(seat.panel).to_contain_text("not read by AI")
    seat.sign_in("Curie", "Marie", "Institut du Radium")

    job = ledger.arriving(study.study_uid, "CR CHEST, 1 image", "Coming.")
    ledger.queue(job.job_id, "digest", "Quiet.")
    Queue(archive.settings).send(job.job_id)
    expect(seat.panel.get_by_role("progressbar")).to_be_visible()
    seat.page.wait_for_function("window.seen.segments().flat().includes('Left lung')")  # without another look at the page
    first = current(pacs, study)
    (lung,) = next(finding for finding in first.report.findings if (finding.name, finding.side) == ("lung", "left")).regions
    seat.picture("film-read")

    seat.press("/")
    seat.page.keyboard.type("segment the left lung")
    seat.press("Enter")
    answer = seat.panel.get_by_role("status", name="Answer")
    expect(answer.get_by_role("button", name="Keep", exact=True)).to_be_visible()
    seat.picture("film-asked")
    seat.assert_accessible()
    answer.get_by_role("button", name="Keep", exact=True).click()
    form = seat.panel.get_by_role("form", name="Add a finding")
    form.get_by_label("Sentence").fill("The left lung, as asked for.")
    form.get_by_role("button", name="Save").click()
    (kept,) = until(lambda: added(current(pacs, study), first), 120)
    assert dice(kept, lung) > 0.8

    seat.panel.get_by_role("button", name="Point", exact=True).click()
    row, column = inside(lung)
    seat.page.mouse.click(*seat.point(row, column))
    seat.panel.get_by_role("button", name="What is this?").click()
    expect(answer).to_contain_text("What is this?")
    expect(answer.get_by_role("button", name="Keep", exact=True)).to_be_visible()
    seat.picture("film-what")

    log = httpx.get(f"{origin}/api/v1/studies/{study.study_uid}/questions").json()
    assert {each["asked"]["kind"] for each in log} == {"segment", "what"}
    for question in log:
        assert question["asked"]["person"]["name"] == "Curie^Marie"
        assert question["answer"]["model"] == {
            "name": first.report.model.name,
            "version": first.report.model.version,
            "weights_hash": first.report.model.weights_hash,
        }


@pytest.mark.slow
@pytest.mark.usefixtures("worker")
def test_what_is_boxed_on_a_ct_is_followed_through_its_slices_and_corrected_by_a_point(
    seat: Seat, origin: str, file_study: Callable[..., Study]
) -> None:
    study = file_study(chest.ct_study(), chest.ct_report)

    def log() -> list[dict[str, Any]]:
        return sorted(httpx.get(f"{origin}/api/v1/studies/{study.study_uid}/questions").json(), key=lambda each: each["question_id"])

    slices = [frame.uid for frame in study.series[0].frames]
    seat.open(study.study_uid)
    seat.sign_in("Curie", "Marie", "Institut du Radium")
    seat.await_instance(slices[15])
    answer = seat.ask_about_a_box(20, 16, 76, 40)
    expect(answer.get_by_role("button", name="Keep", exact=True)).to_be_visible()
    seat.picture("ct-boxed")
    seat.await_instance(slices[15])  # where it was asked
    first = log()[0]
    assert [first["asked"]["box"][edge] for edge in ("top", "left", "bottom", "right")] == pytest.approx([20, 16, 76, 40], abs=1)
    assert first["asked"]["slice"] == 15
    (place,) = first["answer"]["places"]
    assert place["start"][0] < 15 < place["stop"][0] - 1, "it is on the slices before and behind, too"

    answer.get_by_role("button", name="− Point").click()
    seat.page.mouse.click(*seat.point(30, 30))
    expect(seat.panel).to_contain_text("Asked before (1)")
    expect(answer.get_by_role("button", name="Keep", exact=True)).to_be_visible()
    seat.picture("ct-excluded")
    (point,) = log()[1]["asked"]["points"]
    assert (point["row"], point["column"]) == pytest.approx((30, 30), abs=1)
    assert not point["positive"]
    assert log()[1]["asked"]["follows"] == first["question_id"]
    assert log()[1]["answer"]["places"] != first["answer"]["places"]
    seat.assert_undisturbed()


def current(pacs: Pacs, study: Study) -> Version:
    """The report in force."""
    version = dicom_sr.current(pacs.results(study.study_uid), study)
    assert version is not None
    return version


def added(now: Version, before: Version) -> list[Region]:
    """The places of findings that the older version lacks."""
    known = {finding.number for finding in before.report.findings}
    return [region for finding in now.report.findings if finding.number not in known for region in finding.regions]


def whole(region: Region) -> np.ndarray:
    """The mask in a picture of 2000 x 2000 pixels."""
    assert region.mask is not None
    picture = np.zeros((1, 2000, 2000), bool)
    picture[region.box.slices] = region.mask
    return picture


def dice(left: Region, right: Region) -> float:
    """Overlap of two masks."""
    one, other = whole(left), whole(right)
    return 2 * float((one & other).sum()) / float(one.sum() + other.sum())


def inside(region: Region) -> tuple[float, float]:
    """Row and column in the middle of the mask's widest row."""
    mask = whole(region)[0]
    row = int(mask.sum(axis=1).argmax())
    return row + 0.5, float(np.flatnonzero(mask[row]).mean()) + 0.5
