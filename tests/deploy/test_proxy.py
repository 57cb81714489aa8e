"""Behind the proxy of docker-compose.yml, with its certificates: TLS only, people sign in at their issuer, events are not held back.

The proxy is Caddy with our Caddyfile, the API runs as in its container; in Keycloak's place stands the tests' issuer.
"""

import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.connector.waiting import until
from tests.deploy.installation import ROOT, environment, make_secrets, show_secrets
from tests.issuer import Issuer, issuing
from tests.orthanc import free_port

HOST = "127.0.0.1"
PROXY = ["caddy", "run", "--config", str(ROOT / "deploy" / "docker" / "Caddyfile"), "--adapter", "caddyfile"]
PAGE = {"Accept": "text/html,application/xhtml+xml"}


@dataclass(frozen=True)
class Door:
    """The proxy: its address by TLS and without, who the issuer knows, and what a browser trusts that was given our authority."""

    url: str
    plain_url: str
    issuer: Issuer
    trusting: ssl.SSLContext


@contextmanager
def running(command: list[str], variables: dict[str, str], folder: Path) -> Iterator[None]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SIGHTLINE_")}
    process = subprocess.Popen(command, cwd=folder, env=kept | variables, stdout=subprocess.DEVNULL, stderr=(folder / "log").open("ab"))
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    folder = tmp_path_factory.mktemp("door")
    made = make_secrets(folder, HOST)
    assert made.returncode == 0, made.stderr
    https, http, api = free_port(), free_port(), free_port()
    place = f"{HOST}:{https}"
    secrets = show_secrets("api", folder, folder / "api-secrets")
    of_api = environment("api", place, secrets) | {
        "SIGHTLINE_API__HOSTS": f'["{HOST}"]',  # a name without the port, which no installation needs to name
        "SIGHTLINE_API__PORT": str(api),
        "SIGHTLINE_DATA_FOLDER": str(folder / "data"),
        "SIGHTLINE_LEDGER__URL": "",
        "SIGHTLINE_LEDGER__PASSWORD": "",
        "SIGHTLINE_QUEUE__BROKER_URL": "filesystem://",
        "SIGHTLINE_SECRETS_FOLDER": str(secrets),
        "PYTHONPATH": str(ROOT),
    }
    with issuing(f"https://{place}/realms/sightline") as issuer:
        of_proxy = environment("proxy", HOST, folder) | {
            "SECRETS": str(show_secrets("proxy", folder, folder / "proxy-secrets")),
            "HTTP_PORT": str(http),
            "HTTPS_PORT": str(https),
            "API": f"{HOST}:{api}",
            "KEYCLOAK": issuer.address,
            "XDG_DATA_HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder),
        }
        trusting = ssl.create_default_context(cafile=str(folder / "secrets" / "authority.pem"))
        with running(PROXY, of_proxy, folder), running([sys.executable, "-m", "connector", "serve"], of_api, folder):
            found = Door(f"https://{place}", f"http://{HOST}:{http}", issuer, trusting)
            until(lambda: answers(found), 60)
            yield found


def answers(door: Door) -> bool:
    try:
        return httpx.get(f"{door.url}/api/v1/health", verify=door.trusting).status_code in (200, 503)
    except httpx.HTTPError:
        return False


@pytest.fixture
def browser(door: Door) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=door.url, verify=door.trusting, timeout=20) as client:
        yield client


def sign_in(browser: httpx.Client) -> httpx.Response:
    """Open a page as a browser does, and follow where it is sent until it is back."""
    answer = browser.get("/api/v1/session", headers=PAGE)
    assert answer.status_code == 401
    answer = browser.get("/viewer", headers=PAGE)
    while answer.is_redirect and not answer.headers["location"].endswith("/viewer"):
        answer = browser.get(answer.headers["location"])
    return answer


def test_a_person_signs_in_at_the_issuer_by_its_public_name_and_comes_back(door: Door, browser: httpx.Client) -> None:
    back = sign_in(browser)
    assert (back.status_code, back.headers["location"]) == (303, "/viewer")
    assert "secure" in back.headers["set-cookie"].lower()
    assert browser.get("/api/v1/session").json()["name"] == "Curie^Marie"


def test_a_program_is_let_in_by_its_token_and_a_stranger_is_not(door: Door, browser: httpx.Client) -> None:
    states = "/api/v1/studies/states?study_uid=1.2.3"
    assert browser.get(states).status_code == 401
    assert browser.get(states, headers={"Authorization": f"Bearer {door.issuer.token()}"}).status_code == 200


def test_events_come_through_at_once(browser: httpx.Client) -> None:
    sign_in(browser)
    with browser.stream("GET", "/api/v1/studies/1.2.3/events") as events:
        assert events.headers["content-type"].startswith("text/event-stream")
        assert next(line for line in events.iter_lines() if line.startswith("event:")) == "event: study"


def test_without_tls_nothing_is_answered_but_the_way_there(door: Door) -> None:
    answer = httpx.get(f"{door.plain_url}/viewer")
    assert answer.status_code in (301, 308)
    assert answer.headers["location"].startswith(f"https://{HOST}")
    with pytest.raises(httpx.ConnectError, match="certificate"):
        httpx.get(door.url)  # who was not given our authority


def test_browsers_are_told_to_stay_with_tls_and_nothing_of_what_runs_here(browser: httpx.Client) -> None:
    answer = browser.get("/api/v1/health")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert "server" not in answer.headers


def test_of_the_issuer_only_signing_in_is_reachable(door: Door, browser: httpx.Client) -> None:
    assert browser.get("/realms/sightline/.well-known/openid-configuration").json()["issuer"] == door.issuer.url
    for path in ("/realms/master/.well-known/openid-configuration", "/admin/master/console/", "/metrics", "/health"):
        assert browser.get(path).headers["www-authenticate"] == "Bearer", f"{path} is the API's, which asks who that is"


def test_the_audit_trail_has_the_callers_address_and_not_what_it_says_of_itself(door: Door, browser: httpx.Client) -> None:
    # What a caller claims to come from is overwritten by the proxy, so the trail cannot be given a false address.
    browser.get("/api/v1/jobs", headers={"Authorization": "Bearer none", "X-Forwarded-For": "192.0.2.7"})
    door.issuer.claims = {**door.issuer.claims, "realm_access": {"roles": ["admin"]}}
    trail = browser.get("/api/v1/audit", headers={"Authorization": f"Bearer {door.issuer.token()}"})
    assert trail.status_code == 200
    assert "192.0.2.7" not in trail.text
    assert HOST in trail.text


def test_no_name_that_was_searched_for_is_in_the_proxys_log(tmp_path: Path) -> None:
    make_secrets(tmp_path, HOST)
    port, nobody = free_port(), f"{HOST}:{free_port()}"
    shown = str(show_secrets("proxy", tmp_path, tmp_path / "shown"))
    places = {"HTTP_PORT": str(free_port()), "HTTPS_PORT": str(port), "API": nobody, "KEYCLOAK": nobody, "SECRETS": shown}
    trusting = ssl.create_default_context(cafile=str(tmp_path / "secrets" / "authority.pem"))

    def search() -> int | None:
        with suppress(httpx.ConnectError):
            return httpx.get(f"https://{HOST}:{port}/dicom-web/studies?PatientName=Curie", verify=trusting).status_code
        return None

    with running(PROXY, {"HOST_NAME": HOST, "XDG_DATA_HOME": shown, "XDG_CONFIG_HOME": shown, **places}, tmp_path):
        assert until(search) == 502
    assert "Curie" not in (tmp_path / "log").read_text()
