"""Signing in: the authorization code flow of OpenID Connect with PKCE, and a signed cookie that no script can read.

A browser is sent to the issuer and comes back with a session; a program sends the issuer's access token as ``Authorization: Bearer``.
Without an issuer in the settings nobody is asked, and :class:`~radiology.settings.Settings` keeps such an API on its own machine.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import quote

import httpx2
import structlog
from authlib.integrations.starlette_client import OAuth, OAuthError
from fastapi import APIRouter, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from connector.access import Right, Role, User, needed, user_of
from connector.api.problems import problem
from connector.audit import Audit, Event
from connector.schemas.person import Person
from connector.schemas.session import Session
from radiology.settings import AccessSettings

_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]
"""Signatures with a private key of the issuer's; never a secret that we know, and never none."""
_SIGNED_IN = "user"

_log = structlog.get_logger()


class Issuer:
    """The OpenID Connect issuer of the settings, asked when it is first needed."""

    def __init__(self, settings: AccessSettings) -> None:
        self._settings = settings
        self.client: Any = OAuth().register(
            "issuer",
            client_id=settings.client_id,
            client_secret=settings.client_secret.get_secret_value() or None,
            server_metadata_url=f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={"scope": "openid profile", "code_challenge_method": "S256"},
        )

    def user(self, claims: Mapping[str, Any], until: float) -> User:
        """Return who verified claims speak of."""
        user = user_of(claims, self._settings.roles_claim, self._settings.studies_claim)
        return replace(user, organization=self._settings.organization, until=until)

    def kept(self, session: Mapping[str, Any]) -> User | None:
        """Return who is signed in with a session; None where nobody is any more, or rights study by study came or went since."""
        kept = session.get(_SIGNED_IN)
        if not kept or kept["until"] <= time.time():
            return None
        institutions = kept.get("institutions")
        if (institutions is not None) != bool(self._settings.studies_claim):
            return None
        roles = frozenset(map(Role, kept["roles"]))
        return User(**kept | {"roles": roles, "institutions": None if institutions is None else frozenset(institutions)})

    async def vouches(self, token: str) -> User | None:
        """Return whom an access token was given to; None where it is not for us, too old, or not the issuer's."""
        for is_fresh in (False, True):  # the issuer may have new keys
            try:
                keys = KeySet.import_key_set(await self.client.fetch_jwk_set(force=is_fresh))
                claims = jwt.decode(token, keys, algorithms=_ALGORITHMS).claims
                registry = jwt.JWTClaimsRegistry(
                    iss={"essential": True, "value": self._settings.issuer},
                    aud={"essential": True, "value": self._settings.client_id},
                    exp={"essential": True},
                )
                registry.validate(claims)
            except (JoseError, ValueError):
                continue
            return self.user(claims, until=float(claims["exp"]))
        return None


class Gate:
    """ASGI middleware: lets a request through whose user has the right that it needs, and notes the user in its state."""

    def __init__(self, app: ASGIApp, issuer: Issuer, login_path: str, audit: Audit) -> None:
        self._app = app
        self._issuer = issuer
        self._login_path = login_path
        self._audit = audit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401, 403, or the way to the issuer for a page that a person opens."""
        right = needed(scope["method"], scope["path"]) if scope["type"] == "http" else None
        if right is None:
            await self._app(scope, receive, send)
            return
        if not scope["path"].isprintable():  # a route passes over a line break at the end, and the rights would not
            await _refused(scope, 404, "No address here has such characters.")(scope, receive, send)
            return
        headers = Headers(scope=scope)
        try:
            user = await self._user(scope, headers)
        except httpx2.HTTPError:
            answer = _refused(scope, 503, "The issuer of identities does not answer; see that it runs, then try again.")
            await answer(scope, receive, send)
            return
        if user is not None and user.may(right):
            scope.setdefault("state", {})[_SIGNED_IN] = user
            await self._app(scope, receive, send)
            return
        if user is None and scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
            back = quote(scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else ""), safe="")
            await RedirectResponse(f"{self._login_path}?back={back}", 303)(scope, receive, send)
            return
        if user is not None or "authorization" in headers:
            await self._note(scope, user, f"{scope['method']} {scope['path']}")
        refused = (
            _refused(scope, 401, "Sign in first: open the viewer again, or send the issuer's token.")
            if user is None
            else _refused(scope, 403, f"None of your roles may {right}; ask who keeps the accounts.")
        )
        await refused(scope, receive, send)

    async def _note(self, scope: Scope, user: User | None, detail: str) -> None:
        who, address = user.login if user else "", scope["client"][0] if scope.get("client") else ""
        await run_in_threadpool(self._audit.note, Event.TURNED_AWAY, is_success=False, who=who, address=address, detail=detail)

    async def _user(self, scope: Scope, headers: Headers) -> User | None:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return await self._issuer.vouches(token.strip())
        return self._issuer.kept(scope["session"])


def signed_in(request: Request) -> User | None:
    """Return who asks; None where nobody has to say."""
    user: User | None = getattr(request.state, _SIGNED_IN, None)
    return user


def in_name_of(request: Request, person: Person) -> Person:
    """Return in whose name something is asked: who is signed in, whatever the request says; it says where they work if we do not know."""
    user = signed_in(request)
    return Person(name=user.name, organization=user.organization or person.organization, login=user.login) if user else person


def routes(settings: AccessSettings, issuer: Issuer | None, audit: Audit) -> APIRouter:
    """Return the routes below ``/session``."""
    router = APIRouter(prefix="/session", tags=["session"])

    @router.get("", summary="Who is signed in, and what they may do")
    async def get_session(request: Request) -> Session:
        if issuer is None:
            return Session(is_asked=False, login="", name="", organization="", rights=sorted(Right))
        user = issuer.kept(request.session)
        if user is None:
            raise HTTPException(401, "Sign in first: open the viewer again.")
        rights = [right for right in sorted(Right) if user.may(right)]
        return Session(is_asked=True, login=user.login, name=user.name, organization=user.organization, rights=rights)

    if issuer is None:
        return router

    @router.get("/login", include_in_schema=False)
    async def login(request: Request, back: str = "/") -> Response:
        request.session["back"] = back if back.startswith("/") and not back.startswith(("//", "/\\")) else "/"
        try:
            answer: Response = await issuer.client.authorize_redirect(request, str(request.url_for("callback")))
        except httpx2.HTTPError as error:
            raise HTTPException(503, "The issuer of identities does not answer; see that it runs, then try again.") from error
        return answer

    @router.get("/callback", include_in_schema=False)
    async def callback(request: Request) -> Response:
        try:
            token = await issuer.client.authorize_access_token(request)
        except (OAuthError, JoseError) as error:
            _log.warning("not signed in", reason=type(error).__name__)
            raise HTTPException(401, "The issuer did not let you in, or this address was opened twice; open the viewer again.") from error
        except httpx2.HTTPError as error:
            raise HTTPException(503, "The issuer of identities does not answer; see that it runs, then try again.") from error
        user = issuer.user(token["userinfo"], until=time.time() + settings.session_hours * 3600)
        back = request.session.get("back", "/")
        request.session.clear()  # nothing that was there before the user was known lives on
        institutions = None if user.institutions is None else sorted(user.institutions)
        request.session[_SIGNED_IN] = asdict(user) | {"roles": sorted(user.roles), "institutions": institutions}
        address = request.client.host if request.client else ""
        await run_in_threadpool(audit.note, Event.SIGNED_IN, who=user.login, address=address, detail=" ".join(sorted(user.roles)))
        _log.info("signed in", login=user.login, roles=sorted(user.roles))
        return RedirectResponse(back, 303)

    @router.post("/logout", status_code=204, summary="End the session of this browser")
    async def logout(request: Request) -> None:
        request.session.clear()

    return router


def _refused(scope: Scope, status: int, detail: str) -> Response:
    answer = problem(Request(scope), HTTPException(status, detail))
    if status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer
