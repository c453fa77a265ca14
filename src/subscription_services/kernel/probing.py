"""Live checks come through the public door like anybody, with a pass that only this installation can write.

Same rules for them as for all; the pass gives them an origin, and so limits, of their own: they neither use up what
people behind the same address have, nor count in the team's figures.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from .errors import DomainError
from .ports import Keys

ADDRESS = "live check"
"""What stands for the client's address; no network address reads like it."""

HEADER = "X-Live-Check"
VALID = timedelta(minutes=5)
_KEY = "kernel.live-check"


def new_pass(keys: Keys, now: datetime) -> str:
    """The header's value, good for `VALID` from now. `keys` are those of the caller "kernel"."""
    moment = str(int(now.timestamp()))
    return f"{moment}.{keys.mac(_KEY, moment.encode()).hex()}"


def is_pass(keys: Keys, text: str, now: datetime) -> bool:
    """Whether this installation wrote the pass, not longer than `VALID` ago."""
    moment, _, mac = text.partition(".")
    if not (moment.isascii() and moment.isdigit() and len(moment) <= 12):
        return False
    if abs(int(moment) - now.timestamp()) > VALID.total_seconds():
        return False
    try:
        keys.verify_mac(_KEY, moment.encode(), bytes.fromhex(mac))
    except (ValueError, DomainError):
        return False
    return True
