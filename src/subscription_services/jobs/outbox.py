"""The outbox: rows added in an operation's transaction, taken by workers after its commit."""

from __future__ import annotations

import asyncio
from datetime import datetime

import msgspec
from sqlalchemy import Connection, select

from subscription_services.kernel.clock import Random, monotonic
from subscription_services.kernel.ids import Ids
from subscription_services.kernel.perform import Kernel

from .kinds import JobKinds
from .model import job


class DatabaseOutbox:
    """See `kernel.ports.Outbox`."""

    def __init__(self, kinds: JobKinds, random: Random) -> None:
        self.kinds = kinds
        self._random = random
        self._woken = asyncio.Event()

    def add(
        self, connection: Connection, job_: msgspec.Struct, *, now: datetime, run_at: datetime | None, key: str | None
    ) -> str:
        identifier = Ids(lambda: now, self._random).new("job")
        values = {
            "id": identifier, "kind": self.kinds.of(job_).name, "payload": msgspec.json.encode(job_), "key": key,
            "run_at": run_at or now, "created_at": now, "attempts": 0, "error": "",
        }  # fmt: skip
        if key is None:
            connection.execute(job.insert(), values)
            return identifier
        statement = _insert_once(connection).values(values).on_conflict_do_nothing(index_elements=["key"])
        if connection.execute(statement.returning(job.c.id)).first() is not None:
            return identifier
        return str(connection.execute(select(job.c.id).where(job.c.key == key)).scalar_one())

    def wake(self) -> None:
        self._woken.set()

    async def woken(self, seconds: float) -> None:
        """Wait for a wake-up in this process, at most `seconds`."""
        try:
            await asyncio.wait_for(self._woken.wait(), seconds)
        except TimeoutError:
            return
        self._woken.clear()


def _insert_once(connection: Connection):  # type: ignore[no-untyped-def]  # two dialects, one method set
    from sqlalchemy.dialects import postgresql, sqlite

    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(job)


async def wait_until_done(kernel: Kernel, job_id: str, seconds: float) -> bool:
    """Whether the job was done within `seconds`; it goes on by itself if not."""
    limit, pause = monotonic() + seconds, 0.02
    while True:
        done = await kernel.store.read(
            lambda c: c.execute(select(job.c.done_at).where(job.c.id == job_id)).scalar_one_or_none()
        )
        if done is not None or monotonic() > limit:
            return done is not None
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, 0.4)
