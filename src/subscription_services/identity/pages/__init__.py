"""Pages of the room: accounts, signing in, second factor, devices, activity."""

from __future__ import annotations

from subscription_services.web.routes import Route

from . import (
    account,
    binding,
    devices,
    email,
    enrol,
    passkeys,
    recovery,
    reset,
    sign_in,
    sign_up,
    single_sign_on,
    two_factor,
    unlock,
)
from .cookies import DEVICE_PROOF, SCRIPT_PROOF, SESSION_COOKIE


def routes() -> tuple[Route, ...]:
    """The routes of the room."""
    return (
        *sign_up.routes(), *sign_in.routes(), *passkeys.routes(), *binding.routes(), *reset.routes(), *unlock.routes(),
        *enrol.routes(), *account.routes(), *two_factor.routes(), *devices.routes(),
        *email.routes(), *recovery.routes(), *single_sign_on.routes(),
    )  # fmt: skip


__all__ = ["DEVICE_PROOF", "SCRIPT_PROOF", "SESSION_COOKIE", "routes"]
