"""The settings in force in this process, told once by app.py before anything is performed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from subscription_services.kernel.errors import SettingsError

from .breaches import checked_url
from .passwords import MINIMUM_COST, calibrate
from .places import use_places
from .settings import IdentitySettings
from .sign_on import configure_sign_on


@dataclass(frozen=True, slots=True)
class Rules:
    cost: int
    idle: timedelta
    keyless_idle: timedelta
    bound: timedelta
    bind: timedelta
    grace: timedelta
    absolute: timedelta
    link: timedelta
    reset: timedelta
    code: timedelta
    email_change: timedelta
    email_revert: timedelta
    recovery: timedelta
    breach_range_url: str


@dataclass(frozen=True, slots=True)
class RelyingParty:
    """Whom a passkey is made for (Web Authentication): `id` is the host name, `origin` the address of the pages."""

    id: str
    origin: str
    name: str


_rules: list[Rules] = []
_place: list[RelyingParty] = []


def configure(settings: IdentitySettings, *, sandbox: bool, public_url: str = "") -> None:
    """Choose the work factor and keep the limits. Raises SettingsError for a factor below 12 outside a sandbox, and
    where single sign-on is set up by halves, StartError for a database of places that cannot be read."""
    configure_sign_on(settings, public_url, sandbox=sandbox)
    cost = settings.bcrypt_cost or calibrate(settings.bcrypt_target_ms)
    if cost < MINIMUM_COST and not sandbox:
        raise SettingsError(f"SUBS_IDENTITY_BCRYPT_COST must be {MINIMUM_COST} or more.")
    use_places(settings.places)
    _rules[:] = [
        Rules(
            max(cost, 4), timedelta(minutes=settings.idle_minutes),
            timedelta(minutes=min(settings.keyless_idle_minutes, settings.idle_minutes)),
            timedelta(minutes=settings.bound_minutes), timedelta(seconds=settings.bind_seconds),
            timedelta(seconds=settings.bind_grace_seconds), timedelta(hours=settings.session_hours),
            timedelta(hours=settings.link_hours), timedelta(minutes=settings.reset_minutes),
            timedelta(minutes=settings.code_minutes),
            timedelta(hours=settings.email_change_hours), timedelta(days=settings.email_revert_days),
            timedelta(days=settings.recovery_days), checked_url(settings.breach_range_url),
        )
    ]  # fmt: skip


def rules() -> Rules:
    """The rules in force. Raises LookupError before `configure`."""
    if not _rules:
        raise LookupError("identity was not configured")
    return _rules[0]


def configure_place(public_url: str, product: str) -> None:
    """Know where the pages are seen. Raises SettingsError for an address that has no host name."""
    parts = urlsplit(public_url)
    if not parts.hostname:
        raise SettingsError("SUBS_PUBLIC_NAME must be a host name.")
    # as a browser writes its origin (RFC 6454): lower case, no port where it is the usual one
    _place[:] = [RelyingParty(parts.hostname, f"{parts.scheme}://{parts.netloc.lower()}", product)]


def relying_party() -> RelyingParty:
    """Whom passkeys are made for. Raises LookupError before `configure_place`."""
    if not _place:
        raise LookupError("identity was not told where its pages are")
    return _place[0]
