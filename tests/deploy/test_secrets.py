"""What scripts/secrets makes is closed to others, fits what the services expect, and is left alone the next time."""

import json
import re
import shutil
import ssl
import subprocess
from pathlib import Path

import httpx
import pytest
from psycopg import OperationalError, connect
from pynetdicom import AE
from pynetdicom.sop_class import Verification
from redis import AuthenticationError, Redis
from redis import ConnectionError as RedisError

from connector import tls
from connector.listener import Listener
from connector.spool import Spool
from radiology.settings import ListenerSettings, Settings, TlsSettings
from tests.deploy.installation import COMPOSE, ROOT, SERVICES, environment, make_secrets, show_secrets
from tests.orthanc import Orthanc, free_port
from tests.servers import postgres, wait_for

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which scripts/secrets ran."""
    folder = tmp_path_factory.mktemp("installation")
    run = make_secrets(folder, HOST)
    assert run.returncode == 0, run.stderr
    return folder


def secret(made: Path, name: str) -> str:
    return (made / "secrets" / name).read_text().strip()


def test_every_secret_of_the_compose_file_is_made_and_the_folder_is_closed(made: Path) -> None:
    assert all((made / entry["file"]).stat().st_size for entry in COMPOSE["secrets"].values())
    assert (made / "secrets").stat().st_mode & 0o077 == 0
    assert (made / "secrets" / "authority.key").stat().st_mode & 0o077 == 0
    assert "secrets/authority.key" not in {entry["file"] for entry in COMPOSE["secrets"].values()}
    passwords = [secret(made, name) for name in COMPOSE["secrets"] if re.search("password|secret$", name)]
    assert len(set(passwords)) == len(passwords) == 8
    assert min(map(len, passwords)) >= 32


def test_a_second_run_changes_nothing_and_another_host_makes_its_certificates_anew(made: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(made, folder)
    before = {path.name: path.read_bytes() for path in (folder / "secrets").iterdir()}
    assert make_secrets(folder).returncode == 0
    assert {path.name: path.read_bytes() for path in (folder / "secrets").iterdir()} == before
    assert make_secrets(folder, "pacs.example.org", "10.1.2.3").returncode == 0
    again = {path.name: path.read_bytes() for path in (folder / "secrets").iterdir()}
    assert {name for name in again if again[name] != before.get(name)} == {"web.pem", "web.key", "listener.pem", "listener.key", "names"}
    assert (folder / ".env").read_text() == "HOST_NAME=pacs.example.org\n"
    assert make_secrets(folder).returncode == 0  # it knows the names
    assert {path.name: path.read_bytes() for path in (folder / "secrets").iterdir()} == again


def test_a_certificate_of_another_authority_is_left_alone(made: Path, tmp_path: Path) -> None:
    folder, other = tmp_path / "copy", tmp_path / "other"
    shutil.copytree(made, folder)
    other.mkdir()
    make_secrets(other, "pacs.example.org")
    shutil.copy(other / "secrets" / "web.pem", folder / "secrets" / "web.pem")
    assert make_secrets(folder, "pacs.example.org").returncode == 0
    assert (folder / "secrets" / "web.pem").read_bytes() == (other / "secrets" / "web.pem").read_bytes()


@pytest.mark.parametrize("host", ["localhost", "a b", "-x", "host;id"])
def test_a_host_name_that_is_none_is_refused(host: str, tmp_path: Path) -> None:
    run = make_secrets(tmp_path, host)
    assert run.returncode == 1
    assert "host name" in run.stderr


def test_only_a_modality_with_our_certificate_reaches_the_listener(made: Path, tmp_path: Path) -> None:
    assert make_secrets(made, "certify", "CT1").returncode == 0
    assert "already" in make_secrets(made, "certify", "CT1").stderr
    asking = [
        "req",
        "-new",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=x",
        "-keyout",
        str(tmp_path / "MR1.key"),
        "-out",
        str(made / "MR1.csr"),
    ]
    subprocess.run(["openssl", *asking], check=True, capture_output=True)
    signed = make_secrets(made, "certify", "MR1", "MR1.csr")
    assert signed.returncode == 0, signed.stderr

    shown = show_secrets("listener", made, tmp_path / "shown")
    given = {name.lower().removeprefix("sightline_listener__"): value for name, value in environment("listener", HOST, shown).items()}
    files = {name: Path(value) for name, value in given.items() if name.startswith("tls_")}
    settings = ListenerSettings(plain=False, tls_port=free_port(), minimum_free_bytes=1, **files)  # type: ignore[arg-type]
    folder = made / "secrets"
    with Listener(settings, Spool(tmp_path / "spool"), lambda: None):
        for name, key in (("CT1", folder / "CT1.key"), ("MR1", tmp_path / "MR1.key")):
            caller = TlsSettings(tls_certificate=folder / f"{name}.pem", tls_key=key, tls_authority=folder / "authority.pem")
            assert echo(settings.tls_port, tls.calling(caller)) == 0
        # The proxy's certificate is for a server only.
        proxy = TlsSettings(tls_certificate=folder / "web.pem", tls_key=folder / "web.key", tls_authority=folder / "authority.pem")
        assert echo(settings.tls_port, tls.calling(proxy)) is None


def echo(port: int, context: ssl.SSLContext | None) -> int | None:
    """The status of a C-ECHO; None where the association does not come about."""
    entity = AE("CT1")
    entity.add_requested_context(Verification)
    association = entity.associate(HOST, port, ae_title="SIGHTLINE", tls_args=(context, HOST) if context else None)
    try:
        return association.send_c_echo().get("Status") if association.is_established else None
    finally:
        association.release()


def test_redis_asks_for_the_password_of_the_file(made: Path, tmp_path: Path) -> None:
    port = free_port()
    assert SERVICES["redis"]["command"] == ["redis-start"]
    shown = show_secrets("redis", made, tmp_path / "shown")
    server = subprocess.Popen(
        [ROOT / "deploy" / "docker" / "redis-start", "--port", str(port), "--bind", HOST, "--dir", str(tmp_path)],
        env={"PATH": "/usr/bin:/bin", "SECRETS": str(shown), "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
    )
    try:
        with Redis(port=port, password=secret(made, "sightline_queue__password")) as client:
            wait_for(client.ping, server, RedisError)
        with Redis(port=port) as stranger, pytest.raises(AuthenticationError):
            stranger.ping()
        assert secret(made, "sightline_queue__password") not in Path(f"/proc/{server.pid}/cmdline").read_text()
    finally:
        server.terminate()
        server.wait(30)


def test_orthanc_asks_for_the_password_of_the_file(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRETS", str(show_secrets("orthanc", made, tmp_path / "shown")))
    users = json.loads((ROOT / "deploy" / "docker" / "orthanc.json").read_text())["RegisteredUsers"]
    with Orthanc(tmp_path, ROOT / "deploy" / "docker" / "orthanc-start", AuthenticationEnabled=True, RegisteredUsers=users) as archive:
        assert httpx.get(f"{archive.url}/system").status_code == 401
        assert httpx.get(f"{archive.url}/system", auth=("sightline", secret(made, "sightline_pacs__password"))).status_code == 200


def test_the_issuers_database_is_made_and_does_not_see_the_ledger(made: Path, tmp_path: Path) -> None:
    shown = show_secrets("postgres", made, tmp_path / "shown")
    with postgres() as url:
        folder = url.partition("?host=")[2]
        subprocess.run(
            [ROOT / "deploy" / "docker" / "keycloak-database"],
            env={"PATH": "/usr/bin:/bin", "PGHOST": folder, "SECRETS": str(shown), "POSTGRES_USER": "sightline", "POSTGRES_DB": "postgres"},
            check=True,
        )
        with connect(f"host={folder} user=keycloak dbname=keycloak") as issuer:
            issuer.execute("CREATE TABLE realms (name text)")
        with pytest.raises(OperationalError, match="permission denied"):
            connect(f"host={folder} user=keycloak dbname=postgres")


def test_keycloak_is_given_its_secrets_as_variables_of_its_own_process(made: Path, tmp_path: Path) -> None:
    shown = show_secrets("keycloak", made, tmp_path / "shown")
    start = ROOT / "deploy" / "docker" / "keycloak-start"
    program = tmp_path / "in-its-place"
    program.write_text('#!/bin/sh\nenv; echo "$@"\n')
    program.chmod(0o755)
    surroundings = {"PATH": "/usr/bin:/bin", "SECRETS": str(shown), "KEYCLOAK_PROGRAM": str(program)}
    run = subprocess.run([start], env=surroundings, capture_output=True, text=True, check=True)
    assert f"KC_BOOTSTRAP_ADMIN_PASSWORD={secret(made, 'keycloak_admin_password')}" in run.stdout
    assert f"CLIENT_SECRET={secret(made, 'sightline_access__client_secret')}" in run.stdout
    assert run.stdout.splitlines()[-1] == "start --optimized --import-realm"
    (shown / "keycloak_database_password").unlink()
    failed = subprocess.run([start], env=surroundings, capture_output=True, text=True, check=False)
    assert failed.returncode != 0
    assert "keycloak_database_password" in failed.stderr


@pytest.mark.parametrize(
    "service", [name for name, service in SERVICES.items() if "SIGHTLINE_DATA_FOLDER" in service.get("environment", {})]
)
def test_our_services_find_every_password_in_its_file(service: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = show_secrets(service, made, tmp_path / "shown")
    monkeypatch.setenv("SIGHTLINE_SECRETS_FOLDER", str(shown))
    for name, value in environment(service, "pacs.example.org", shown).items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.ledger_url == f"postgresql+psycopg://sightline:{secret(made, 'sightline_ledger__password')}@postgres:5432/sightline"
    assert settings.queue.url == f"redis://:{secret(made, 'sightline_queue__password')}@redis:6379/0"
    assert settings.pacs.password.get_secret_value() == secret(made, "sightline_pacs__password")
    if service == "api":
        assert settings.access.issuer == "https://pacs.example.org/realms/sightline"
        assert settings.access.client_secret.get_secret_value() == secret(made, "sightline_access__client_secret")
        assert settings.access.session_secret.get_secret_value()
        assert settings.api.hosts == ["pacs.example.org", "127.0.0.1"]
