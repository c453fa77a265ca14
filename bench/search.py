"""Searching the log at ten thousand, a hundred thousand and a million events: how the time of each filter grows.

Rows are laid straight into the tables (their codes are not looked at by a search). A ratio is the rate at the larger
log to that at the smaller: 1 is flat. Plans that scan fail the run.
"""

from __future__ import annotations

import random
import re
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert

from bench.measure import Ratio
from subscription_services.kernel.events import Event, Outcome
from subscription_services.ledger import model
from subscription_services.ledger.entries import Entry, encode_entry, row_of
from subscription_services.ledger.searching import Search, search
from subscription_services.testing import PostgresServer, World, find_postgres, prepared_template

SIZES = (10_000, 100_000, 1_000_000)
ROUNDS = 41
CHUNK = 10_000
START = datetime(2026, 1, 1, tzinfo=UTC)
ACTIONS = [f"{room}.{verb}" for room in ("identity", "billing", "access", "keys", "mail") for verb in "abcdefgh"]
DAY = timedelta(days=1)


def run() -> list[Ratio]:
    """SQLCipher, and PostgreSQL where it is installed."""
    with tempfile.TemporaryDirectory(prefix="subs-bench-") as folder:
        rows = _engine("SQLCipher", Path(folder), "")
    if find_postgres() is None:
        print("PostgreSQL is not installed: its rows are left out (apt-get install postgresql)")
        return rows
    server = PostgresServer.start(durable=False)
    try:
        with tempfile.TemporaryDirectory(prefix="subs-bench-") as folder:
            return rows + _engine("PostgreSQL", Path(folder), server.create("bench"))
    finally:
        server.stop()


def filters(size: int) -> dict[str, Search]:
    """Each filter, and usual combinations; values are as frequent in a large log as in a small one."""
    middle = START + timedelta(seconds=size // 2)
    return {
        "newest": Search(),
        "actor": Search(actor="acc_7"),
        "subject": Search(subject="acc_9"),
        "action": Search(action="billing.c"),
        "room": Search(action="billing."),
        "object": Search(object="sub_11"),
        "outcome": Search(outcome="refused"),
        "origin": Search(origin_index="or_3"),
        "correlation": Search(correlation=f"cor_{size // 2}"),
        "a span of time": Search(since=middle, until=middle + timedelta(minutes=10)),
        "actor and outcome": Search(actor="acc_7", outcome="refused"),
        "actor, action, time": Search(actor="acc_7", action="access.b", since=middle),
        "nobody": Search(actor="acc_none", outcome="refused"),
    }


def _engine(name: str, data: Path, database: str) -> list[Ratio]:
    prepared_template(data, database)
    medians: dict[int, dict[str, float]] = {}
    with World.open(data, database) as world:
        laid = 0
        for size in SIZES:
            _lay(world, laid, size)
            laid = size
            medians[size] = {what: _median(world, wanted) for what, wanted in filters(size).items()}
    found = []
    for larger in SIZES[1:]:
        for what, seconds in medians[larger].items():
            base = medians[SIZES[0]][what]
            ratio = base / seconds
            found.append(
                Ratio(
                    f"search {what}, {larger:,} events, {name}", 1 / seconds, f"{SIZES[0]:,} events", 1 / base,
                    (ratio, ratio, ratio), 0.3,
                )
            )  # fmt: skip
    return found


def _median(world: World, wanted: Search) -> float:
    with world.house.store.reading() as connection:
        _check_plan(connection, wanted)
        times = []
        for _ in range(ROUNDS):
            begun = time.perf_counter()
            search(connection, wanted, limit=50)
            times.append(time.perf_counter() - begun)
    return statistics.median(times)


def _lay(world: World, first: int, end: int) -> None:
    # the same events each time, so that runs can be compared
    dice = random.Random(first)
    for start in range(first, end, CHUNK):
        rows = [_row(number, dice) for number in range(start, min(start + CHUNK, end))]
        world.write(lambda connection, rows=rows: connection.execute(insert(model.event), rows))
    if world.house.store.dialect == "postgresql":
        with world.house.store.write_engine.begin() as connection:
            connection.exec_driver_sql("ANALYZE ledger_event")


def _row(number: int, dice: random.Random) -> dict[str, Any]:
    event = Event(
        id=f"evt_{number:032x}", at=START + timedelta(seconds=number), action=dice.choice(ACTIONS),
        outcome=Outcome.REFUSED if dice.random() < 0.05 else Outcome.SUCCESS, actor_kind="subscriber",
        actor=f"acc_{dice.randrange(100)}", object_kind="sub", object=f"sub_{dice.randrange(200)}",
        subject=f"acc_{dice.randrange(100)}", origin_index=f"or_{dice.randrange(50)}", correlation=f"cor_{number}",
    )  # fmt: skip
    entry = Entry(event=event, writer="wri_bench", counter=number + 1)
    return row_of(entry, encode_entry(entry), bytes(33))


def _check_plan(connection: Connection, wanted: Search) -> None:
    """Raises AssertionError for a plan that reads the table from end to end."""
    from sqlalchemy import event

    sent: list[tuple[str, Any]] = []

    def keep(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        sent.append((statement, parameters))

    event.listen(connection, "before_cursor_execute", keep)
    search(connection, wanted, limit=50)
    event.remove(connection, "before_cursor_execute", keep)
    for statement, parameters in sent:
        if connection.dialect.name == "sqlite":
            rows = connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement, parameters)
            plan = "\n".join(row.detail for row in rows)
            scans = re.search(r"SCAN ledger_event(?! USING (COVERING )?INDEX ix_ledger_event_at)", plan)
        else:
            plan = "\n".join(connection.exec_driver_sql("EXPLAIN " + statement, parameters).scalars())
            scans = re.search(r"Seq Scan on ledger_event", plan)
        if scans:
            raise AssertionError(f"{wanted} scans:\n{plan}")
