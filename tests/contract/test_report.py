"""``report.json`` is what the API answers for a report that uses everything: the extension's tests read the same file.

Where this test fails because the API was changed on purpose, write the file anew and let the extension's tests judge it::

    python -m tests.contract.test_report
"""

from __future__ import annotations

import json
from pathlib import Path

import dicom_sr
from connector.schemas.reports import NOTICE, Look, ReportBody, StudyReport
from radiology.finding import Box
from radiology.jobs import JobState
from radiology.thinking import Look as Step
from tests.dicom_sr.reports import example_report, example_study

THINKING = (
    Step("The right lung is looked at first.", "2.25.2000", Box((0, 2, 3), (4, 30, 35))),
    Step("The whole series once more.", "2.25.2000"),
)
FILE = Path(__file__).parent / "report.json"


def answer() -> str:
    """The API's answer for the example report, after its way through SR and SEG."""
    study = example_study()
    (version,) = dicom_sr.history(dicom_sr.write(study, example_report(study)), study)
    body = StudyReport(
        study_uid=study.study_uid,
        notice=NOTICE,
        state=JobState.DONE,
        reason="Stored and found by query.",
        progress=None,
        report=ReportBody.of(version, study),
        thinking=[Look.of(step, study) for step in THINKING],
        taken_back=None,
    )
    return body.model_dump_json(indent=2) + "\n"


def test_the_api_says_what_the_extension_is_tested_with() -> None:
    assert json.loads(answer()) == json.loads(FILE.read_text())


if __name__ == "__main__":
    FILE.write_text(answer())
