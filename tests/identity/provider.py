"""An OpenID provider that does as an attacker wishes: right by default, and every claim, key and answer can be bent.

It holds the client to its duties as a real one would: redirect address, client secret, PKCE, one use of a code. A real
provider of others is used in test_sign_on_real.py.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from authlib.oidc.core.util import create_half_hash
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

CLIENT, SECRET = "subs", "a secret of tests: with / and %"
REDIRECT = "https://localhost:8443/sign-in/team/callback"


@dataclass
class Provider:
    """`claims` are added to or (None) taken from every ID token; `metadata` from the description of itself."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    claims: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    userinfo: dict[str, Any] = field(default_factory=dict)
    answer_iss: bool = True
    silent: bool = False
    key: Any = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "one", "use": "sig"}))
    algorithm: str = "RS256"
    sign: Callable[[dict[str, Any], dict[str, Any]], str] | None = None
    published: list[dict[str, Any]] | None = None
    asked: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    url: str = ""
    stays: list[object] = field(default_factory=list)

    def approve(self, address: str, sub: str = "sub-1", **claims: Any) -> str:
        """What a browser is sent back with after its person signed in and agreed: path and query."""
        wanted = dict(parse_qsl(urlsplit(address).query))
        assert address.startswith(f"{self.url}/authorize?")
        assert (wanted["response_type"], wanted["redirect_uri"], wanted["client_id"]) == ("code", REDIRECT, CLIENT)
        assert (wanted["code_challenge_method"], wanted["scope"]) == ("S256", "openid email")
        code = os.urandom(16).hex()
        self.codes[code] = {**wanted, "who": json.dumps({"sub": sub, **claims})}
        answer = {"code": code, "state": wanted["state"], **({"iss": self.url} if self.answer_iss else {})}
        return f"/sign-in/team/callback?{urlencode(answer)}"

    def answer(self, method: str, path: str, form: dict[str, str], authorization: str) -> tuple[int, Any]:
        self.asked.append(path)
        if self.silent:
            return 500, {"error": "silent"}
        match path:
            case "/.well-known/openid-configuration":
                found = {
                    "issuer": self.url, "authorization_endpoint": f"{self.url}/authorize",
                    "token_endpoint": f"{self.url}/token", "jwks_uri": f"{self.url}/jwks",
                    "userinfo_endpoint": f"{self.url}/userinfo",
                    "authorization_response_iss_parameter_supported": True, **self.metadata,
                }  # fmt: skip
                return 200, found
            case "/jwks":
                return 200, {"keys": self.published or [self.key.as_dict(private=False)]}
            case "/token":
                return self._token(form, authorization)
            case "/userinfo":
                return 200, self.userinfo
        return 404, {}

    def _token(self, form: dict[str, str], authorization: str) -> tuple[int, Any]:
        given = self.codes.pop(form.get("code", ""), None)
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode() if authorization else ":"
        name, _, secret = pair.partition(":")
        plain = dict(parse_qsl(f"name={name}&secret={secret}"))
        hashed = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        right = (
            given is not None
            and plain == {"name": CLIENT, "secret": SECRET}
            and form["redirect_uri"] == given["redirect_uri"]
            and base64.urlsafe_b64encode(hashed).decode().rstrip("=") == given["code_challenge"]
        )
        if not right or given is None:
            return 400, {"error": "invalid_grant"}
        access = os.urandom(8).hex()
        now = int(self.now().timestamp())
        claims = {
            "iss": self.url, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": given["nonce"],
            "at_hash": create_half_hash(access, "RS256").decode(), "email_verified": True, "auth_time": now,
            **json.loads(given["who"]), **self.claims,
        }  # fmt: skip
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": self.algorithm, **({"kid": self.key.kid} if self.key.kid else {})}
        token = self.sign(header, claims) if self.sign else jwt.encode(header, claims, self.key, [self.algorithm])
        return 200, {"access_token": access, "token_type": "Bearer", "id_token": token}


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """`alg: none`, as written by hand."""
    return ".".join([*(_encoded(part) for part in ({**header, "alg": "none"}, claims)), ""])


def with_public_key_as_secret(provider: Provider) -> Callable[[dict[str, Any], dict[str, Any]], str]:
    """HS256 with the PEM of the public key: what a client that lets the header choose would accept."""
    pem = provider.key.as_pem(private=False)

    def sign(header: dict[str, Any], claims: dict[str, Any]) -> str:
        body = f"{_encoded({**header, 'alg': 'HS256'})}.{_encoded(claims)}"
        tag = hmac.digest(pem, body.encode(), hashlib.sha256)
        return f"{body}.{base64.urlsafe_b64encode(tag).decode().rstrip('=')}"

    return sign


def by_another_key(header: dict[str, Any], claims: dict[str, Any]) -> str:
    return jwt.encode(header, claims, RSAKey.generate_key(2048), ["RS256"])


def elliptic() -> ECKey:
    return ECKey.generate_key("P-256", {"kid": "two", "use": "sig"})


def _encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


@contextmanager
def providing() -> Iterator[Provider]:
    """A provider that listens on loopback."""
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer({})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", "0"))).decode()
            self._answer({name: values[0] for name, values in parse_qs(body).items()})

        def _answer(self, form: dict[str, str]) -> None:
            status, found = provider.answer(
                self.command, urlsplit(self.path).path, form, self.headers.get("Authorization", "")
            )
            raw = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *arguments: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    provider.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


@cache
def lasting() -> Provider:
    """One for cases, which have nobody to stop it: its thread ends with the tests."""
    entered = providing()
    provider = entered.__enter__()
    # whoever drops the generator stops the server
    provider.stays.append(entered)
    return provider


def settings_for(provider: Provider, **more: str) -> dict[str, Any]:
    """The settings of an installation that signs its team in with this provider."""
    return {
        "SUBS_IDENTITY_OIDC_ISSUER": provider.url, "SUBS_IDENTITY_OIDC_CLIENT_ID": CLIENT,
        "SUBS_IDENTITY_OIDC_CLIENT_SECRET": SECRET,
        **{f"SUBS_IDENTITY_OIDC_{name.upper()}": value for name, value in more.items()},
    }  # fmt: skip
