"""What a reader sees when there is much, nothing, or nobody. Each leaves a picture in build/screenshots."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from playwright.sync_api import expect

from radiology.report import ModelIdentity, Report
from radiology.study import Study
from tests.e2e import chest
from tests.e2e.seat import Seat

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


def test_sixty_findings_and_forty_segments_stay_usable(seat: Seat, file_study: Callable[..., Study]) -> None:
    study = file_study(chest.ct_study(120, 128), lambda study: chest.crowded_report(study, 60, masks=40))
    findings = chest.crowded_report(study, 60, masks=40).findings
    seat.open(study.study_uid)
    seat.page.wait_for_function("window.seen.boxes().length === 60 && window.seen.segments().flat().length === 40")
    seat.sentence(findings[0].sentence).wait_for()
    seat.picture("sixty-findings")
    frames = study.series[0].frames
    for finding in (findings[59], findings[20], findings[41]):
        seat.sentence(finding.sentence).click()
        seat.await_instance(frames[finding.regions[0].key_slice].uid)
    seat.picture("sixty-findings-clicked")
    seat.assert_accessible()
    seat.assert_undisturbed()


def test_a_ct_of_six_hundred_slices_opens_at_its_finding(seat: Seat, file_study: Callable[..., Study]) -> None:
    study = file_study(chest.ct_study(600, 128), lambda study: chest.crowded_report(study, 3))
    findings = chest.crowded_report(study, 3).findings
    seat.open(study.study_uid)
    seat.page.wait_for_function("window.seen.boxes().length === 3 && window.seen.segments().flat().length === 3")
    seat.sentence(findings[2].sentence).click()
    seat.await_instance(study.series[0].frames[findings[2].regions[0].key_slice].uid)
    seat.picture("six-hundred-slices")
    seat.assert_undisturbed()


def test_a_server_that_goes_away_is_said_and_nothing_is_lost(seat: Seat, file_study: Callable[..., Study]) -> None:
    study = file_study(chest.ct_study(), chest.ct_report)
    seat.open(study.study_uid)
    seat.sign_in("Curie", "Marie", "Institut du Radium")
    seat.await_boxes(["A nodule in the right lung.", "A small pleural effusion on the left."])
    seat.page.route("**/api/**", lambda route: route.abort())
    seat.sentence("A nodule in the right lung.").click()
    seat.press("a")
    expect(seat.panel).to_contain_text("Not stored")
    expect(seat.panel).to_contain_text("No pneumothorax.")  # what was known stays on the screen
    seat.picture("server-gone")
    seat.page.unroute("**/api/**")
    seat.panel.get_by_role("button", name="Send again").click()
    expect(seat.sentence("A nodule in the right lung.")).to_contain_text("accepted")


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("nothing-found", {"withheld": (), "impression": "No abnormality."}, "No pneumothorax."),
        ("not-read", {"findings": (), "withheld": (), "impression": "", "failures": ("Cut short.",), "is_read": False}, "Cut short."),
        ("partly-read", {"failures": ("The second series could not be read.",)}, "The second series could not be read."),
    ],
)
def test_a_report_without_places_opens_without_a_complaint(
    name: str, change: dict[str, object], said: str, seat: Seat, file_study: Callable[..., Study]
) -> None:
    def report(study: Study) -> Report:
        whole = chest.ct_report(study)
        return replace(whole, **{"findings": whole.findings[2:], **change})  # type: ignore[arg-type]

    study = file_study(chest.ct_study(), report)
    seat.open(study.study_uid)
    expect(seat.panel).to_contain_text(said)
    seat.await_boxes([])
    seat.picture(name)
    seat.assert_undisturbed()


def test_of_the_results_of_two_versions_the_newer_ones_are_shown(seat: Seat, file_study: Callable[..., Study]) -> None:
    def newer(study: Study) -> Report:
        report = chest.ct_report(study, later=timedelta(days=1), impression="Read again.")
        return replace(report, model=ModelIdentity("Sightline small", "2", "cd" * 32), findings=report.findings[:1])

    study = file_study(chest.ct_study(), chest.ct_report, newer)
    seat.open(study.study_uid)
    seat.await_boxes(["A nodule in the right lung."])
    seat.await_segments(["Right nodule"])
    expect(seat.panel).to_contain_text("Read again.")
    expect(seat.panel).to_contain_text("Sightline small 2")
    seat.picture("another-version")
    seat.assert_undisturbed()
