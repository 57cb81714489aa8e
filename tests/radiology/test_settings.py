"""Settings come from the environment; a misspelt one is an error, not a silent default."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from radiology.errors import SightlineError
from radiology.settings import LedgerSettings, QueueSettings, Settings


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


def test_a_secret_is_read_from_its_file_and_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_SECRETS_FOLDER", str(tmp_path))
    monkeypatch.setenv("SIGHTLINE_PACS__USER", "sightline")
    (tmp_path / "sightline_pacs__password").write_text("from the file\n")
    (tmp_path / "of-another-service").write_text("not ours")
    settings = Settings()
    assert (settings.pacs.user, settings.pacs.password.get_secret_value()) == ("sightline", "from the file")
    monkeypatch.setenv("SIGHTLINE_PACS__PASSWORD", "from the environment")
    assert Settings().pacs.password.get_secret_value() == "from the environment"


def test_a_missing_secret_is_named_with_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_SECRETS_FOLDER", str(tmp_path))
    monkeypatch.setenv("SIGHTLINE_PACS__USER", "sightline")
    with pytest.raises(ValidationError, match=f"write it into {tmp_path}/sightline_pacs__password"):
        Settings()
    monkeypatch.setenv("SIGHTLINE_SECRETS_FOLDER", str(tmp_path / "nowhere"))
    with pytest.raises(SightlineError, match=r"SIGHTLINE_SECRETS_FOLDER.*nowhere"):
        Settings()


@pytest.mark.parametrize("url", ["redis://broker:6379/0", "redis://:old@broker:6379/0"])
def test_a_password_takes_its_place_in_the_url(url: str) -> None:
    ledger = LedgerSettings(url="postgresql+psycopg://sightline@db/sightline", password="p@ss/word")  # type: ignore[arg-type]
    assert Settings(ledger=ledger).ledger_url == "postgresql+psycopg://sightline:p%40ss%2Fword@db/sightline"
    assert QueueSettings(broker_url=url, password="new").url == "redis://:new@broker:6379/0"  # type: ignore[arg-type]
    assert QueueSettings(broker_url=url).url == url
