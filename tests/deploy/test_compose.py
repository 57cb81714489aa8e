"""docker-compose.yml: what can be held to without a container engine."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy import orthanc
from radiology.settings import PacsSettings, Settings

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["services"]


def test_the_linter_has_no_complaint() -> None:
    linter = ROOT / "tests" / "deploy" / "node_modules" / ".bin" / "dclint"
    assert linter.exists(), "dclint is missing; run scripts/setup --test"
    lint = subprocess.run([linter, "docker-compose.yml"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert lint.returncode == 0, lint.stdout + lint.stderr
    assert not lint.stdout.strip()


@pytest.mark.parametrize("service", [name for name in SERVICES if name not in {"orthanc", "postgres", "redis"}])
def test_every_variable_of_a_service_is_a_setting(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SERVICES[service]["environment"].items():
        monkeypatch.setenv(name, re.sub(r"\$\{\w+:\?[^}]*\}", "secret", str(value)))
    settings = Settings()
    assert settings.ledger_url == "postgresql+psycopg://sightline:secret@postgres:5432/sightline"
    assert settings.queue.broker_url == "redis://:secret@redis:6379/0"
    assert settings.pacs.dicomweb_url == "http://orthanc:8042/dicom-web"
    assert settings.pacs.password.get_secret_value() == "secret"


def test_no_secret_is_in_the_file() -> None:
    passwords = re.findall(r"^ +\w*PASSWORD: *(.*)$", TEXT, re.MULTILINE)
    assert passwords
    assert all(re.fullmatch(r"\$\{\w+_PASSWORD:\?[^}]+\}", password) for password in passwords)


def test_only_the_viewer_and_the_listener_are_published_and_the_viewer_on_loopback_only() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"api": ["127.0.0.1:8080:8080"], "listener": ["0.0.0.0:11112:11112"]}


def test_the_archive_is_configured_as_the_one_that_the_tests_run_with() -> None:
    in_compose = json.loads((ROOT / "deploy" / "docker" / "orthanc.json").read_text())
    alone = orthanc.configuration(Settings(pacs=PacsSettings(user="sightline")))
    alone |= {
        "StorageDirectory": "/data",
        "IndexDirectory": "/data",
        "RemoteAccessAllowed": True,
        "RegisteredUsers": {"sightline": "${ORTHANC_PASSWORD}"},
        "DicomModalities": {"sightline": {"AET": "SIGHTLINE", "Host": "listener", "Port": 11112}},
    }
    assert in_compose == alone


@pytest.mark.parametrize("recipe", sorted((ROOT / "deploy" / "docker").glob("*.Dockerfile")), ids=lambda path: path.stem)
def test_a_recipe_copies_only_what_is_there_and_does_not_run_as_root(recipe: Path) -> None:
    stages = re.split(r"^FROM ", recipe.read_text(), flags=re.MULTILINE)[1:]
    for stage in stages:
        for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", stage, re.MULTILINE):
            assert all((ROOT / source).exists() for source in sources.split())
    users = re.findall(r"^USER (\S+)", stages[-1], re.MULTILINE)
    assert users
    assert users[-1] != "root"
