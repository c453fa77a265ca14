"""Counters of rate limits in Valkey (or Redis), for many nodes: the database is spared a write for each of them.

Windows are those of the `limits` library. Time: the ends of windows and waits are expiries of the server, the one clock
that all nodes share. The library asks the wall clock only to say when a window ends; `_Storage` answers that from ours.
Waits that grow and members of spread guesses have scripts of their own, which the server runs as one step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from math import ceil
from typing import Any, TypeVar
from urllib.parse import urlsplit

from limits import RateLimitItemPerSecond
from limits.storage import RedisStorage
from limits.strategies import FixedWindowRateLimiter
from redis.backoff import NoBackoff
from redis.retry import Retry

from subscription_services.kernel.clock import Clock
from subscription_services.kernel.errors import SettingsError, TooMany
from subscription_services.kernel.ports import Keys

from .counters import MEMBERS_KEPT

T = TypeVar("T")
SCHEMES = {"redis": "redis", "valkey": "redis", "rediss": "rediss", "valkeys": "rediss"}
SECONDS_TO_ANSWER = 0.5
THREADS = 8
PREFIX = "subs"
_GROW = b"""
local left = redis.call('PTTL', KEYS[2])
if left > 0 then return left end
local used, allowed, quiet, wait = redis.call('INCR', KEYS[1]), tonumber(ARGV[1]), tonumber(ARGV[2]), 0
if used >= allowed then
  wait = tonumber(ARGV[3 + math.min(used - allowed, #ARGV - 3)])
  redis.call('SET', KEYS[2], '', 'PX', wait * 1000)
end
redis.call('PEXPIRE', KEYS[1], (wait + quiet) * 1000)
return 0
"""
_TAKE_BACK = b"""
if tonumber(redis.call('GET', KEYS[1]) or 0) > 0 then redis.call('DECR', KEYS[1]) end
if KEYS[2] then redis.call('DEL', KEYS[2]) end
"""
_SPREAD = b"""
local allowed, seconds, kept = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local full = redis.call('SCARD', KEYS[1]) >= kept
if full and redis.call('SISMEMBER', KEYS[1], ARGV[1]) == 1 then return 0 end
if not full and redis.call('SADD', KEYS[1], ARGV[1]) == 0 then return 0 end
local members = redis.call('SCARD', KEYS[1])
if members == 1 or members > allowed then redis.call('PEXPIRE', KEYS[1], seconds * 1000) end
if not full and members == allowed + 1 then return 1 end
return 0
"""


class ValkeyLimiter:
    """See `kernel.ports.Limiter`. Raises `redis.RedisError` when the server does not answer as it should."""

    def __init__(self, url: str, keys: Keys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock
        self._storage = _Storage(client_url(url), clock)
        self._windows = FixedWindowRateLimiter(self._storage)
        self._server: Any = self._storage.get_connection()
        self._grow = self._server.register_script(_GROW)
        self._take_back = self._server.register_script(_TAKE_BACK)
        self._spread = self._server.register_script(_SPREAD)
        # threads rather than the loop's own connections: commands and jobs use one house from several loops in turn
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="limits")

    async def spend(self, name: str, key: str, allowed: int, seconds: int) -> None:
        item, bucket = RateLimitItemPerSecond(allowed, seconds, namespace="window"), self._bucket(name, key)
        ends = await self._ask(
            lambda: 0 if self._windows.hit(item, bucket) else self._windows.get_window_stats(item, bucket).reset_time
        )
        if ends:
            raise TooMany(retry_after=max(1, int(ends - self._clock().timestamp())))

    async def spend_growing(self, name: str, key: str, allowed: int, waits: Sequence[int], quiet: int) -> None:
        names = self._growing(name, key)
        left = timedelta(milliseconds=await self._ask(lambda: int(self._grow(names, [allowed, quiet, *waits]))))
        if left > timedelta(0):
            raise TooMany(retry_after=max(1, ceil(left.total_seconds())))

    async def take_back(self, name: str, key: str, allowed: int, seconds: int) -> None:
        names = self._growing(name, key)
        if seconds:
            window = RateLimitItemPerSecond(allowed, seconds, namespace="window").key_for(self._bucket(name, key))
            names = [self._storage.prefixed_key(window)]
        await self._ask(lambda: self._take_back(names))

    async def forgive(self, name: str, key: str) -> None:
        names = self._growing(name, key)
        await self._ask(lambda: self._server.delete(*names))

    async def recognised(self, name: str, key: str, allowed: int) -> bool:
        members = self._members(name, key)
        return await self._ask(lambda: int(self._server.scard(members))) > allowed

    async def spread(self, name: str, key: str, member: str, allowed: int, seconds: int) -> bool:
        members, mine = self._members(name, key), self._bucket(name, f"{key}\n{member}")
        values: list[str | int] = [mine, allowed, seconds, allowed * MEMBERS_KEPT]
        return bool(await self._ask(lambda: self._spread([members], values)))

    async def unspread(self, name: str, key: str, member: str) -> None:
        members, mine = self._members(name, key), self._bucket(name, f"{key}\n{member}")
        await self._ask(lambda: self._server.srem(members, mine))

    def close(self) -> None:
        """End the connections."""
        self._threads.shutdown(wait=True)
        self._server.close()

    async def _ask(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _bucket(self, name: str, key: str) -> str:
        """A MAC over limit and key: says nothing of who was counted."""
        return self._keys.mac("storage.limits", f"{name}\n{key}".encode()).hex()

    def _growing(self, name: str, key: str) -> list[str]:
        # the braces keep both on one node of a cluster
        bucket = f"{PREFIX}:{{{self._bucket(name, key)}}}"
        return [f"{bucket}:used", f"{bucket}:wait"]

    def _members(self, name: str, key: str) -> str:
        return f"{PREFIX}:{{{self._bucket(name, key)}}}:members"


class _Storage(RedisStorage):
    """The library's own storage, with our clock in place of the wall's."""

    def __init__(self, url: str, clock: Clock) -> None:
        self._clock = clock
        super().__init__(
            url, key_prefix=PREFIX, socket_timeout=SECONDS_TO_ANSWER, socket_connect_timeout=SECONDS_TO_ANSWER,
            retry=Retry(NoBackoff(), 1),  # type: ignore[arg-type]  # one more for a connection that went stale
        )  # fmt: skip

    def get_expiry(self, key: str) -> float:
        """When the window ends."""
        left: Any = self.get_connection(True).ttl(self.prefixed_key(key))
        return max(int(left), 0) + self._clock().timestamp()


def client_url(url: str) -> str:
    """The URL as the client library wants it. Raises SettingsError unless it is one that keeps what it carries."""
    scheme, _, rest = url.partition("://")
    if scheme not in SCHEMES or not urlsplit(url).hostname:
        raise SettingsError(
            "SUBS_LIMITS_URL must be like rediss://user:password@host:port/0; or valkeys, redis, valkey."
        )
    if SCHEMES[scheme] == "redis" and urlsplit(url).hostname not in ("localhost", "127.0.0.1", "::1"):
        raise SettingsError("SUBS_LIMITS_URL leads off this machine without TLS. Use rediss:// or valkeys://.")
    return f"{SCHEMES[scheme]}://{rest}"
