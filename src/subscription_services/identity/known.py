"""Browsers that signed in to an account before: a cookie that only this service can write.

What such a browser gets wrong is counted apart from what the rest of the world gets wrong for the same account, so
nobody elsewhere can lock the owner out. The cookie opens nothing by itself (OWASP, "Device cookies").
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import datetime
from typing import Any

from subscription_services.kernel.clock import Random
from subscription_services.kernel.context import Context
from subscription_services.kernel.limits import source_of
from subscription_services.kernel.operations import GrowingLimit, Limit, SpreadLimit
from subscription_services.kernel.ports import Keys
from subscription_services.kernel.probing import ADDRESS

from .errors import BadAddress
from .fields import clean_email
from .passkeys import credential_of
from .passwords import normalise
from .queries import email_index

WAITS = (15, 60, 300, 900, 3600)
"""Seconds after the fifth, sixth ... wrong password in a row; the last one is the lock."""
QUIET = 3600
FREE = 5
STRANGERS = 30
"""Wrong passwords of one account from all browsers that it does not know, before these have to wait."""
STRANGERS_WAIT = (300, 900, 3600)
STRANGERS_QUIET = 86_400
"""A botnet that rests for an hour begins where it stopped: some fifty tries a day, under the hundred in a row that
SP 800-63B-4 (3.2.2) allows."""
ACCOUNTS_OF_A_SOURCE = 10
"""Different accounts that one address fails at within an hour and does not get into, before it is held for stuffing:
more than an office behind one address has of people who give up."""
PLACES_OF_A_PASSWORD = 20
"""Accounts and addresses where one wrong password was typed within an hour, before it is held for spraying."""
SPREAD_OVER = 3600
STUFFING = "identity.stuffing_recognised"
MANY_ACCOUNTS = "many accounts from one source, in unknown browsers"
ONE_PASSWORD = "one password in many places, in unknown browsers"  # noqa: S105  a name of what is counted
DEVICE, BEGUN = "identity.device", "identity.sign-up"
"""A browser that signed in; a browser that began an account, whose address nobody had proved yet."""


def new_device(
    keys: Keys, random: Random, email: str, purpose: str = DEVICE, now: datetime | None = None
) -> str:  # fmt: skip
    """A cookie for a browser that has just proved itself for this address, or begun an account with it.

    `now` stands in it, for `made_before`."""
    nonce = f"{int(now.timestamp()) if now else 0:x}-{random(16).hex()}"
    return f"{nonce}.{_mac(keys, purpose, nonce, email)}"


def made_before(device: str, moment: datetime | None) -> bool:
    """Whether a known browser's cookie (as `device_of` answers it) is older than that moment."""
    text = device.partition("-")[0]
    return moment is not None and int(text, 16) < int(moment.timestamp())


def device_of(keys: Keys, email: str, cookie: str, purpose: str = DEVICE) -> str:
    """Which known browser it is, or nothing for one that this address does not know."""
    nonce, _, mac = cookie.partition(".")
    return nonce if mac and hmac.compare_digest(_mac(keys, purpose, nonce, email).encode(), mac.encode()) else ""


def _mac(keys: Keys, purpose: str, nonce: str, email: str) -> str:
    return keys.mac(purpose, nonce.encode() + b"\n" + email_index(keys, email)).hex()


def _who_tries(keys: Keys, ctx: Context, request: Any) -> str:
    email = request.email.casefold()
    return f"{device_of(keys, email, request.device) or source_of(ctx.origin.address)}\n{email}"


def _unknown(of: Callable[[Any], str]) -> Callable[[Keys, Context, Any], str]:
    def key(keys: Keys, ctx: Context, request: Any) -> str:
        return "" if device_of(keys, request.email.casefold(), request.device) else of(request)

    return key


def _which_passkey(keys: Keys, ctx: Context, request: Any) -> str:
    """Nobody guesses a signature; but who fails again and again with one passkey is slowed down where they are."""
    name = credential_of(request.credential)
    return f"{source_of(ctx.origin.address)}\n{name}" if name else ""


SOURCE_LIMITS = (Limit(60, 900, "address"), Limit(300, 900, "block"), Limit(6000, 900, "all"))


def _source(keys: Keys, ctx: Context, request: Any) -> str:
    # the live checks' own address fails at a new account each time; they count under the other limits
    stranger = not device_of(keys, request.email.casefold(), request.device) and ctx.origin.address != ADDRESS
    return source_of(ctx.origin.address) if stranger else ""


def _password(keys: Keys, ctx: Context, request: Any) -> str:
    """What little is needed to see the same password again within the hour: 24 bits under a key of that hour.

    A right password is never written down, not even so (docs/decisions, "Guesses spread thin")."""
    if not _source(keys, ctx, request):
        return ""
    hour = f"{ctx.now:%Y-%m-%dT%H}".encode()
    return keys.mac("identity.password-typed", hour + b"\n" + normalise(request.password))[:3].hex()


def _email(keys: Keys, ctx: Context, request: Any) -> str:
    return str(request.email.casefold())


def _place(keys: Keys, ctx: Context, request: Any) -> str:
    return f"{source_of(ctx.origin.address)}\n{request.email.casefold()}"


def _mailbox(keys: Keys, ctx: Context, request: Any) -> str:
    """One mailbox, however its address is written (Unicode or ASCII domain, wide letters, case)."""
    try:
        return clean_email(request.email).casefold()
    except BadAddress:
        return str(request.email).casefold()


LETTERS_AN_HOUR = Limit(5, 3600, "email", _mailbox)
"""What strangers can have sent to one mailbox, of each kind."""
SIGN_IN_LIMITS = (
    *SOURCE_LIMITS,
    GrowingLimit(FREE, WAITS, QUIET, "account and browser or address", _who_tries),
    GrowingLimit(
        STRANGERS, STRANGERS_WAIT, STRANGERS_QUIET, "account from unknown browsers",
        _unknown(lambda request: request.email.casefold()),
    ),
    SpreadLimit(ACCOUNTS_OF_A_SOURCE, SPREAD_OVER, MANY_ACCOUNTS, STUFFING, _source, _email),
    SpreadLimit(PLACES_OF_A_PASSWORD, SPREAD_OVER, ONE_PASSWORD, STUFFING, _password, _place, forgiven=False),
)  # fmt: skip
PASSKEY_LIMITS = (*SOURCE_LIMITS, GrowingLimit(FREE, WAITS, QUIET, "passkey and address", _which_passkey))
