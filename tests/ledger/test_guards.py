"""The triggers that keep the log append-only, and the look whether they are there."""

from __future__ import annotations

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from subscription_services.ledger.guards import GUARDS, drop_statements, guard_statements, missing_guards

from .conftest import Bench


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_event SET payload = mac",
        "UPDATE ledger_event SET actor = 'acc_2'",
        "UPDATE ledger_entry SET log_index = 100 WHERE log_index = 2",
        "UPDATE ledger_checkpoint SET at = at + 1",
        "UPDATE ledger_tile SET hashes = substr(hashes, 1, 32)",
        "UPDATE ledger_tile SET hashes = substr(hashes, 33)",
        "UPDATE ledger_tile SET tile_index = 1",
        "UPDATE ledger_writer SET counter = counter - 1",
        "UPDATE ledger_writer SET counter = counter",
        "UPDATE ledger_cursor SET counter = counter - 1",
        "UPDATE ledger_cursor SET writer = 'wri_x', counter = counter + 1",
        "DELETE FROM ledger_event WHERE counter = 1",
    ],
)
def test_what_was_written_stays(bench: Bench, statement: str) -> None:
    bench.append_many(3)
    bench.sequence()
    before = bench.snapshot()
    with pytest.raises(DBAPIError, match=r"log|counter|cursor|checkpoint"):
        bench.sql(statement)
    assert bench.snapshot() == before


@pytest.mark.postgres
@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_postgresql_does_not_truncate(bench: Bench) -> None:
    bench.append_many(3)
    with pytest.raises(DBAPIError, match="nothing is removed"):
        bench.sql("TRUNCATE ledger_event")


def test_missing_triggers_are_named(bench: Bench) -> None:
    assert bench.read(missing_guards) == []
    bench.sql(drop_statements(bench.store.dialect)[0])
    assert bench.read(missing_guards) == [GUARDS[0].name]
    bench.sql(*drop_statements(bench.store.dialect))
    assert len(bench.read(missing_guards)) >= 12
    with bench.engine.begin() as connection:
        for statement in guard_statements(bench.store.dialect):
            connection.execute(text(statement))
    assert bench.read(missing_guards) == []
