"""Keycloak's realm gives what our API asks of an issuer, and nothing that everybody knows."""

import json
import re
from typing import Any

import pytest

from connector.access import Role, User, user_of
from radiology.settings import AccessSettings
from tests.deploy.installation import ROOT, SERVICES

REALM = json.loads((ROOT / "deploy" / "docker" / "keycloak-realm.json").read_text())
CLIENTS: dict[str, dict[str, Any]] = {client["clientId"]: client for client in REALM["clients"]}
PERSON = {"username": "marie", "firstName": "Marie", "lastName": "Curie", "roles": ["radiologist", "offline_access"]}


def claims(client: str, token: str, person: dict[str, Any]) -> dict[str, Any]:
    """What Keycloak writes into a token of this client ("id" or "access") by the mappers of the realm's file."""
    found: dict[str, Any] = {}
    for mapper in CLIENTS[client]["protocolMappers"]:
        config = mapper["config"]
        if config[f"{token}.token.claim"] != "true":
            continue
        if mapper["protocolMapper"] == "oidc-audience-mapper":
            found["aud"] = config["included.client.audience"]
            continue
        value = person["roles"] if mapper["protocolMapper"] == "oidc-usermodel-realm-role-mapper" else person.get(config["user.attribute"])
        *path, last = config["claim.name"].split(".")
        place = found
        for step in path:
            place = place.setdefault(step, {})
        place[last] = value
    return found


@pytest.mark.parametrize("token", ["id", "access"])
def test_a_person_is_known_by_name_and_role_from_either_token(token: str) -> None:
    user = user_of(claims(AccessSettings().client_id, token, PERSON), AccessSettings().roles_claim)
    assert user == User("marie", "Curie^Marie", frozenset({Role.RADIOLOGIST}))


@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_tokens_for_programs_name_us_as_their_audience(client: str) -> None:
    assert claims(client, "access", PERSON)["aud"] == AccessSettings().client_id


def test_a_program_has_the_role_of_one_and_no_way_to_sign_in_as_a_person() -> None:
    (account,) = REALM["users"]
    assert account["realmRoles"] == [Role.SERVICE]
    assert account["serviceAccountClientId"] == "sightline-service"
    service = CLIENTS["sightline-service"]
    assert service["serviceAccountsEnabled"]
    assert not service["standardFlowEnabled"]
    program = {"username": account["username"], "roles": account["realmRoles"]}
    user = user_of(claims("sightline-service", "access", program), AccessSettings().roles_claim)
    assert (user.login, user.roles) == ("service-account-sightline-service", {Role.SERVICE})


def test_the_roles_are_ours() -> None:
    assert {role["name"] for role in REALM["roles"]["realm"]} == set(Role)


def test_people_come_by_the_code_flow_with_pkce_and_back_to_our_address_only() -> None:
    viewer = CLIENTS["sightline"]
    assert viewer["standardFlowEnabled"]
    assert viewer["attributes"]["pkce.code.challenge.method"] == "S256"
    assert viewer["redirectUris"] == ["https://${HOST_NAME}/api/v1/session/callback"]
    assert not any(
        client[flow] for client in CLIENTS.values() for flow in ("implicitFlowEnabled", "directAccessGrantsEnabled", "publicClient")
    )


def test_nobody_has_a_password_that_is_in_the_file_and_nobody_may_register() -> None:
    assert all("credentials" not in user for user in REALM["users"])
    assert [client["secret"] for client in CLIENTS.values()] == ["${CLIENT_SECRET}", "${SERVICE_SECRET}"]
    assert not REALM["registrationAllowed"]
    assert REALM["bruteForceProtected"]


def test_what_the_realm_leaves_open_is_given_by_the_container() -> None:
    start = (ROOT / "deploy" / "docker" / "keycloak-start").read_text()
    open_places = set(re.findall(r"\$\{(\w+)\}", json.dumps(REALM)))
    assert open_places == {"HOST_NAME", "CLIENT_SECRET", "SERVICE_SECRET"}
    exported = set(re.findall(r"^export (.+)$", start, re.MULTILINE)[0].split())
    assert open_places <= exported | SERVICES["keycloak"]["environment"].keys()
