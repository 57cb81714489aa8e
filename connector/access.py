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
        institutions: whose studies they may see, by Institution Name (0008,0080); None is all.
        until: when it must be asked again who they are, in seconds since 1970.
    """

    login: str
    name: str
    roles: frozenset[Role]
    organization: str = ""
    institutions: frozenset[str] | None = None
    until: float = math.inf

    def may(self, right: Right) -> bool:
        """Return whether one of the roles has this right."""
        return any(right in RIGHTS[role] for role in self.roles)

    def may_see(self, institution: str) -> bool:
        """Return whether the studies of an institution are theirs to see, if they may see studies at all; letters' case does not count."""
        return self.institutions is None or _folded(institution) in map(_folded, self.institutions)


def needed(method: str, path: str) -> Right | None:
    """Return the right that a request needs; None where everybody may ask it, to sign in for example."""
    if _FREE.fullmatch(path):
        return None
    if _WORK.fullmatch(path):
        return Right.OPERATE
    if _STEERING.fullmatch(path):
        return Right.STEER
    return Right.SEE if method in _READING else Right.JUDGE


def user_of(claims: Mapping[str, Any], roles_claim: str, studies_claim: str = "") -> User:
    """Return who the issuer says that somebody is.

    Args:
        claims: of an ID token or an access token, verified.
        roles_claim: the claim with the list of roles; ``realm_access.roles`` is the entry ``roles`` of the claim ``realm_access``.
            Roles that are not ours are passed over.
        studies_claim: the claim with the list of institutions; where it is missing, they may see no study. Empty is no such limit.
    """
    known = {str(role) for role in Role}
    roles = frozenset(Role(role) for role in _listed(claims, roles_claim) if role in known)
    institutions = frozenset(filter(_folded, _listed(claims, studies_claim))) if studies_claim else None
    login = str(claims.get("preferred_username") or claims.get("sub") or "")
    parts = [_clean(str(claims.get(claim) or "")) for claim in ("family_name", "given_name")]
    name = "^".join(part for part in parts if part) or _clean(str(claims.get("name") or "")) or _clean(login)
    return User(login[:64], name[:64], roles, institutions=institutions)


def _listed(claims: Mapping[str, Any], claim: str) -> list[str]:
    """The texts of a claim; none where it is missing or something else than a list."""
    named: Any = claims
    for step in claim.split("."):
        named = named.get(step) if isinstance(named, Mapping) else None
    return [each for each in named if isinstance(each, str)] if isinstance(named, list) else []


def _folded(text: str) -> str:
    return text.strip().casefold()


def _clean(text: str) -> str:
    """The delimiters of a person's name (PS3.5 6.2.1) are no letters of one."""
    return re.sub(r"[\^=\\\x00-\x1f\x7f-\x9f]", " ", text).strip()
