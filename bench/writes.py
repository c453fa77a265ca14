"""An audited write through perform() against the same statements by hand in the same commit groups, both engines."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from bench.measure import Ratio, from_pairs, rate
from subscription_services.kernel.actors import System
from subscription_services.kernel.perform import perform
from subscription_services.kernel.ports import Writer
from subscription_services.ledger import model
from subscription_services.storage.sqlite import SqliteStore
from subscription_services.testing import PostgresServer, World, find_postgres, prepared_template
from tests.storage.sample import OPERATIONS, Number, keep, sample

CALLERS = 32
COUNT = 3000
ACTOR = System("bench")


def run() -> list[Ratio]:
    rows: list[Ratio] = []
    with tempfile.TemporaryDirectory() as folder:
        rows += _engine("SQLCipher", Path(folder), "")
    if find_postgres() is not None:
        server = PostgresServer.start(durable=True)
        try:
            with tempfile.TemporaryDirectory() as folder:
                rows += _engine("PostgreSQL", Path(folder), server.create("bench"))
        finally:
            server.stop()
    return rows


def _engine(name: str, data: Path, database: str) -> list[Ratio]:
    prepared_template(data, database)
    with World.open(data, database, more=OPERATIONS) as world:
        sample.metadata.create_all(world.house.store.write_engine)  # type: ignore[attr-defined]
        kernel = world.house.kernel
        events = world.events()
        example = _example_row(world) if events else {}

        async def audited(number: int) -> Any:
            return await perform(kernel, keep, ACTOR, Number(number))

        ids = kernel.context(ACTOR).ids

        def statements(connection: Any, number: int) -> None:
            """What perform() has to leave in the store: the row, the event, the writer's counter."""
            connection.execute(insert(sample).values(id=ids.new("num"), number=number))
            _write_event(connection, example, ids.new("evt"))

        async def by_hand(number: int) -> Any:
            return await kernel.store.write(Writer.PERFORM, lambda connection: statements(connection, number))

        def together(one: Callable[[int], Awaitable[Any]]) -> Callable[[int], None]:
            async def all_callers(count: int) -> None:
                numbers = iter(range(count))

                async def caller() -> None:
                    for number in numbers:
                        await one(number)

                await asyncio.gather(*(caller() for _ in range(CALLERS)))

            return lambda count: world.run(all_callers(count))

        def alone(count: int) -> None:
            """The same statements, each committed by itself, without group or pool."""
            store = kernel.store
            engine = store.write_engine  # type: ignore[attr-defined]
            with engine.connect() as connection:
                for number in range(count):
                    if isinstance(store, SqliteStore):
                        connection.exec_driver_sql("BEGIN IMMEDIATE")
                        statements(connection, number)
                        connection.exec_driver_sql("COMMIT")
                    else:
                        with connection.begin():
                            statements(connection, number)

        for warm in (together(audited), together(by_hand), alone):
            warm(200)
        group = [(rate(together(audited), COUNT), rate(together(by_hand), COUNT)) for _ in range(4)]
        single = [(rate(together(audited), COUNT), rate(alone, COUNT // 3)) for _ in range(4)]
        what = f"audited write, {CALLERS} callers, {name}"
        return [
            from_pairs(what, "same statements by hand, same groups", group, 0.6),
            from_pairs(what, "same statements, committed one by one", single, 1.0),
        ]


def _example_row(world: World) -> dict[str, Any]:
    with world.house.store.reading() as connection:
        return dict(connection.execute(model.event.select().limit(1)).one()._mapping)


def _write_event(connection: Any, example: dict[str, Any], identifier: str) -> None:
    counter = int.from_bytes(bytes.fromhex(identifier[-12:]), "big")
    connection.execute(insert(model.event), {**example, "id": identifier, "writer": "bench", "counter": counter})
    connection.execute(model.writer.update().where(model.writer.c.writer == "nobody").values(counter=counter, mac=b""))
