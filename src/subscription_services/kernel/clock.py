"""The only place where time and randomness come from the operating system."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
Random = Callable[[int], bytes]


def system_clock() -> datetime:
    """The present instant, UTC.

    `SUBS_CLOCK_OFFSET` (seconds) shifts it for tests of clock jumps; it is honoured only on a sandbox installation.
    """
    return datetime.fromtimestamp(time.time() + _offset, UTC)


def system_random(count: int) -> bytes:
    """`count` bytes from the operating system's generator."""
    return os.urandom(count)


monotonic: Callable[[], float] = time.monotonic
"""Seconds on a clock that never jumps, for durations only."""

_offset = float(os.environ.get("SUBS_CLOCK_OFFSET", "0")) if os.environ.get("SUBS_SANDBOX") == "true" else 0.0
