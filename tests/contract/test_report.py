"""``report.json`` is what the API answers for a report that uses everything: the extension's tests read the same file.

Where this test fails because the API was changed on purpose, write the file anew and let the extension's tests judge it::

    python -m tests.contract.test_report
"""

from __future__ import annotations

import json
from pathlib import Path

import dicom_sr
from connector.schemas.reports import ReportBody, StudyReport
from radiology.jobs import JobState
from tests.dicom_sr.reports import example_report, example_study

FILE = Path(__file__).parent / "report.json"


def answer() -> str:
    """The API's answer for the example report, after its way through SR and SEG."""
    study = example_study()
    (version,) = dicom_sr.history(dicom_sr.write(study, example_report(study)), study)
    body = StudyReport(
        study_uid=study.study_uid, state=JobState.DONE, reason="Stored and found by query.", report=ReportBody.of(version, study)
    )
    return body.model_dump_json(indent=2) + "\n"


def test_the_api_says_what_the_extension_is_tested_with() -> None:
    assert json.loads(answer()) == json.loads(FILE.read_text())


if __name__ == "__main__":
    FILE.write_text(answer())
