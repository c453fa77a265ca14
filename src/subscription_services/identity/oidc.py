"""OpenID Connect Core 1.0 as relying party: discovery, authorization code with PKCE (RFC 7636), checks of the ID token.

The provider is believed only over TLS and by its signature: `iss`, `aud`, `azp`, `exp`, `iat`, `nonce`, `at_hash` and
the algorithm are checked, and `iss` of the answer (RFC 9207) against mix-up. Nothing here touches the store.
"""

from __future__ import annotations

import base64
import hashlib
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
import msgspec
from authlib.oidc.core import CodeIDToken
from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, JoseError

from subscription_services.kernel.clock import monotonic

from .errors import ProviderSilent
from .oidc_keys import ALGORITHMS, SigningKey, read_keys

LEEWAY = 60
"""Seconds that the provider's clock may be off."""
OLDEST = 600
"""Seconds after which an ID token is too old to come from this very sign-in."""
KEPT = 3600.0
"""Seconds for which what the provider says of itself is kept."""
AGAIN = 30.0
"""Seconds between two looks for a key that was not there, or at a provider that did not answer."""
LARGEST = 256 * 1024


class Untrusted(Exception):
    """The provider's answer cannot be believed; `why` is a word for the log."""

    def __init__(self, why: str) -> None:
        self.why = why
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Registration:
    """What provider and service know of each other. `plain` allows http, on loopback in a sandbox only."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str
    factors: frozenset[str] = frozenset()
    ca_file: str = ""
    plain: bool = False
    timeout: float = 5.0


class Metadata(msgspec.Struct, frozen=True):
    """OpenID Connect Discovery 1.0, as far as it is used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    token_endpoint_auth_methods_supported: list[str] = msgspec.field(default_factory=lambda: ["client_secret_basic"])
    authorization_response_iss_parameter_supported: bool = False


@dataclass(frozen=True, slots=True)
class Claims:
    """Whom the provider signed in. `email` only where the provider says that it is verified; `factor` whether a second
    factor was asked there; `proved_at` when the person proved who they are, where it says so."""

    issuer: str
    subject: str
    email: str
    factor: bool
    proved_at: datetime | None


class Provider:
    """One provider; keeps what it says of itself. Calls block: for a thread, never inside a transaction."""

    def __init__(self, registration: Registration) -> None:
        self.registration = registration
        self._lock = threading.Lock()
        self._metadata: tuple[float, Metadata] | None = None
        self._keys: tuple[float, list[SigningKey]] | None = None
        self._looked_again = -AGAIN
        self._failed = -AGAIN
        self._trusted: ssl.SSLContext | None = None

    def authorization_url(self, *, state: str, nonce: str, verifier: str, longest: int, again: bool) -> str:
        """Where to send the browser. `longest` is how many seconds ago the person may have proved who they are;
        `again` has the provider ask them anew. Raises ProviderSilent."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code", "client_id": self.registration.client_id, "scope": "openid email",
            "redirect_uri": self.registration.redirect_uri, "state": state, "nonce": nonce,
            "code_challenge": challenge, "code_challenge_method": "S256", "max_age": "0" if again else str(longest),
            **({"prompt": "login"} if again else {}),
        }  # fmt: skip
        address = self.metadata().authorization_endpoint
        return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(asked)}"

    def check_answer(self, issuer: str) -> None:
        """`iss` of the authorization response (RFC 9207). Raises Untrusted, ProviderSilent."""
        if issuer != self.registration.issuer and (
            issuer or self.metadata().authorization_response_iss_parameter_supported
        ):
            raise Untrusted("answer-iss")

    def redeem(self, *, code: str, verifier: str, nonce: str, now: datetime, stranger: Callable[[str], bool]) -> Claims:
        """Whom this code stands for. The address of a `stranger` (by subject) is asked for where the token lacks it.

        Raises Untrusted and ProviderSilent."""
        answer = self._exchange(code, verifier)
        token, access = answer.get("id_token"), answer.get("access_token")
        if not isinstance(token, str) or not isinstance(access, str):
            raise Untrusted("token-answer")
        claims = self._checked(token, access, nonce, now)
        source: Mapping[str, Any] = claims
        if "email" not in claims and self.metadata().userinfo_endpoint and stranger(claims["sub"]):
            source = self._userinfo(access, claims["sub"])
        email = source.get("email") if source.get("email_verified") is True else ""
        said = claims.get("amr", [])
        marks = {item for item in said if isinstance(item, str)} | {str(claims.get("acr", ""))}
        return Claims(
            claims["iss"], claims["sub"], email if isinstance(email, str) else "",
            bool(marks & self.registration.factors),
            _moment(claims.get("auth_time"), now),
        )  # fmt: skip

    def metadata(self) -> Metadata:
        """What the provider says of itself, an hour old at most. Raises ProviderSilent."""
        with self._lock:
            if self._metadata is None or monotonic() - self._metadata[0] > KEPT:
                self._metadata = monotonic(), self._discover()
            return self._metadata[1]

    def _discover(self) -> Metadata:
        if monotonic() - self._failed < AGAIN / 6:
            raise ProviderSilent()
        try:
            found = self._ask("GET", f"{self.registration.issuer.rstrip('/')}/.well-known/openid-configuration")
            metadata = msgspec.convert(found, Metadata)
        except (ProviderSilent, msgspec.ValidationError) as error:
            self._failed = monotonic()
            raise ProviderSilent() from error
        addresses = (metadata.authorization_endpoint, metadata.token_endpoint, metadata.jwks_uri)
        if metadata.issuer != self.registration.issuer or not all(map(self._may_ask, addresses)):
            raise ProviderSilent("The sign-on provider describes itself as another one than the settings name.")
        return metadata

    def _exchange(self, code: str, verifier: str) -> dict[str, Any]:
        metadata, known = self.metadata(), self.registration
        form = {
            "grant_type": "authorization_code", "code": code, "redirect_uri": known.redirect_uri,
            "code_verifier": verifier,
        }  # fmt: skip
        headers = {}
        methods = metadata.token_endpoint_auth_methods_supported
        if "client_secret_post" in methods and "client_secret_basic" not in methods:
            form |= {"client_id": known.client_id, "client_secret": known.client_secret}
        else:
            pair = f"{quote(known.client_id, safe='')}:{quote(known.client_secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        return self._ask("POST", metadata.token_endpoint, form=form, headers=headers, refused="code")

    def _userinfo(self, access: str, subject: str) -> dict[str, Any]:
        address = self.metadata().userinfo_endpoint
        if not self._may_ask(address):
            raise Untrusted("userinfo")
        found = self._ask("GET", address, headers={"Authorization": f"Bearer {access}"}, refused="userinfo")
        if found.get("sub") != subject:
            raise Untrusted("userinfo-sub")
        return found

    def _checked(self, token: str, access: str, nonce: str, now: datetime) -> dict[str, Any]:
        """The claims of an ID token that is for us, from this provider, of this flow, and fresh. Raises Untrusted."""
        known = self.registration
        try:
            header = dict(jws.extract_compact(token.encode()).headers())
            if header.get("alg") not in ALGORITHMS:
                raise Untrusted("alg")
            found = jwt.decode(token, self._key(header).key, algorithms=[header["alg"]])
            claims = CodeIDToken(
                found.claims, found.header,
                {
                    "iss": {"essential": True, "value": known.issuer}, "sub": {"essential": True},
                    "aud": {"essential": True, "value": known.client_id}, "nonce": {"essential": True, "value": nonce},
                },
                {"nonce": nonce, "client_id": known.client_id, "access_token": access},
            )  # fmt: skip
            claims.validate(now=int(now.timestamp()), leeway=LEEWAY)
        except ExpiredTokenError as error:
            raise Untrusted("exp") from error
        except JoseError as error:
            raise Untrusted(str(getattr(error, "claim", None) or error.error or "id-token")[:40]) from error
        except (ValueError, TypeError, UnicodeError) as error:
            raise Untrusted("id-token") from error
        if not isinstance(claims["sub"], str) or not 1 <= len(claims["sub"]) <= 255:
            raise Untrusted("sub")
        if int(now.timestamp()) - int(claims["iat"]) > OLDEST:
            raise Untrusted("iat")
        return dict(claims)

    def _key(self, header: Mapping[str, Any]) -> SigningKey:
        """The key that the header names; a name that is not known has us look once more."""
        for again in (False, True):
            fitting = [key for key in self._signing_keys(again) if key.fits(header)]
            if len(fitting) == 1:
                return fitting[0]
        raise Untrusted("key")

    def _signing_keys(self, again: bool) -> list[SigningKey]:
        address = self.metadata().jwks_uri
        with self._lock:
            old = self._keys is None or monotonic() - self._keys[0] > KEPT
            if again and not old and monotonic() - self._looked_again >= AGAIN:
                self._looked_again, old = monotonic(), True
            if old or self._keys is None:
                self._keys = monotonic(), read_keys(self._ask("GET", address))
            return self._keys[1]

    def _may_ask(self, address: str) -> bool:
        parts = urlsplit(address)
        own = (
            self.registration.plain
            and parts.scheme == "http"
            and parts.netloc == urlsplit(self.registration.issuer).netloc
        )
        return bool(parts.hostname) and (parts.scheme == "https" or own)

    def _ask(
        self, method: str, address: str, *, form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None, refused: str = "",
    ) -> dict[str, Any]:  # fmt: skip
        """A JSON object from the provider; no redirects, no proxy of the environment, not more than fits.

        A refusal (4xx) is Untrusted where `refused` names it, else the provider counts as silent."""
        if self._trusted is None:
            self._trusted = ssl.create_default_context(cafile=self.registration.ca_file or None)
        asked = {"Accept": "application/json", **(headers or {})}
        try:
            with (
                httpx.Client(verify=self._trusted, trust_env=False, timeout=self.registration.timeout) as client,
                client.stream(method, address, data=form, headers=asked) as answer,
            ):
                body = b""
                for part in answer.iter_bytes():
                    body += part
                    if len(body) > LARGEST:
                        raise ProviderSilent()
                if refused and 400 <= answer.status_code < 500:
                    raise Untrusted(refused)
                if answer.status_code != 200:
                    raise ProviderSilent()
                return msgspec.json.decode(body, type=dict[str, Any])
        except (httpx.HTTPError, httpx.InvalidURL, msgspec.DecodeError, OSError) as error:
            raise ProviderSilent() from error


def _moment(seconds: Any, now: datetime) -> datetime | None:
    """A NumericDate that is not in the future; None where there is none. Raises Untrusted."""
    if seconds is None:
        return None
    try:
        return min(now, datetime.fromtimestamp(int(seconds), UTC))
    except (ValueError, TypeError, OverflowError, OSError) as error:
        raise Untrusted("auth_time") from error
