"""What an operation is told about its surroundings; immutable."""

from __future__ import annotations

from datetime import datetime

import msgspec

from .actors import Actor
from .clock import Random
from .ids import Ids


class Origin(msgspec.Struct, frozen=True):
    """Where a request came from. Personal data: the log holds it sealed."""

    address: str = ""
    user_agent: str = ""
    channel: str = "internal"
    hints: str = ""
    """What the browser adds of itself in each request (Client Hints of low entropy): platform and whether mobile."""


class Context(msgspec.Struct, frozen=True):
    """`now` is the only clock, `ids` and `random` the only randomness inside an operation."""

    actor: Actor
    now: datetime
    ids: Ids
    random: Random
    origin: Origin
    correlation_id: str
    idempotency_key: str | None = None
    suspected: tuple[str, ...] = ()
    """Which limits on spread guesses recognised this use: it must fail like any other, whatever it brings."""
