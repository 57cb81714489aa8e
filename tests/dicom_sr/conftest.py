"""The synthetic study, a report on it, and the objects written from them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset

import dicom_sr
from radiology.report import Report
from radiology.study import Study
from tests.dicom_sr.outside import save
from tests.dicom_sr.reports import example_report, example_study


@pytest.fixture(scope="session")
def study() -> Study:
    return example_study()


@pytest.fixture(scope="session")
def report(study: Study) -> Report:
    return example_report(study)


@pytest.fixture(scope="session")
def objects(study: Study, report: Report) -> list[Dataset]:
    return dicom_sr.write(study, report)


@pytest.fixture(scope="session")
def files(objects: list[Dataset], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The SR, then the SEGs."""
    return save(objects, tmp_path_factory.mktemp("results"))
