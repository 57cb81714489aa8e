"""Orthanc runs with our configuration, and answers what the other parts rely on."""

import httpx

from deploy import orthanc as deployed
from radiology.settings import PacsSettings, Settings
from tests.orthanc import Orthanc


def test_it_answers_over_dicomweb_and_keeps_a_log_of_changes(orthanc: Orthanc) -> None:
    assert httpx.get(f"{orthanc.settings.pacs.dicomweb_url}/studies").json() == []
    assert "Last" in httpx.get(f"{orthanc.url}/changes?last").json()


def test_a_password_in_the_settings_closes_the_archive() -> None:
    settings = Settings(pacs=PacsSettings(user="sightline", password="secret"))
    configuration = deployed.configuration(settings)
    assert configuration["AuthenticationEnabled"]
    assert configuration["RegisteredUsers"] == {"sightline": "secret"}
    assert not configuration["RemoteAccessAllowed"]
