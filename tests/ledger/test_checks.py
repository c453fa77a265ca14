"""The live check of retention: kept as things are, broken as soon as a protection is away, and harmless then too."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select, text

from subscription_services.kernel.checks import Doors, Finding, Verdict
from subscription_services.ledger import model
from subscription_services.ledger.checks import checks
from subscription_services.testing import World

from .served import grow


def run(world: World) -> Finding:
    (check,) = checks()
    doors = Doors(world.house.kernel, world.house.settings, "https://localhost", "http://localhost", "")
    found: Finding = world.run(check.run(doors))
    return found


def change(world: World, statement: str) -> None:
    world.write(lambda connection: connection.execute(text(statement)))


def test_it_is_kept_and_its_own_try_is_recorded(world: World) -> None:
    grow(world, 5)
    found = run(world)
    assert (found.verdict, found.evidence["period_in_days"]) == (Verdict.KEPT, 90), found.says
    assert [event.details["open"] for event in world.events("ledger.probe_retention")] == [[]]


@pytest.mark.parametrize(
    ("trigger", "table"),
    [
        ("ledger_event_no_delete", "ledger_event"),
        ("ledger_event_no_update", "ledger_event"),
        ("ledger_entry_no_delete", "ledger_entry"),
        ("ledger_period_no_update", "ledger_period"),
        ("ledger_tile_no_delete", "ledger_tile"),
    ],
)
def test_it_breaks_when_a_protection_is_taken_away_and_removes_nothing(world: World, trigger: str, table: str) -> None:
    grow(world, 5)
    scope = f" ON {table}" if world.house.store.dialect == "postgresql" else ""
    change(world, f"DROP TRIGGER {trigger}{scope}")
    before = counts(world)
    assert run(world).verdict is Verdict.BROKEN
    assert counts(world) == (before[0] + 1, before[1])


def test_it_breaks_when_the_database_promises_less_than_the_setting(world: World) -> None:
    grow(world, 5)
    suffix = " ON ledger_period" if world.house.store.dialect == "postgresql" else ""
    change(world, f"DROP TRIGGER ledger_period_no_delete{suffix}")
    change(world, "DELETE FROM ledger_period")
    assert run(world).verdict is Verdict.BROKEN


def counts(world: World) -> Any:
    """How many events and entries there are."""
    with world.house.store.reading() as connection:
        tables = (model.event, model.entry)
        return tuple(connection.execute(select(func.count()).select_from(table)).scalar_one() for table in tables)
