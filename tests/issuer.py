"""A small OpenID Connect issuer: discovery, authorization code with PKCE, signed tokens. Whoever comes is the person in ``claims``."""

from __future__ import annotations

import base64
import hashlib
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import uvicorn
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import RedirectResponse
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

CLIENT = "sightline"


def account(login: str, *roles: str, family: str = "Curie", given: str = "Marie") -> dict[str, Any]:
    """Claims of a person, with the roles where Keycloak writes them."""
    return {
        "sub": login,
        "preferred_username": login,
        "family_name": family,
        "given_name": given,
        "realm_access": {"roles": ["offline_access", *roles]},
    }


@dataclass
class Issuer:
    """The issuer known as ``url``, listening at ``address``; ``claims`` are of the person who is there next."""

    url: str
    address: str
    claims: dict[str, Any] = field(default_factory=lambda: account("marie", "radiologist"))
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": uuid4().hex, "use": "sig", "alg": "RS256"}))

    def token(self, audience: str = CLIENT, lives_seconds: float = 300, issuer: str = "", key: RSAKey | None = None, **more: Any) -> str:
        """A signed token of the person in ``claims``."""
        signing = key or self.key
        now = int(time.time())
        times = {"iat": now, "exp": int(now + lives_seconds)}
        header = {"alg": "RS256", "kid": signing.kid}
        return jwt.encode(header, {"iss": issuer or self.url, "aud": audience, **times, **self.claims, **more}, signing)


@contextmanager
def issuing(url: str = "") -> Iterator[Issuer]:
    """Serve an issuer on a free port; ``url`` is how it is known, where that is not its own address."""
    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    address = f"127.0.0.1:{door.getsockname()[1]}"
    issuer = Issuer(url or f"http://{address}", address)
    site = FastAPI()
    site.mount(urlsplit(issuer.url).path, _pages(issuer))
    server = uvicorn.Server(uvicorn.Config(site, log_config=None))
    thread = Thread(target=server.run, kwargs={"sockets": [door]})
    thread.start()
    try:
        yield issuer
    finally:
        server.should_exit = True
        thread.join()


def _pages(issuer: Issuer) -> FastAPI:
    app = FastAPI()
    codes: dict[str, tuple[str, str]] = {}

    @app.get("/.well-known/openid-configuration")
    def configuration() -> dict[str, Any]:
        paths = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
        return {"issuer": issuer.url, **{name: f"{issuer.url}/{path}" for name, path in paths.items()}}

    @app.get("/keys")
    def keys() -> Any:
        return KeySet([issuer.key]).as_dict(private=False)

    @app.get("/authorize")
    def authorize(
        client_id: str, redirect_uri: str, state: str, nonce: str, code_challenge: str, code_challenge_method: str
    ) -> RedirectResponse:
        if client_id != CLIENT or code_challenge_method != "S256":
            raise HTTPException(400, "An unknown client, or no PKCE.")
        code = uuid4().hex
        codes[code] = nonce, code_challenge
        return RedirectResponse(f"{redirect_uri}?code={code}&state={state}", 302)

    @app.post("/token")
    async def token(request: Request) -> dict[str, Any]:
        form = parse_qs((await request.body()).decode())
        nonce, challenge = codes.pop(form["code"][0])
        digest = hashlib.sha256(form["code_verifier"][0].encode()).digest()
        if base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != challenge:
            raise HTTPException(400, "Another verifier.")
        return {"access_token": issuer.token(), "token_type": "Bearer", "id_token": issuer.token(nonce=nonce)}

    return app
