"""Whatever is asked, by whomever: no failure of ours, bodies as the description says, errors as problem documents."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Thread
from typing import Any

import hypothesis
import pytest
import uvicorn
from hypothesis import HealthCheck
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.openapi import from_dict
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

from connector.api import create_app
from connector.api.problems import PROBLEM_JSON
from radiology.settings import AccessSettings, Settings
from tests.issuer import account, issuing

SLOW = (pytest.mark.slow, pytest.mark.timeout(3000))
ENDLESS = "/api/v1/studies/{study_uid}/events"
"""A stream that stays open; its own tests read it."""

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    response_schema_conformance,
]


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    door.listen()  # who comes before the server is ready waits
    server = uvicorn.Server(uvicorn.Config(create_app(settings), log_config=None))
    thread = Thread(target=server.run, kwargs={"sockets": [door]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{door.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def requests(settings: Settings) -> list[st.SearchStrategy[Case[Any]]]:
    """Requests for every operation of the API, good ones and bad ones."""
    operations = [found.ok() for found in from_dict(create_app(settings).openapi()).get_all_operations() if isinstance(found, Ok)]
    return [st.one_of([each.as_strategy(generation_mode=mode) for mode in GenerationMode]) for each in operations if each.path != ENDLESS]


def ask_everything(
    requests: Sequence[st.SearchStrategy[Case[Any]]], origin: str, known: Mapping[str, Any], headers: Mapping[str, str], examples: int
) -> set[int]:
    """Send ``examples`` requests for every operation; returns the statuses that were answered."""
    seen: set[int] = set()
    for cases in requests:

        @hypothesis.settings(
            max_examples=examples, deadline=None, derandomize=examples < 10, database=None, suppress_health_check=list(HealthCheck)
        )
        @hypothesis.given(case=cases, is_known=st.booleans())
        def ask(case: Case[Any], is_known: bool) -> None:
            if is_known:
                case.path_parameters.update({name: value for name, value in known.items() if name in case.path_parameters})
            answer = case.call(base_url=origin, headers=dict(headers), timeout=60)
            seen.add(answer.status_code)
            case.validate_response(answer, checks=CHECKS)
            if answer.status_code >= 400:
                assert answer.headers["content-type"] == [PROBLEM_JSON], case.as_curl_command()
                assert answer.json()["status"] == answer.status_code

        ask()
    return seen


@pytest.mark.parametrize("examples", [2, pytest.param(50, marks=SLOW)])
def test_anything_may_be_asked_where_nobody_has_to_sign_in(settings: Settings, ct_in_archive: str, examples: int) -> None:
    with served(settings) as origin:
        seen = ask_everything(requests(settings), origin, {"study_uid": ct_in_archive, "job_id": 1}, {}, examples)
    assert {200, 404, 422} <= seen


@pytest.mark.parametrize("examples", [1, pytest.param(15, marks=SLOW)])
def test_anything_may_be_asked_by_every_role_and_by_nobody(settings: Settings, ct_in_archive: str, examples: int) -> None:
    with issuing() as issuer:
        closed = settings.model_copy(update={"access": AccessSettings(issuer=issuer.url)})
        everything = requests(closed)
        with served(closed) as origin:
            assert ask_everything(everything, origin, {"study_uid": ct_in_archive}, {}, examples) <= {200, 401, 404, 422, 204}
            for role in ("radiologist", "researcher", "admin", "service", "guest"):
                issuer.claims = account(role, role)
                bearer = {"Authorization": f"Bearer {issuer.token()}"}
                assert 403 in ask_everything(everything, origin, {"study_uid": ct_in_archive}, bearer, examples), role
