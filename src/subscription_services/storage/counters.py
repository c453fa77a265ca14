"""Counters of rate limits, in the database: shared by every process and node."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from sqlalchemy import Column, Connection, Index, Integer, LargeBinary, Table, case, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from subscription_services.kernel.clock import Clock
from subscription_services.kernel.columns import Instant
from subscription_services.kernel.errors import TooMany
from subscription_services.kernel.model import metadata
from subscription_services.kernel.ports import Keys, Store, Writer

counter = Table(
    "storage_counter",
    metadata,
    Column("bucket", LargeBinary, primary_key=True),  # MAC over limit and key: says nothing of who was counted
    Column("ends_at", Instant, nullable=False),
    Column("used", Integer, nullable=False),
    Column("open_at", Instant),  # where waits grow: when the next use is allowed
)
Index(None, counter.c.ends_at)


MEMBERS_KEPT = 4
"""Once so many times the allowed number of members stand under a key, further ones are not remembered one by one."""


class DatabaseLimiter:
    """See `kernel.ports.Limiter`: a window that begins with the first use and ends after `seconds`."""

    def __init__(self, store: Store, keys: Keys, clock: Clock) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock

    async def spend(self, name: str, key: str, allowed: int, seconds: int) -> None:
        bucket, now = self._bucket(name, key), self._clock()
        ends_at, used = await self._store.write(
            Writer.LIMITS, lambda connection: _count(connection, bucket, now, seconds)
        )
        if used > allowed:
            raise TooMany(retry_after=max(1, int((ends_at - now).total_seconds())))

    async def spend_growing(self, name: str, key: str, allowed: int, waits: Sequence[int], quiet: int) -> None:
        bucket, now = self._bucket(name, key), self._clock()
        wait = await self._store.write(
            Writer.LIMITS, lambda connection: _grow(connection, bucket, now, allowed, waits, quiet)
        )
        if wait > timedelta(0):
            raise TooMany(retry_after=max(1, ceil(wait.total_seconds())))

    async def take_back(self, name: str, key: str, allowed: int, seconds: int) -> None:
        live = update(counter).where(
            counter.c.bucket == self._bucket(name, key), counter.c.used > 0, counter.c.ends_at > self._clock()
        )  # fmt: skip
        less = live.values(used=counter.c.used - 1, open_at=None)
        await self._store.write(Writer.LIMITS, lambda connection: connection.execute(less))

    async def forgive(self, name: str, key: str) -> None:
        statement = delete(counter).where(counter.c.bucket == self._bucket(name, key))
        await self._store.write(Writer.LIMITS, lambda connection: connection.execute(statement))

    async def recognised(self, name: str, key: str, allowed: int) -> bool:
        live = select(counter.c.used).where(
            counter.c.bucket == self._bucket(name, key), counter.c.ends_at > self._clock()
        )  # fmt: skip
        used = await self._store.read(lambda connection: connection.execute(live).scalar())
        return used is not None and used > allowed

    async def spread(self, name: str, key: str, member: str, allowed: int, seconds: int) -> bool:
        bucket, mine, now = self._bucket(name, key), self._bucket(name, f"{key}\n{member}"), self._clock()
        return await self._store.write(
            Writer.LIMITS, lambda connection: _spread(connection, bucket, mine, now, allowed, seconds)
        )

    async def unspread(self, name: str, key: str, member: str) -> None:
        bucket, mine, now = self._bucket(name, key), self._bucket(name, f"{key}\n{member}"), self._clock()
        await self._store.write(Writer.LIMITS, lambda connection: _unspread(connection, bucket, mine, now))

    def close(self) -> None:
        """The store is closed by whoever opened it."""

    def _bucket(self, name: str, key: str) -> bytes:
        return self._keys.mac("storage.limits", f"{name}\n{key}".encode())

    async def forget(self) -> int:
        """Remove windows that are over."""
        statement = delete(counter).where(counter.c.ends_at < self._clock())
        return await self._store.write(Writer.LIMITS, lambda connection: connection.execute(statement).rowcount)


def _grow(
    connection: Connection, bucket: bytes, now: datetime, allowed: int, waits: Sequence[int], quiet: int
) -> timedelta:
    """Count a use and return zero, or return how long to wait and count nothing."""
    first = _insert(connection).values(bucket=bucket, ends_at=now, used=0).on_conflict_do_nothing()
    connection.execute(first)
    row = connection.execute(select(counter).where(counter.c.bucket == bucket).with_for_update()).one()
    if row.open_at is not None and row.open_at > now:
        return row.open_at - now  # type: ignore[no-any-return]
    used = 1 if row.ends_at <= now else row.used + 1
    wait = timedelta(seconds=waits[min(used - allowed, len(waits) - 1)]) if used >= allowed else timedelta(0)
    values = {"used": used, "open_at": now + wait, "ends_at": now + wait + timedelta(seconds=quiet)}
    connection.execute(update(counter).where(counter.c.bucket == bucket).values(values))
    return timedelta(0)


def _spread(
    connection: Connection, bucket: bytes, mine: bytes, now: datetime, allowed: int, seconds: int
) -> bool:  # fmt: skip
    """One row for the key, one for each member; a member's row ends with the window in which it came."""
    connection.execute(_insert(connection).values(bucket=bucket, ends_at=now, used=0).on_conflict_do_nothing())
    row = connection.execute(select(counter).where(counter.c.bucket == bucket).with_for_update()).one()
    found = select(counter.c.bucket).where(counter.c.bucket == mine, counter.c.ends_at > now)
    if connection.execute(found).first() is not None:
        return False
    used = 1 if row.ends_at <= now else row.used + 1
    ends_at = now + timedelta(seconds=seconds) if used == 1 or used > allowed else row.ends_at
    connection.execute(update(counter).where(counter.c.bucket == bucket).values(used=used, ends_at=ends_at))
    if used <= allowed * MEMBERS_KEPT:
        member = _insert(connection).values(bucket=mine, ends_at=ends_at, used=1)
        member = member.on_conflict_do_update(index_elements=["bucket"], set_={"ends_at": ends_at})
        connection.execute(member)
    return used == allowed + 1


def _unspread(connection: Connection, bucket: bytes, mine: bytes, now: datetime) -> None:
    gone = delete(counter).where(counter.c.bucket == mine, counter.c.ends_at > now)
    if connection.execute(gone).rowcount:
        less = update(counter).where(counter.c.bucket == bucket, counter.c.ends_at > now, counter.c.used > 0)
        connection.execute(less.values(used=counter.c.used - 1))


def _insert(connection: Connection) -> Any:
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(counter)


def _count(connection: Connection, bucket: bytes, now: datetime, seconds: int) -> tuple[datetime, int]:
    over = counter.c.ends_at <= now
    fresh = now + timedelta(seconds=seconds)
    statement = _insert(connection).values(bucket=bucket, ends_at=fresh, used=1)
    statement = statement.on_conflict_do_update(
        index_elements=["bucket"],
        set_={
            "used": case((over, 1), else_=counter.c.used + 1),
            "ends_at": case((over, statement.excluded.ends_at), else_=counter.c.ends_at),
        },
    ).returning(counter.c.ends_at, counter.c.used)
    ends_at, used = connection.execute(statement).one()
    return ends_at, used
