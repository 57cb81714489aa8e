"""The API of an installation with an archive of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from pydicom import Dataset

import dicom_sr
from connector.api import create_app
from connector.ledger import Ledger
from connector.pacs import Pacs
from radiology.settings import Settings
from radiology.study import Study
from tests.e2e import chest
from tests.orthanc import Orthanc


@pytest.fixture
def settings(orthanc: Orthanc, tmp_path: Path) -> Settings:
    return orthanc.settings.model_copy(update={"data_folder": tmp_path})


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    ledger = Ledger.open(settings)
    yield ledger
    ledger.close()


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings), base_url="http://127.0.0.1") as client:
        yield client


@pytest.fixture(scope="session")
def _ct_with_report() -> list[Dataset]:
    images = chest.ct_study()
    study = Study.from_instances(images)
    return [*images, *dicom_sr.write(study, chest.ct_report(study))]


@pytest.fixture
def ct_in_archive(settings: Settings, _ct_with_report: list[Dataset]) -> str:
    """A CT study with the SR and SEG of its report; returns its UID."""
    Pacs.connect(settings.pacs).store(_ct_with_report)
    return str(_ct_with_report[0].StudyInstanceUID)
