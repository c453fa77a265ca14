"""A log on a real store with real keys, on each engine in turn, and direct access to its database for attacks."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import Connection, Engine, insert, select, text

from subscription_services.kernel.clock import system_random
from subscription_services.kernel.events import Event, Outcome
from subscription_services.kernel.ids import Ids
from subscription_services.kernel.model import metadata
from subscription_services.kernel.ports import Writer
from subscription_services.kernel.settings import HouseSettings
from subscription_services.keys import KeyRing, KeySettings, open_embedded
from subscription_services.ledger import model
from subscription_services.ledger.append import DatabaseEventLog
from subscription_services.ledger.entries import WRITER_PURPOSE, counter_mac
from subscription_services.ledger.guards import drop_statements
from subscription_services.ledger.memory import FileMemory
from subscription_services.ledger.queries import (
    Found,
    Inclusion,
    find_event,
    newest_checkpoint,
    prove_consistency,
    prove_inclusion,
)
from subscription_services.ledger.sequencer import Sequenced, sequence
from subscription_services.ledger.stored import Log, write_tiles
from subscription_services.ledger.tiles import TileEdge, grow
from subscription_services.ledger.tree import hash_leaf
from subscription_services.ledger.verify import Verified, verify_log
from subscription_services.storage import open_store
from subscription_services.storage.postgres import PostgresStore
from subscription_services.storage.sqlite import SqliteStore
from subscription_services.testing import MovingClock, PostgresServer

T = TypeVar("T")


@dataclass(slots=True)
class Bench:
    """The parts of a log and short names for what tests do with it."""

    store: SqliteStore | PostgresStore
    keys: KeyRing
    log: Log
    events: DatabaseEventLog
    clock: MovingClock
    runner: asyncio.Runner

    @property
    def engine(self) -> Engine:
        """Full write access to the database, past every operation."""
        return self.store.write_engine

    def event(self, **fields: Any) -> Event:
        self.clock.advance(milliseconds=1)
        values: dict[str, Any] = {
            "id": Ids(self.clock, system_random).new("evt"), "at": self.clock(), "action": "subscriptions.cancel",
            "outcome": Outcome.SUCCESS, "actor_kind": "subscriber", "actor": "acc_1",
        }  # fmt: skip
        return Event(**{**values, **fields})

    def write(self, work: Callable[[Connection], T]) -> T:
        return self.runner.run(self.store.write(Writer.PERFORM, work))

    def append(self, *events: Event) -> tuple[Event, ...]:
        self.write(lambda connection: self.events.append(connection, events))
        return events

    def append_many(self, count: int) -> list[Event]:
        """Events in transactions of ten."""
        made = [self.event(object=f"sub_{number}", subject="acc_1") for number in range(count)]
        for start in range(0, count, 10):
            self.append(*made[start : start + 10])
        return made

    def sequence(self) -> Sequenced:
        return self.runner.run(sequence(self.store, self.log, self.clock))

    def verify(self, *outside: bytes) -> Verified:
        return verify_log(self.store, self.log, outside)

    def read(self, work: Callable[[Connection], T]) -> T:
        with self.store.reading() as connection:
            return work(connection)

    def find(self, event: Event) -> Found:
        return self.read(lambda connection: find_event(connection, event.id))

    def prove(self, event: Event) -> Inclusion:
        return self.read(lambda connection: prove_inclusion(connection, event.id))

    def prove_extends(self, old_size: int, new_size: int) -> tuple[bytes, ...]:
        return self.read(lambda connection: prove_consistency(connection, old_size, new_size))

    def note(self) -> bytes:
        """The newest published checkpoint."""
        head = self.read(newest_checkpoint)
        assert head is not None
        return bytes(head.note)

    def sql(self, *statements: str, **values: Any) -> list[Any]:
        """Run statements as somebody who has the database, in one transaction; the rows of the last one."""
        with self.engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            result = None
            for statement in statements:
                result = connection.execute(text(statement), values)
            rows = list(result) if result is not None and result.returns_rows else []
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("COMMIT")
            else:
                connection.commit()
            return rows

    def second_writer(self) -> None:
        """From now on events are written by another writer, as on a second connection."""
        values = {"writer": "wri_0", "counter": 0, "mac": counter_mac(self.log.keys, WRITER_PURPOSE, "wri_0", 0)}
        self.write(lambda connection: connection.execute(insert(model.writer), values))

    def snapshot(self) -> dict[str, list[dict[str, Any]]]:
        """A copy of every row of the log."""
        with self.store.reading() as connection:
            return {
                t.name: [dict(row._mapping) for row in connection.execute(select(t))]
                for t in (*model.TABLES, *model.BESIDE)
            }

    def restore(self, copy: dict[str, list[dict[str, Any]]]) -> None:
        """Put the whole log back to what it was, as somebody with the database and an old copy would."""
        tables = (*model.TABLES, *model.BESIDE)
        self.attack(*(f"DELETE FROM {table.name}" for table in tables))
        with self.engine.begin() as connection:
            for table in tables:
                if copy[table.name]:
                    connection.execute(insert(table), copy[table.name])

    def rebuild_tiles(self) -> None:
        """Make the tiles fit the stored entries again, as a careful attacker would."""
        query = "SELECT payload FROM ledger_event JOIN ledger_entry ON event_id = id ORDER BY log_index"
        _, tiles = grow(TileEdge(), [hash_leaf(bytes(row.payload)) for row in self.sql(query)])
        self.attack("DELETE FROM ledger_tile")
        with self.engine.begin() as connection:
            write_tiles(connection, tiles)

    def attack(self, *statements: str, **values: Any) -> None:
        """The same with the triggers dropped first."""
        self.sql(*drop_statements(self.store.dialect), *statements, **values)


def opened(data: Path, database: str) -> Iterator[Bench]:
    """A log in `data`, on the embedded store or at `database`; makes the tables where they are not there."""
    clock = MovingClock()
    keys = open_embedded(data / "keys", KeySettings(), clock, system_random)
    store = open_store(HouseSettings(data=str(data), database=database), keys)
    metadata.create_all(store.write_engine, tables=[*model.TABLES, *model.BESIDE])
    mine = keys.for_caller("ledger")
    log = Log("example.com/log", mine, FileMemory(data / "ledger-head.json", mine))
    with asyncio.Runner() as runner:
        yield Bench(store, keys, log, DatabaseEventLog(keys, Ids(clock, system_random)), clock, runner)
    store.close()
    keys.close()


@pytest.fixture
def database(engine: str, request: pytest.FixtureRequest) -> Iterator[str]:
    if engine == "sqlite":
        yield ""
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    name = f"ledger_{os.urandom(6).hex()}"
    yield server.create(name)
    server.drop(name)


@pytest.fixture
def bench(tmp_path: Path, database: str) -> Iterator[Bench]:
    yield from opened(tmp_path, database)
