"""An audited write through perform() against the same durable statements by hand, on both engines.

By hand means: the row, the event (as large as perform() wrote it, its values ready-made) and the writer's counter,
through the same store and so in the same commit groups, with the same library and statements compiled once. No check,
no permission, no JSON and no code of authentication is made there; each thread has a writer of its own, so that
nobody waits for another's counter.
"""

from __future__ import annotations

import asyncio
import itertools
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from bench.measure import Ratio, from_pairs, rate
from subscription_services.kernel.actors import System
from subscription_services.kernel.perform import perform
from subscription_services.kernel.ports import Writer
from subscription_services.ledger import model
from subscription_services.testing import PostgresServer, World, find_postgres, prepared_template
from tests.storage.sample import OPERATIONS, Number, keep, sample

CALLERS = 32
COUNT = 2000
ROUNDS = 5
ACTOR = System("bench")
_KEEP = insert(sample)
_EVENT = insert(model.event)
_ADVANCE = update(model.writer).where(model.writer.c.writer == bindparam("held")).values(counter=bindparam("to"))


def run() -> list[Ratio]:
    """SQLCipher, and PostgreSQL (waiting for its disk) where it is installed."""
    with tempfile.TemporaryDirectory(prefix="subs-bench-") as folder:
        rows = _engine("SQLCipher", Path(folder), "")
    if find_postgres() is None:
        print("PostgreSQL is not installed: its rows are left out (apt-get install postgresql)")
        return rows
    server = PostgresServer.start(durable=True)
    try:
        with tempfile.TemporaryDirectory(prefix="subs-bench-") as folder:
            return rows + _engine("PostgreSQL", Path(folder), server.create("bench"))
    finally:
        server.stop()


@contextmanager
def opened(data: Path, database: str) -> Iterator[World]:
    """A house with the sample operation and its table."""
    prepared_template(data, database)
    with World.open(data, database, more=OPERATIONS) as world:
        sample.metadata.create_all(world.house.store.write_engine)
        yield world


class ByHand:
    """The statements themselves."""

    def __init__(self, world: World) -> None:
        world.do(keep, ACTOR, Number(1))
        with world.house.store.reading() as connection:
            row = connection.execute(select(model.event).where(model.event.c.action == keep.name).limit(1)).one()
        self._example = dict(row._mapping)
        self._ids = world.house.kernel.context(ACTOR).ids
        self._own = threading.local()
        self._names = itertools.count(1)

    def __call__(self, connection: Connection, number: int) -> None:
        new = self._ids.new
        row, event, correlation = new("num"), new("evt"), new("cor")
        name, counter = self._next(connection)
        connection.execute(_KEEP, {"id": row, "number": number})
        connection.execute(_ADVANCE, {"held": name, "to": counter})
        values = {"id": event, "writer": name, "counter": counter, "object": row, "correlation": correlation}
        connection.execute(_EVENT, self._example | values)

    def _next(self, connection: Connection) -> tuple[str, int]:
        if not hasattr(self._own, "name"):
            # sorts after the real ones, so that perform() never meets it
            self._own.name, self._own.counter = f"zzz_{next(self._names)}", itertools.count(1)
            connection.execute(insert(model.writer), {"writer": self._own.name, "counter": 0, "mac": bytes(33)})
        return self._own.name, next(self._own.counter)


def _engine(name: str, data: Path, database: str) -> list[Ratio]:
    with opened(data, database) as world:
        kernel = world.house.kernel
        by_hand = ByHand(world)

        async def audited(number: int) -> Any:
            return await perform(kernel, keep, ACTOR, Number(number))

        async def grouped(number: int) -> Any:
            return await kernel.store.write(Writer.PERFORM, lambda connection: by_hand(connection, number))

        def single(count: int) -> None:
            """One connection, one transaction each, straight to the database: no group, queue or pool."""
            engine, begin = kernel.store.write_engine, kernel.store.dialect == "sqlite"  # type: ignore[attr-defined]
            with engine.connect() as connection:
                for number in range(count):
                    if begin:
                        connection.exec_driver_sql("BEGIN IMMEDIATE")
                    by_hand(connection, number)
                    connection.exec_driver_sql("COMMIT") if begin else connection.commit()

        ours, same = _together(world, audited), _together(world, grouped)
        for warm in (ours, same, single):
            warm(200)
        before = _kept(world)
        group, one_by_one = [], []
        for _ in range(ROUNDS):
            mine = rate(ours, COUNT)
            group.append((mine, rate(same, COUNT)))
            one_by_one.append((mine, rate(single, COUNT // 2)))
        _check(world, before, ROUNDS * (COUNT + COUNT + COUNT // 2))
        what = f"audited write, {CALLERS} callers, {name}"
        return [
            from_pairs(what, "same statements by hand, same groups", group, 0.6),
            from_pairs(what, "same statements, committed one by one", one_by_one, 1.0),
        ]


def _together(world: World, one: Callable[[int], Awaitable[Any]]) -> Callable[[int], None]:
    async def all_callers(count: int) -> None:
        numbers = iter(range(count))

        async def caller() -> None:
            for number in numbers:
                await one(number)

        await asyncio.gather(*(caller() for _ in range(CALLERS)))

    return lambda count: world.run(all_callers(count))


def _kept(world: World) -> tuple[int, int]:
    with world.house.store.reading() as connection:
        rows = connection.execute(select(func.count()).select_from(sample)).scalar_one()
        events = select(func.count()).select_from(model.event).where(model.event.c.action == keep.name)
        return rows, connection.execute(events).scalar_one()


def _check(world: World, before: tuple[int, int], expected: int) -> None:
    """Each write left one row and one event, whichever way it went."""
    added = tuple(now - then for now, then in zip(_kept(world), before, strict=True))
    if added != (expected, expected):
        raise AssertionError(f"{expected} writes left {added} rows and events")
