"""A clock that only tests move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta


@dataclass(slots=True)
class MovingClock:
    now: datetime = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    followers: list[Callable[[timedelta], None]] = field(default_factory=list)
    """Clocks of others that are to move along, such as that of a server on which counters end."""

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **amount: float) -> None:
        """Move by `timedelta(**amount)`; negative amounts are a clock set back."""
        step = timedelta(**amount)
        self.now += step
        for follow in self.followers:
            follow(step)
