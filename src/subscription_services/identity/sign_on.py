"""Single sign-on as it is set up in this process, and the secrets of one flow through the provider.

A flow is begun without writing anything: all that has to be known again at its end follows from a secret in a cookie of
the browser that began it. So `state` is bound to that browser, and strangers can fill nothing.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import msgspec

from subscription_services.kernel.clock import Random
from subscription_services.kernel.errors import SettingsError
from subscription_services.kernel.ports import Keys

from .oidc import Provider, Registration
from .settings import IdentitySettings
from .tokens import digest, new_token

CALLBACK = "/sign-in/team/callback"
FLOW = timedelta(minutes=10)
"""How long somebody may take at the provider."""
_PURPOSE = "identity.sign-on"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class SignOn:
    """`domains` are those of addresses that may be linked; empty for all."""

    provider: Provider
    domains: frozenset[str]
    required: bool


@dataclass(frozen=True, slots=True)
class Flow:
    """`cookie` stays in the browser; `state`, `nonce` and `verifier` follow from it. `after` is the page to go to."""

    cookie: str = field(repr=False)
    digest: bytes
    state: str
    nonce: str
    verifier: str = field(repr=False)
    after: str
    until: datetime


class _Kept(msgspec.Struct, frozen=True, array_like=True):
    secret: str
    until: int
    after: str


_configured: list[SignOn] = []


def configure_sign_on(settings: IdentitySettings, public_url: str, *, sandbox: bool) -> None:
    """Raises SettingsError where it is set up by halves."""
    _configured.clear()
    issuer = settings.oidc_issuer
    if not issuer:
        if settings.oidc_required:
            raise SettingsError(
                "SUBS_IDENTITY_OIDC_REQUIRED is on without SUBS_IDENTITY_OIDC_ISSUER: nobody could sign in."
            )
        return
    for name in ("oidc_client_id", "oidc_client_secret"):
        if not getattr(settings, name):
            raise SettingsError(
                f"SUBS_IDENTITY_{name.upper()} is empty; the provider gave it together with the issuer."
            )
    parts = urlsplit(issuer)
    plain = sandbox and parts.scheme == "http" and parts.hostname in _LOOPBACK
    if (not plain and (parts.scheme != "https" or not parts.hostname)) or parts.query or parts.fragment:
        raise SettingsError("SUBS_IDENTITY_OIDC_ISSUER is an https address without query, as the provider writes it.")
    registration = Registration(
        issuer=issuer, client_id=settings.oidc_client_id, client_secret=settings.oidc_client_secret,
        redirect_uri=f"{public_url}{CALLBACK}", factors=_listed(settings.oidc_factors),
        ca_file=settings.oidc_ca_file, plain=plain,
    )  # fmt: skip
    _configured.append(SignOn(Provider(registration), _listed(settings.oidc_domains.lower()), settings.oidc_required))


def sign_on() -> SignOn | None:
    """As it is set up; None where it is not."""
    return _configured[0] if _configured else None


def sign_on_required() -> bool:
    """Whether team members may sign in in no other way."""
    found = sign_on()
    return found is not None and found.required


def new_flow(keys: Keys, random: Random, now: datetime, after: str) -> Flow:
    """Begin a flow in one browser."""
    until = now + FLOW
    body = _text(msgspec.json.encode(_Kept(new_token(random), int(until.timestamp()), after)))
    return _flow(keys, f"{body}.{keys.mac(_PURPOSE, b'cookie ' + body.encode()).hex()}", now) or _impossible()


def open_flow(keys: Keys, cookie: str, now: datetime) -> Flow | None:
    """The flow that this browser began; None when it is not one of ours or took too long."""
    return _flow(keys, cookie, now)


def _flow(keys: Keys, cookie: str, now: datetime) -> Flow | None:
    body, _, tag = cookie.partition(".")
    if not body or not hmac.compare_digest(tag.encode(), keys.mac(_PURPOSE, b"cookie " + body.encode()).hex().encode()):
        return None
    kept = msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=_Kept)
    until = datetime.fromtimestamp(kept.until, now.tzinfo)
    if not now < until:
        return None
    secret = kept.secret.encode()
    return Flow(
        cookie, digest(kept.secret), keys.mac(_PURPOSE, b"state " + secret).hex(),
        keys.mac(_PURPOSE, b"nonce " + secret).hex(), _text(keys.mac(_PURPOSE, b"verifier " + secret)),
        kept.after, until,
    )  # fmt: skip


def _impossible() -> Flow:
    raise AssertionError("a new flow is good")


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _listed(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip())
