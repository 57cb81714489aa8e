"""Who may do what: people who sign in at an OpenID Connect issuer, programs that bring its tokens, and the rights of their roles."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    """What the issuer says that somebody is."""

    RADIOLOGIST = "radiologist"
    RESEARCHER = "researcher"
    ADMIN = "admin"
    SERVICE = "service"


class Right(StrEnum):
    """What can be done here."""

    SEE = "see studies"
    JUDGE = "judge reports and ask questions"
    OPERATE = "see the work"
    STEER = "steer the work and see the audit trail"


RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.RADIOLOGIST: frozenset({Right.SEE, Right.JUDGE}),
    Role.RESEARCHER: frozenset({Right.SEE}),
    Role.ADMIN: frozenset({Right.OPERATE, Right.STEER}),  # keeps the machines well, and needs no patient for that
    Role.SERVICE: frozenset({Right.SEE, Right.OPERATE}),
}

_FREE = re.compile(r"/api/v\d+/(session(/.*)?|health)")
_WORK = re.compile(r"/api/v\d+/(jobs(/.*)?|metrics)")
_STEERING = re.compile(r"/admin(/.*)?|/api/v\d+/(work|rules|quarantine|audit|doctor)(/.*)?")
_READING = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class User:
    """Somebody that the issuer vouches for.

    Attributes:
        login: name of the account.
        name: as DICOM writes names: ``Family^Given``.
        roles: what the issuer says that they are.
        organization: the hospital or practice that the account is of; empty where that is not known.
        until: when it must be asked again who they are, in seconds since 1970.
    """

    login: str
    name: str
    roles: frozenset[Role]
    organization: str = ""
    until: float = math.inf

    def may(self, right: Right) -> bool:
        """Return whether one of the roles has this right."""
        return any(right in RIGHTS[role] for role in self.roles)


def needed(method: str, path: str) -> Right | None:
    """Return the right that a request needs; None where everybody may ask it, to sign in for example."""
    if _FREE.fullmatch(path):
        return None
    if _WORK.fullmatch(path):
        return Right.OPERATE
    if _STEERING.fullmatch(path):
        return Right.STEER
    return Right.SEE if method in _READING else Right.JUDGE


def user_of(claims: Mapping[str, Any], roles_claim: str) -> User:
    """Return who the issuer says that somebody is.

    Args:
        claims: of an ID token or an access token, verified.
        roles_claim: the claim with the list of roles; ``realm_access.roles`` is the entry ``roles`` of the claim ``realm_access``.
            Roles that are not ours are passed over.
    """
    named: Any = claims
    for step in roles_claim.split("."):
        named = named.get(step) if isinstance(named, Mapping) else None
    known = {str(role) for role in Role}
    roles = frozenset(Role(role) for role in named if role in known) if isinstance(named, list) else frozenset()
    login = str(claims.get("preferred_username") or claims.get("sub") or "")
    parts = [_clean(str(claims.get(claim) or "")) for claim in ("family_name", "given_name")]
    name = "^".join(part for part in parts if part) or _clean(str(claims.get("name") or "")) or _clean(login)
    return User(login[:64], name[:64], roles)


def _clean(text: str) -> str:
    """The delimiters of a person's name (PS3.5 6.2.1) are no letters of one."""
    return re.sub(r"[\^=\\\x00-\x1f\x7f-\x9f]", " ", text).strip()
