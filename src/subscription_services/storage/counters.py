"""Counters of rate limits, in the database: shared by every process and node."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Column, Connection, Index, Integer, LargeBinary, Table, case, delete
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
)
Index(None, counter.c.ends_at)


class DatabaseLimiter:
    """See `kernel.ports.Limiter`: a window that begins with the first use and ends after `seconds`."""

    def __init__(self, store: Store, keys: Keys, clock: Clock) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock

    async def spend(self, name: str, key: str, allowed: int, seconds: int) -> None:
        bucket = self._keys.mac("storage.limits", f"{name}\n{key}".encode())
        now = self._clock()
        ends_at, used = await self._store.write(
            Writer.LIMITS, lambda connection: _count(connection, bucket, now, seconds)
        )
        if used > allowed:
            raise TooMany(retry_after=max(1, int((ends_at - now).total_seconds())))

    async def forget(self) -> int:
        """Remove windows that are over."""
        statement = delete(counter).where(counter.c.ends_at < self._clock())
        return await self._store.write(Writer.LIMITS, lambda connection: connection.execute(statement).rowcount)


def _count(connection: Connection, bucket: bytes, now: datetime, seconds: int) -> tuple[datetime, int]:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    over = counter.c.ends_at <= now
    fresh = now + timedelta(seconds=seconds)
    statement = dialect.insert(counter).values(bucket=bucket, ends_at=fresh, used=1)
    statement = statement.on_conflict_do_update(
        index_elements=["bucket"],
        set_={
            "used": case((over, 1), else_=counter.c.used + 1),
            "ends_at": case((over, statement.excluded.ends_at), else_=counter.c.ends_at),
        },
    ).returning(counter.c.ends_at, counter.c.used)
    ends_at, used = connection.execute(statement).one()
    return ends_at, used
