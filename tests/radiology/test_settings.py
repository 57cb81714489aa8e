"""Settings come from the environment; a misspelt one is an error, not a silent default."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from radiology.settings import Settings


def test_a_section_is_set_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_LISTENER__PORT", "11113")
    monkeypatch.setenv("SIGHTLINE_WATCHER__MODALITIES", '["CR"]')
    settings = Settings()
    assert settings.listener.port == 11113
    assert settings.watcher.modalities == ["CR"]


@pytest.mark.parametrize("variable", ["SIGHTLINE_LISTENR__PORT", "SIGHTLINE_LISTENER__PROT"])
def test_a_misspelt_variable_is_an_error(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "1")
    with pytest.raises(ValidationError):
        Settings()


def test_the_ledger_is_in_the_data_folder_unless_it_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings(data_folder=tmp_path).ledger_url == f"sqlite:///{tmp_path}/ledger.sqlite"
    monkeypatch.setenv("SIGHTLINE_LEDGER__URL", "postgresql+psycopg://db/sightline")
    assert Settings().ledger_url == "postgresql+psycopg://db/sightline"


def test_a_password_is_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_PACS__PASSWORD", "open-sesame")
    assert "open-sesame" not in repr(Settings())
