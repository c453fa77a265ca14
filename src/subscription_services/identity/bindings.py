"""What a session is bound to besides its token, and whether a request shows it. Pure rules; see docs/decisions."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from datetime import datetime

import msgspec

from subscription_services.kernel.context import Origin
from subscription_services.kernel.limits import block_of
from subscription_services.kernel.ports import Keys

from .configured import rules
from .model import Held
from .tokens import digest

_NETWORK = "identity.network"
_OFFER = "identity.offer"
_CHALLENGE = "identity.challenge"


class Binding(msgspec.Struct, frozen=True):
    """As it is stored. `until` and `earlier_until` are when the cookies of these digests end."""

    held: Held
    network: bytes = b""
    digest: bytes | None = None
    until: datetime | None = None
    earlier_digest: bytes | None = None
    earlier_until: datetime | None = None
    bound_at: datetime | None = None


class Shown(msgspec.Struct, frozen=True):
    """What a request shows: its cookies of each kind, whether it only looks, and a way to find its network."""

    network: Callable[[], bytes]
    device: str = ""
    script: str = ""
    bearer: bool = False
    looks: bool = False


def shows(bound: Binding, shown: Shown, now: datetime) -> bool:
    """Whether the request comes from where the session belongs."""
    if bound.held == Held.PROGRAM:
        return True
    if shown.bearer:
        # or a copied cookie would work as a bearer token
        return False
    if bound.held == Held.NETWORK:
        return hmac.compare_digest(bound.network, shown.network())
    cookie = shown.device if bound.held == Held.DEVICE else shown.script
    if cookie:
        given = digest(cookie)
        for wanted, until in ((bound.digest, bound.until), (bound.earlier_digest, bound.earlier_until)):
            if wanted is not None and until is not None and now < until and hmac.compare_digest(given, wanted):
                return True
    fresh = bound.bound_at is not None and now < bound.bound_at + rules().grace
    return fresh and shown.looks and hmac.compare_digest(bound.network, shown.network())


def network_of(keys: Keys, origin: Origin) -> bytes:
    """A keyed digest of the address block and of what the browser says of itself."""
    return keys.mac(_NETWORK, f"{block_of(origin.address)}\n{origin.user_agent}\n{origin.hints}".encode())


def offer_of(keys: Keys, token: str) -> str:
    """The challenge that the first key of a session signs: known to the answer that brought this token, and to no
    cookie jar."""
    return keys.mac(_OFFER, token.encode()).hex()


def challenge_of(keys: Keys, session: str, nonce: bytes) -> str:
    """The challenge that the next proof signs."""
    return keys.mac(_CHALLENGE, session.encode() + b"\n" + nonce).hex()
