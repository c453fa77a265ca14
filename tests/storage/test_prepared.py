"""Statements compiled once give what the library itself gives, in the same transaction, on both engines."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Boolean, Column, LargeBinary, MetaData, String, Table, bindparam, func, insert, select

from subscription_services.kernel.columns import Instant
from subscription_services.storage import Prepared
from subscription_services.testing import World

thing = Table(
    "prepared_thing", MetaData(), Column("id", String(48), primary_key=True), Column("at", Instant, nullable=False),
    Column("good", Boolean), Column("data", LargeBinary), Column("note", String(20)),
)  # fmt: skip
_AFTER = (
    select(thing.c.id, thing.c.at, thing.c.good, thing.c.data, thing.c.note, func.length(thing.c.note).label("size"))
    .where(thing.c.at > bindparam("since"), thing.c.note != "hidden", thing.c.id != bindparam("but"))
    .order_by(thing.c.at)
)
AFTER = Prepared(_AFTER)


@pytest.fixture
def filled(world: World) -> World:
    thing.metadata.create_all(world.house.store.write_engine)
    now = world.clock()
    rows: list[dict[str, Any]] = [
        {"id": f"t{n}", "at": now + timedelta(minutes=n), "good": (None, True, False)[n % 3], "data": bytes([n]),
         "note": "hidden" if n == 4 else "a' ? %s :x"} for n in range(6)
    ]  # fmt: skip
    world.write(lambda connection: connection.execute(insert(thing), rows))
    return world


def test_rows_are_those_of_the_library(filled: World) -> None:
    values = {"since": filled.clock(), "but": "t2"}
    with filled.house.store.reading() as connection:
        expected = [tuple(row) for row in connection.execute(_AFTER, values)]
        found = AFTER.all(connection, values)
        assert [tuple(row) for row in found] == expected
        assert [(row.id, row.good, row.size) for row in found] == [
            ("t1", True, 10),
            ("t3", None, 10),
            ("t5", False, 10),
        ]
        assert tuple(AFTER.first(connection, values) or ()) == expected[0]
        assert AFTER.first(connection, values | {"since": filled.clock() + timedelta(days=1)}) is None


def test_it_sees_what_its_own_transaction_wrote_and_a_reader_does_not(filled: World) -> None:
    values = {"since": filled.clock(), "but": "t1"}
    row = {"id": "t9", "at": filled.clock() + timedelta(seconds=1), "note": "new", "good": True, "data": b""}

    def write(connection: Any) -> Any:
        connection.execute(insert(thing), row)
        return AFTER.first(connection, values)

    with filled.house.store.reading() as connection:
        assert AFTER.first(connection, values).id == "t2"  # type: ignore[union-attr]
        assert filled.write(write).id == "t9"
        assert AFTER.first(connection, values).id == "t2"  # type: ignore[union-attr]
    with filled.house.store.reading() as connection:
        assert AFTER.first(connection, values).id == "t9"  # type: ignore[union-attr]


def test_a_value_that_is_not_given_is_an_error(filled: World) -> None:
    with pytest.raises(Exception, match="but"), filled.house.store.reading() as connection:
        AFTER.first(connection, {"since": filled.clock()})
