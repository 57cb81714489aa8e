"""docker-compose.yml: what can be held to without a container engine."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from pydantic import SecretStr

from deploy import orthanc
from radiology.settings import PacsSettings, Settings
from tests.deploy.installation import COMPOSE, ROOT, SERVICES

TEXT = (ROOT / "docker-compose.yml").read_text()


def test_the_linter_has_no_complaint() -> None:
    linter = ROOT / "tests" / "deploy" / "node_modules" / ".bin" / "dclint"
    assert linter.exists(), "dclint is missing; run scripts/setup --test"
    lint = subprocess.run([linter, "docker-compose.yml"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert lint.returncode == 0, lint.stdout + lint.stderr
    assert not lint.stdout.strip()


def test_no_secret_is_in_the_file_nor_in_a_variable() -> None:
    assert not re.search(r"PASSWORD: |SECRET: |://[^@/\s]*:[^@/\s]*@", TEXT)
    assert all(entry["file"].startswith("secrets/") for entry in COMPOSE["secrets"].values())
    assert "\nsecrets\n" in (ROOT / ".dockerignore").read_text()


def test_only_the_proxy_and_the_tls_port_of_the_listener_are_published() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"proxy": ["0.0.0.0:80:80", "0.0.0.0:443:443"], "listener": ["0.0.0.0:2762:2762"]}


def test_archive_queue_and_ledger_are_reached_by_our_services_alone() -> None:
    networks = {name: set(service["networks"]) for name, service in SERVICES.items()}
    assert {name for name, network in COMPOSE["networks"].items() if not (network or {}).get("internal")} == {"outside"}
    assert {name for name in SERVICES if "outside" in networks[name]} == {"proxy", "listener"}
    ours = {"api", "backup", "listener", "watcher", "worker"}
    for store in ("orthanc", "redis", "postgres"):
        reached_by = {name for name in SERVICES if networks[name] & networks[store]} - {"orthanc", "redis", "postgres"}
        assert reached_by == ours | ({"keycloak"} if store == "postgres" else set())  # which has a database of its own there
    assert networks["proxy"] & networks["keycloak"] == networks["proxy"] & networks["api"] == {"front"}


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"backup"}))
def test_every_service_is_confined_watched_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "proxy" else [])
    assert "no-new-privileges:true" in service["security_opt"]
    assert {"mem_limit", "cpus", "pids_limit", "healthcheck"} <= service.keys()
    assert service["logging"]["options"].keys() == {"max-file", "max-size"}
    assert "build" in service or service["user"] != "root"  # for what is built, see the recipes below


def test_the_archive_is_configured_as_the_one_that_the_tests_run_with() -> None:
    in_compose = json.loads((ROOT / "deploy" / "docker" / "orthanc.json").read_text())
    alone = orthanc.configuration(Settings(pacs=PacsSettings(user="sightline", password=SecretStr("${ORTHANC_PASSWORD}"))))
    alone |= {
        "StorageDirectory": "/data",
        "IndexDirectory": "/data",
        "RemoteAccessAllowed": True,
        "DicomModalities": {"sightline": {"AET": "SIGHTLINE", "Host": "listener", "Port": 11112}},
    }
    assert in_compose == alone


@pytest.mark.parametrize("recipe", sorted((ROOT / "deploy" / "docker").glob("*.Dockerfile")), ids=lambda path: path.stem)
def test_a_recipe_copies_only_what_is_there_and_does_not_run_as_root(recipe: Path) -> None:
    stages = re.split(r"^FROM ", recipe.read_text(), flags=re.MULTILINE)[1:]
    for stage in stages:
        for sources in re.findall(r"^COPY (?!--from)(?:--\S+ )?(.+) \S+$", stage, re.MULTILINE):
            assert all((ROOT / source).exists() for source in sources.split())
    users = re.findall(r"^USER (\S+)", stages[-1], re.MULTILINE)
    assert users
    assert users[-1] != "root"
