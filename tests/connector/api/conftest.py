"""The API of an installation with an archive of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import dicom_sr
from connector.api import create_app
from connector.ledger import Ledger
from connector.pacs import Pacs
from radiology.settings import Settings
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


@pytest.fixture
def ct_in_archive(settings: Settings) -> str:
    """A CT study with the SR and SEG of its report; returns its UID."""
    pacs = Pacs.connect(settings.pacs)
    images = chest.ct_study()
    pacs.store(images)
    study = pacs.fetch(images[0].StudyInstanceUID)
    pacs.store(dicom_sr.write(study, chest.ct_report(study)))
    return study.study_uid
