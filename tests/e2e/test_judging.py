"""A radiologist decides on a report in the viewer; what the archive holds afterwards is what was decided."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

import dicom_sr
from connector.pacs import Pacs
from dicom_sr import Version
from radiology.judgement import Judgement
from radiology.settings import AccessSettings
from radiology.study import Study
from tests.connector.waiting import until
from tests.e2e import chest, stack
from tests.e2e.seat import NODULE, Seat
from tests.issuer import issuing
from tests.orthanc import Orthanc

pytestmark = pytest.mark.timeout(1000)  # a browser without a GPU, on a machine that may be busy

NODULE_SENTENCE, FLUID_SENTENCE, ABSENT_SENTENCE = (
    "A nodule in the right lung.",
    "A small pleural effusion on the left.",
    "No pneumothorax.",
)


@pytest.fixture
def ct(file_study: Callable[..., Study]) -> Study:
    """A CT that the assistant has read: a nodule, an effusion, no pneumothorax."""
    return file_study(chest.ct_study(), chest.ct_report)


@pytest.fixture
def stored(pacs: Pacs) -> Callable[[Study, int], Version]:
    """A function that waits until a version of the report is in the archive, and returns it."""

    def wait(study: Study, number: int) -> Version:
        def reached() -> list[Version]:
            version = dicom_sr.current(pacs.results(study.study_uid), study)
            return [version] if version and version.number >= number else []

        (version,) = until(reached, 120)
        return version

    return wait


def test_a_report_is_judged_signed_and_found_again(seat: Seat, ct: Study, stored: Callable[[Study, int], Version]) -> None:
    seat.open(ct.study_uid)
    seat.await_boxes([NODULE_SENTENCE, FLUID_SENTENCE])

    seat.sentence(FLUID_SENTENCE).click()
    seat.press("x", "1")
    seat.sign_in("Curie", "Marie", "Institut du Radium")  # asked once, and never again
    seat.await_boxes([NODULE_SENTENCE])  # without another look at the page
    seat.await_segments(["Right nodule"])
    expect(seat.panel.get_by_role("list").filter(has_text="false positive")).to_contain_text("Marie Curie")

    seat.press("u")
    seat.await_boxes([NODULE_SENTENCE, FLUID_SENTENCE])
    seat.sentence(FLUID_SENTENCE).click()
    seat.press("e")
    form = seat.panel.get_by_role("form", name="Edit")
    form.get_by_label("Sentence").fill("Some fluid in the left pleural space.")
    form.get_by_role("button", name="Save").click()
    seat.await_boxes([NODULE_SENTENCE, "Some fluid in the left pleural space."])
    assert stored(ct, 4).report.findings[1].sentence == "Some fluid in the left pleural space."

    for words in (NODULE_SENTENCE, ABSENT_SENTENCE):
        seat.sentence(words).click()
        seat.press("a")
        expect(seat.sentence(words)).to_contain_text("accepted")
    seat.press("Shift+S")
    seat.assert_accessible()
    seat.panel.get_by_role("button", name="Sign as Marie Curie").click()
    expect(seat.panel).to_contain_text("Signed by Marie Curie, Institut du Radium")
    signed = stored(ct, 7)
    assert signed.verified_by is not None
    assert signed.verified_by.name == "Curie^Marie"
    assert [finding.judged and finding.judged.judgement for finding in signed.report.findings] == [
        Judgement.ACCEPTED,
        Judgement.EDITED,
        Judgement.ACCEPTED,
    ]

    seat.open(ct.study_uid)
    seat.await_boxes([NODULE_SENTENCE, "Some fluid in the left pleural space."])
    seat.await_segments(["Right nodule", "Left pleural effusion"])
    expect(seat.panel).to_contain_text("Signed by Marie Curie, Institut du Radium")
    expect(seat.sentence("Some fluid")).to_contain_text("edited")
    seat.panel.get_by_role("button", name="Take back").click()
    seat.page.keyboard.press("2")
    expect(seat.panel).to_contain_text("took it back")
    seat.await_boxes([])
    seat.await_segments([])
    seat.assert_undisturbed()


def test_what_is_drawn_is_what_is_stored(seat: Seat, ct: Study, stored: Callable[[Study, int], Version]) -> None:
    seat.open(ct.study_uid)
    seat.sign_in("Curie", "Marie", "Institut du Radium")
    seat.await_boxes([NODULE_SENTENCE, FLUID_SENTENCE])
    before = stored(ct, 1).report.findings[0].regions[0]

    seat.sentence(NODULE_SENTENCE).click()
    seat.press("e")
    form = seat.panel.get_by_role("form", name="Edit")
    seat.assert_accessible()
    form.get_by_role("button", name="Eraser: Place 1").click()
    seat.drag((38, 36), (51, 36))
    form.get_by_label("Sentence").fill("A smaller nodule in the right lung.")
    seat.look_at_measurements_and_back()
    expect(form.get_by_label("Sentence")).to_have_value("A smaller nodule in the right lung.")
    form.get_by_role("button", name="Save").click()
    after = stored(ct, 2).report.findings[0].regions[0]
    assert before.mask is not None
    assert after.mask is not None
    assert 0 < after.mask.sum() < before.mask.sum()

    seat.press("n")
    form = seat.panel.get_by_role("form", name="Add a finding")
    form.get_by_label("Sentence").fill("A second nodule in the left lung.")
    seat.open(ct.study_uid)
    expect(form.get_by_label("Sentence")).to_have_value("A second nodule in the left lung.")
    seat.await_boxes(["A smaller nodule in the right lung.", FLUID_SENTENCE])
    seat.await_segments(["Right nodule", "Left pleural effusion"])
    form.get_by_label("Name").fill("nodule")
    form.get_by_label("Side").select_option("left")
    seat.assert_accessible()
    form.get_by_role("button", name="Box").click()
    seat.drag((30, 62), (44, 70))
    form.get_by_role("button", name="Save").click()
    added = stored(ct, 3).report.findings[-1]
    assert added.judged is not None
    assert added.judged.judgement is Judgement.ADDED
    (region,) = added.regions
    assert np.ravel((region.box.start, region.box.stop)) == pytest.approx([15, 30, 62, 16, 44, 70], abs=1)
    seat.await_boxes(["A smaller nodule in the right lung.", FLUID_SENTENCE, "A second nodule in the left lung."])
    assert "Added:" in seat.captions
    seat.picture("ct-drawn")
    seat.assert_undisturbed()


def test_of_two_readers_the_second_is_told_and_nothing_is_overwritten(
    take_seat: Callable[[], Seat], ct: Study, stored: Callable[[Study, int], Version]
) -> None:
    first, second = take_seat(), take_seat()
    second.page.route("**/events", lambda route: route.abort())  # as if both had pressed at once
    for seat, family, given in ((first, "Curie", "Marie"), (second, "Röntgen", "Wilhelm")):
        seat.open(ct.study_uid)
        seat.sign_in(family, given, "Institute")
        seat.await_boxes([NODULE_SENTENCE, FLUID_SENTENCE])

    first.sentence(NODULE_SENTENCE).click()
    first.press("x", "2")
    first.await_boxes([FLUID_SENTENCE])
    second.sentence(FLUID_SENTENCE).click()
    second.press("a")
    notice = second.panel.get_by_role("alert").filter(has_text="Marie Curie")
    expect(notice).to_contain_text("changed this report")
    second.picture("second-reader")
    second.assert_accessible()
    second.await_boxes([FLUID_SENTENCE])
    assert stored(ct, 2).number == 2

    notice.get_by_role("button", name="Send again").click()
    decided = stored(ct, 3).report.findings[0].judged
    assert decided is not None
    assert decided.observer.name == "Röntgen^Wilhelm"
    expect(first.sentence(FLUID_SENTENCE)).to_contain_text("accepted")  # the first hears of it without asking


def test_a_report_is_read_and_signed_without_a_mouse(seat: Seat, ct: Study, stored: Callable[[Study, int], Version]) -> None:
    seat.open(ct.study_uid)
    seat.sign_in("Curie", "Marie", "Institut du Radium")
    seat.await_boxes([NODULE_SENTENCE, FLUID_SENTENCE])
    assert seat.picture("ct-keys").coloured(NODULE) > 1000
    seat.press("o")
    assert seat.picture("ct-overlays-off").coloured(NODULE) == 0
    assert seat.seen("rectangles") == []
    seat.press("o")
    assert seat.picture("ct-overlays-on").coloured(NODULE) > 1000

    slices = [frame.uid for frame in ct.series[0].frames]
    seat.press("j")
    seat.await_instance(slices[4])  # an effusion is urgent, a nodule routine
    seat.press("a")  # one key for a verdict
    expect(seat.sentence(FLUID_SENTENCE)).to_contain_text("accepted")
    seat.press("j")
    seat.await_instance(slices[15])
    seat.press("x")
    seat.assert_accessible()
    seat.press("4")  # two for a rejection with its reason
    seat.await_boxes([FLUID_SENTENCE])
    seat.press("?")
    expect(seat.panel.get_by_role("region", name="Keyboard map")).to_contain_text("Sign the report")
    seat.assert_accessible()
    seat.press("Escape")
    seat.press("j", "a")
    expect(seat.sentence(ABSENT_SENTENCE)).to_contain_text("accepted")
    seat.press("Shift+S", "Enter")
    expect(seat.panel).to_contain_text("Signed by Marie Curie")
    assert stored(ct, 5).verified_by is not None
    seat.assert_undisturbed()


@pytest.mark.slow
def test_who_signs_in_judges_in_the_name_of_the_account_and_signs_in_again_in_another_tab(
    browser: Browser, archive: Orthanc, extension: Path, ct: Study, stored: Callable[[Study, int], Version]
) -> None:
    with issuing() as issuer, ExitStack() as open_:
        access = AccessSettings(issuer=issuer.url, organization="Institut du Radium")
        origin = open_.enter_context(stack.served(archive.settings.model_copy(update={"access": access}), extension))
        context = browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce", locale="en-GB")
        open_.callback(context.close)
        seat = Seat(context.new_page(), origin)
        seat.page.set_default_timeout(90_000)
        seat.open(ct.study_uid)
        expect(seat.panel.get_by_role("button", name="Marie Curie")).to_be_visible()
        seat.sentence(NODULE_SENTENCE).click()
        seat.press("a")
        decided = stored(ct, 2).report.findings[0].judged
        assert decided is not None
        assert (decided.observer.name, decided.observer.organization) == ("Curie^Marie", "Institut du Radium")

        context.clear_cookies()
        seat.sentence(FLUID_SENTENCE).click()
        seat.press("x", "2")
        expect(seat.panel).to_contain_text("Your session has ended. Nothing is lost")
        link = seat.panel.get_by_role("link", name="Sign in again")
        expect(link).to_be_visible()
        seat.assert_accessible()
        seat.picture("session-ended")
        with context.expect_page() as opened:
            link.click()
        opened.value.wait_for_url(f"{origin}/**")
        expect(link).to_have_count(0)
        seat.panel.get_by_role("button", name="Send again").click()
        seat.await_boxes([NODULE_SENTENCE])
        assert stored(ct, 3).number == 3
