"""Which counters count: the database's, or Valkey's with the database behind them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
from redis import RedisError

from subscription_services.kernel.clock import Clock, monotonic
from subscription_services.kernel.ports import Keys, Limiter, Store

from .counters import DatabaseLimiter
from .valkey_counters import ValkeyLimiter

T = TypeVar("T")
SECONDS_APART = 5.0
"""How long the database counts after Valkey failed, before it is asked again."""
_lines = structlog.get_logger("storage")


def open_limiter(url: str, store: Store, keys: Keys, clock: Clock) -> Limiter:
    """The counters that the settings ask for. Raises SettingsError."""
    database = DatabaseLimiter(store, keys, clock)
    return FallbackLimiter(ValkeyLimiter(url, keys, clock), database) if url else database


class FallbackLimiter:
    """Valkey while it answers, else the database, for every class of limit: no limit is ever off, and no outage of the
    counters keeps people out.

    The database is there anyway and shared by all nodes as well. What was counted in the other place is not known
    meanwhile, so an outage gives whoever is counted at most what the limit allows once more; both places keep what they
    have, so that a second outage gives nothing again.
    """

    def __init__(self, first: Limiter, second: Limiter, ticks: Callable[[], float] = monotonic) -> None:
        self._first = first
        self._second = second
        self._ticks = ticks
        self._ask_again = 0.0
        self._failing = False

    async def spend(self, name: str, key: str, allowed: int, seconds: int) -> None:
        await self._count(lambda limiter: limiter.spend(name, key, allowed, seconds))

    async def spend_growing(self, name: str, key: str, allowed: int, waits: Sequence[int], quiet: int) -> None:
        await self._count(lambda limiter: limiter.spend_growing(name, key, allowed, waits, quiet))

    async def take_back(self, name: str, key: str, allowed: int, seconds: int) -> None:
        await self._count(lambda limiter: limiter.take_back(name, key, allowed, seconds))

    async def forgive(self, name: str, key: str) -> None:
        await self._count(lambda limiter: limiter.forgive(name, key))

    async def recognised(self, name: str, key: str, allowed: int) -> bool:
        return await self._count(lambda limiter: limiter.recognised(name, key, allowed))

    async def spread(self, name: str, key: str, member: str, allowed: int, seconds: int) -> bool:
        return await self._count(lambda limiter: limiter.spread(name, key, member, allowed, seconds))

    async def unspread(self, name: str, key: str, member: str) -> None:
        await self._count(lambda limiter: limiter.unspread(name, key, member))

    def close(self) -> None:
        self._first.close()
        self._second.close()

    async def _count(self, use: Callable[[Limiter], Awaitable[T]]) -> T:
        if self._ticks() < self._ask_again:
            return await use(self._second)
        try:
            answer = await use(self._first)
        except RedisError as error:
            self._ask_again = self._ticks() + SECONDS_APART
            if not self._failing:
                _lines.error("limits.database_counts", error=type(error).__name__)
            self._failing = True
            return await use(self._second)
        if self._failing:
            self._failing = False
            _lines.warning("limits.valkey_counts_again")
        return answer
