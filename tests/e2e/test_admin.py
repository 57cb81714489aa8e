"""The administrator's page: where a study is and why, and what is done about it."""

import re

import pytest
from playwright.sync_api import Browser, expect

from connector.ledger import Ledger, Outcome
from radiology.jobs import JobState, Priority
from tests.connector.waiting import until
from tests.e2e.seat import AXE, SCREENSHOTS

pytestmark = pytest.mark.timeout(300)  # a browser on a machine that may be busy
STUDY = "1.2.840.99.1"


def take_and_fail(ledger: Ledger, study_uid: str) -> None:
    job = ledger.queue(ledger.arriving(study_uid, "CT CHEST, 24 images", "24 images.").job_id, "d" * 64, "Quiet for 5 s.")
    ledger.take(job.job_id, "worker-1")
    ledger.finish(job.job_id, "worker-1", JobState.FAILED, "Slice 7 is missing; send it, then retry.", Outcome())


def test_an_administrator_sees_why_a_study_failed_and_has_it_read_again(browser: Browser, origin: str, ledger: Ledger) -> None:
    ledger.sources.sent_by(STUDY, "CT1")
    take_and_fail(ledger, STUDY)
    page = browser.new_page(viewport={"width": 1280, "height": 800}, locale="en-GB")
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(f"{origin}/admin")
    row = page.get_by_role("row").filter(has_text=STUDY)
    expect(row).to_contain_text("CT1")
    expect(row).to_contain_text("Slice 7 is missing")

    page.keyboard.press("Tab")  # nothing needs a mouse
    row.get_by_role("button", name=f"Retry study {STUDY}").press("Enter")
    expect(row).to_contain_text("queued")
    row.get_by_label(f"Priority of study {STUDY}").select_option("urgent")
    until(lambda: ledger.studies(study_uid=STUDY)[0].priority is Priority.URGENT)
    page.on("dialog", lambda dialog: dialog.accept("New weights come."))
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("New weights come.")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    expect(page.get_by_text("New weights come.")).to_be_hidden()

    job = ledger.studies(study_uid=STUDY)[0]
    for number in range(3):
        take_and_fail(ledger, f"1.2.840.99.2.{number}")
    ledger.take(job.job_id, "worker-1")
    ledger.progress(job.job_id, "worker-1", 0.25, "Slice 3 of 12")
    expect(row.get_by_role("progressbar")).to_have_attribute("value", "0.25")  # without another look at the page
    row.get_by_role("button", name=f"Steps of study {STUDY}").click()
    expect(page.get_by_text("Tried again on request")).to_be_visible()
    expect(page.get_by_text("Priority urgent, says")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^failed"))).to_have_text("failed 3")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / "admin.png")
    ledger.finish(job.job_id, "worker-1", JobState.DONE, "2 results stored.", Outcome(parts={"queue": 0.2, "model": 4.0}))
    expect(row.first).to_contain_text("done")
    expect(page.get_by_text("model 4.0 s").last).to_be_visible()

    page.get_by_role("button", name="Retry all failed").click()
    expect(page.get_by_role("button", name=re.compile("^failed"))).to_have_text("failed 0")
    for waiting in [each for number in range(3) for each in ledger.studies(study_uid=f"1.2.840.99.2.{number}")]:
        ledger.take(waiting.job_id, "worker-1")  # or a worker of another test would read it
        ledger.finish(waiting.job_id, "worker-1", JobState.DONE, "Nothing to store.", Outcome())

    page.evaluate(AXE.read_text())
    for part in ("Studies", "Health", "Rules", "Quarantine", "Audit trail"):
        page.get_by_role("link", name=part).click()
        expect(page.get_by_role("heading", name=part)).to_be_visible()
        found = page.evaluate("axe.run({ resultTypes: ['violations'] }).then(found => found.violations)")
        assert not found, (part, [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found])
    expect(page.get_by_role("row").filter(has_text=STUDY).filter(has_text="priority urgent")).to_be_visible()
    assert not errors, errors
    page.close()
