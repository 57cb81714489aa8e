"""A reader opens a study in the unmodified OHIF, and the results are on the screen. Real archive, real API, real browser."""

import json
from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest
from playwright.sync_api import expect

import dicom_sr
from connector.pacs import Pacs
from connector.viewer import EXTENSION_URL, configuration
from deploy import ohif
from radiology.judgement import Observer, Reason, Rejection
from radiology.study import Study
from radiology.verdict import Accept, Decision, Reject
from tests.e2e import chest
from tests.e2e.seat import FLUID, NODULE, Seat
from tests.e2e.stack import ROOT

pytestmark = pytest.mark.timeout(1000)  # a browser without a GPU, on a machine that may be busy

NODULE_SENTENCE, FLUID_SENTENCE = "A nodule in the right lung.", "A small pleural effusion on the left."
FLUID_MM = (128.5, 118.5, 117.5), (176.5, 142.5, 137.5)
"""Where the CT's effusion is in the patient: x, y, z of its first and its last corner."""


def test_a_ct_opens_with_overlay_and_findings(seat: Seat, file_study: Callable[..., Study]) -> None:
    study = file_study(chest.ct_study(), chest.ct_report)
    slices = [frame.uid for frame in study.series[0].frames]
    seat.open(study.study_uid)
    seat.await_boxes([NODULE_SENTENCE, FLUID_SENTENCE])
    seat.await_segments(["Right nodule", "Left pleural effusion"])
    seat.await_instance(slices[15])  # the slice that shows most of the nodule
    picture = seat.picture("ct")
    assert picture.coloured(NODULE) > 1000
    # The middle slice of the nodule: rows 39 to 50, columns 25 to 36, in the mask and in the box around it.
    assert picture.filled(NODULE) == pytest.approx([39, 25, 50, 36], abs=2)
    assert np.ravel(seat.seen("rectangles")) == pytest.approx([39, 25, 50, 36], abs=2)
    for words in (
        "not verified",
        NODULE_SENTENCE,
        "No pneumothorax.",
        "The mask fills only a small part of its box.",
        "One sentence was withheld",
    ):
        expect(seat.panel).to_contain_text(words)

    seat.sentence(NODULE_SENTENCE).click()
    seat.await_instance(slices[15])
    seat.sentence(FLUID_SENTENCE).click()
    seat.await_instance(slices[4])
    seat.scroll(slices[14], -1)  # beside the nodule's box
    seat.page.mouse.click(*seat.point(44, 30))
    expect(seat.sentence(NODULE_SENTENCE)).to_have_attribute("aria-current", "true")
    seat.assert_accessible()

    seat.page.evaluate("window.commandsManager.runCommand('setHangingProtocol', { protocolId: 'mpr' })")
    seat.page.wait_for_function("window.seen.instances().length === 3 && window.seen.instances().some(Boolean)")
    seat.sentence(FLUID_SENTENCE).click()
    seat.page.wait_for_function("uid => window.seen.instances().includes(uid)", arg=slices[4])
    for pane, normal in zip(seat.pictures("ct-mpr"), (2, 0, 1), strict=True):
        least, greatest = np.split(np.asarray(pane.filled(FLUID)), 2)
        assert np.delete(least, normal) == pytest.approx(np.delete(FLUID_MM[0], normal), abs=6)
        assert np.delete(greatest, normal) == pytest.approx(np.delete(FLUID_MM[1], normal), abs=6)
        assert FLUID_MM[0][normal] < least[normal] < FLUID_MM[1][normal], "the cut goes through it"
    seat.assert_undisturbed()
    assert {method for method, _ in seat.requests} == {"GET"}, "looking changes nothing"


@pytest.mark.slow
def test_the_reading_is_played_the_pointer_lights_a_place_and_the_history_is_told(seat: Seat, file_study: Callable[..., Study]) -> None:
    study = file_study(chest.ct_study(), chest.ct_report)
    slices = [frame.uid for frame in study.series[0].frames]
    seat.open(study.study_uid)
    seat.await_instance(slices[15])
    seat.await_segments(["Right nodule", "Left pleural effusion"])

    seat.panel.get_by_role("button", name="Play", exact=True).click()
    player = seat.panel.get_by_role("region", name="The reading step by step")
    expect(player).to_contain_text(NODULE_SENTENCE)
    player.get_by_role("button", name="Next").click()
    expect(player).to_contain_text(FLUID_SENTENCE)
    seat.await_instance(slices[4])
    seat.picture("ct-played")
    player.get_by_role("button", name="Back").click()
    seat.await_instance(slices[15])
    seat.press("Escape")
    player.wait_for(state="detached")

    lit = seat.picture("ct-lit").coloured(NODULE)
    seat.sentence(FLUID_SENTENCE).hover()
    assert seat.picture("ct-hovered").coloured(NODULE) < 0.5 * lit, "the nodule is dimmed, and its slice stays"
    seat.await_instance(slices[15])
    seat.sentence(NODULE_SENTENCE).hover()
    assert seat.picture("ct-lit-again").coloured(NODULE) == pytest.approx(lit, rel=0.05)

    seat.panel.get_by_role("button", name="History", exact=True).click()
    expect(seat.panel.get_by_role("region", name="History")).to_contain_text("Version 1 (shown)")
    expect(seat.panel.get_by_role("region", name="History")).to_contain_text("Read by Sightline small 1")
    seat.assert_accessible()
    seat.assert_undisturbed()


def test_a_sentence_leads_to_the_series_that_shows_it(seat: Seat, file_study: Callable[..., Study]) -> None:
    study = file_study(chest.ct_study() + chest.second_series(chest.ct_study()), chest.two_series_report)
    nodule_slices, fluid_slices = ([frame.uid for frame in series.frames] for series in study.series)
    seat.open(study.study_uid)
    seat.await_boxes([NODULE_SENTENCE, FLUID_SENTENCE])
    seat.sentence(FLUID_SENTENCE).click()
    seat.await_instance(fluid_slices[4])
    picture = seat.picture("ct-second-series")
    assert picture.filled(FLUID) == pytest.approx([60, 60, 68, 76], abs=2)
    assert np.ravel(seat.seen("rectangles")) == pytest.approx([60, 60, 68, 76], abs=2)
    seat.sentence(NODULE_SENTENCE).click()
    seat.await_instance(nodule_slices[15])
    seat.await_segments(["Right nodule", "Left pleural effusion"])
    assert seat.picture("ct-first-series").filled(NODULE) == pytest.approx([39, 25, 50, 36], abs=2)
    seat.assert_undisturbed()


@pytest.mark.slow
def test_a_study_that_was_not_read_says_so(seat: Seat, file_study: Callable[..., Study]) -> None:
    study = file_study(chest.ct_study())
    seat.open(study.study_uid)
    expect(seat.panel).to_contain_text("not read by AI")
    assert seat.picture("ct-not-read").coloured(NODULE) == 0
    seat.errors = [error for error in seat.errors if "404" not in error]
    seat.assert_undisturbed()


def test_a_radiograph_of_two_views_opens_with_overlay_and_findings(seat: Seat, file_study: Callable[..., Study]) -> None:
    study = file_study(chest.radiographs(), chest.radiograph_report)
    seat.open(study.study_uid)
    seat.await_boxes(["A nodule in the right upper lung."])
    seat.await_segments(["Right nodule"])
    seat.await_instance(study.series[0].frames[0].uid)  # the view with the finding
    picture = seat.picture("radiograph")
    assert picture.coloured(NODULE) > 1000
    # The pixels are twice as high as wide: the box must stand around the mask all the same.
    (box,) = seat.seen("boxes")
    row, column = zip(*box["corners"], strict=True)
    assert (min(row), min(column), max(row), max(column)) == pytest.approx((78, 48, 103, 73), abs=1)
    assert np.ravel(seat.seen("rectangles")) == pytest.approx([78, 48, 103, 73], abs=2)
    assert picture.filled(NODULE) == pytest.approx([78, 48, 103, 73], abs=2)
    seat.assert_undisturbed()


def test_without_the_api_the_panel_says_so_and_the_overlay_is_there(seat: Seat, file_study: Callable[..., Study]) -> None:
    study = file_study(chest.radiographs(), chest.radiograph_report)
    seat.page.route("**/api/**", lambda route: route.abort())
    seat.open(study.study_uid)
    seat.await_boxes(["A nodule in the right upper lung."])
    seat.await_segments(["Right nodule"])
    expect(seat.panel).to_contain_text("No report can be shown now")
    assert seat.picture("without-api").coloured(NODULE) > 1000


@pytest.mark.slow
def test_what_is_rejected_is_gone_from_the_viewer(seat: Seat, pacs: Pacs, file_study: Callable[..., Study]) -> None:
    study = file_study(chest.ct_study(), chest.ct_report)
    version = dicom_sr.current(pacs.results(study.study_uid), study)
    assert version is not None
    reader, moment = Observer("Curie^Marie", "Institut du Radium"), version.moment + timedelta(hours=1)
    verdicts = (Reject(1, Reason.FALSE_POSITIVE), Accept(2), Accept(3))
    decision = Decision(version.document_uid, reader, moment, verdicts, is_signed=True)
    pacs.store(dicom_sr.revise(study, version.objects, decision))

    seat.open(study.study_uid)
    seat.await_boxes([FLUID_SENTENCE])
    seat.await_segments(["Left pleural effusion"])
    assert seat.picture("ct-rejected").coloured(NODULE) == 0
    expect(seat.panel).to_contain_text("Signed by")
    expect(seat.sentence(NODULE_SENTENCE)).to_have_count(0)

    why = Rejection(0, Reason.WRONG_PLACE, reader, moment + timedelta(hours=1))
    pacs.store([dicom_sr.reject(study, pacs.results(study.study_uid), why)])
    seat.open(study.study_uid)
    expect(seat.panel).to_contain_text("took it back")
    seat.await_boxes([])
    seat.await_segments([])
    seat.assert_undisturbed()


@pytest.mark.parametrize("mode", ["viewer", pytest.param("basic", marks=pytest.mark.slow)])
def test_one_line_in_ohifs_own_configuration_shows_the_results(seat: Seat, file_study: Callable[..., Study], mode: str) -> None:
    study = file_study(chest.ct_study(), chest.ct_report)
    own = (ohif.install(ROOT / ohif.CACHE_FOLDER) / "app-config.js").read_text()
    archive = json.dumps(configuration()["dataSources"])
    ours = f"window.config.extensions = ['{EXTENSION_URL}'];"
    script = f"{own}\nwindow.config.dataSources = {archive};\nwindow.config.defaultDataSourceName = 'archive';\n{ours}"
    seat.page.route("**/app-config.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
    seat.open(study.study_uid, mode)
    seat.await_boxes([NODULE_SENTENCE, FLUID_SENTENCE])
    seat.await_segments(["Right nodule", "Left pleural effusion"])
    seat.await_instance(study.series[0].frames[15].uid)
    if mode == "viewer":
        seat.page.get_by_role("button", name="Skip all").click()  # OHIF's tour
    seat.page.get_by_role("button", name="Confirm and hide").click()  # OHIF says that it is no medical product
    expect(seat.sentence(NODULE_SENTENCE)).to_be_visible()
    picture = seat.picture(f"plain-{mode}")
    assert seat.page.get_by_text("Track measurements for this series?").count() == 0, "the boxes are not the reader's"
    assert picture.filled(NODULE) == pytest.approx([39, 25, 50, 36], abs=2)
    assert np.ravel(seat.seen("rectangles")) == pytest.approx([39, 25, 50, 36], abs=2)
    seat.assert_undisturbed()
