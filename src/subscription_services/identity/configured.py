"""The settings in force in this process, told once by app.py before anything is performed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from subscription_services.kernel.errors import SettingsError

from .passwords import MINIMUM_COST, calibrate
from .places import use_places
from .settings import IdentitySettings


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


_rules: list[Rules] = []


def configure(settings: IdentitySettings, *, sandbox: bool) -> None:
    """Choose the work factor and keep the limits. Raises SettingsError for a factor below 12 outside a sandbox,
    StartError for a database of places that cannot be read."""
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
        )
    ]  # fmt: skip


def rules() -> Rules:
    """The rules in force. Raises LookupError before `configure`."""
    if not _rules:
        raise LookupError("identity was not configured")
    return _rules[0]
