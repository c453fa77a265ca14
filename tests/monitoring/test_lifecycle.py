"""Start, stop, an end without a stop, and settings that changed in between: each once, none with a secret."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from subscription_services import app, monitoring
from subscription_services.kernel.errors import Conflict, NotFound
from subscription_services.kernel.settings import HouseSettings, Settings, entries
from subscription_services.monitoring.lifecycle import node_of, setting_codes
from subscription_services.monitoring.model import run as run_table
from subscription_services.monitoring.model import setting as setting_table
from subscription_services.monitoring.operations import RecordStart
from subscription_services.storage import head
from subscription_services.testing import World
from subscription_services.testing.world import FAST

SECRET = "postgresql://someone:terribly-secret@host/name"


@pytest.fixture
def data(place: tuple[Path, str]) -> Path:
    return place[0]


def start(world: World, data: Path, settings: Settings | None = None) -> monitoring.Started:
    found: monitoring.Started = world.run(
        monitoring.started(
            world.house.kernel, data, monitoring.Present("0.1", head(), settings or world.house.settings, app.SLICES)
        )
    )
    return found


def changed(world: World, **values: object) -> Settings:
    settings = world.house.settings
    house = msgspec.structs.replace(settings.of(HouseSettings), **values)
    return replace(settings, slices={**settings.slices, HouseSettings: house})


def kinds(world: World) -> list[str]:
    """What this room's operations left, but for the migration that made the database, by the clock on the wall."""
    names = [event.action.partition(".")[2] for event in world.events() if event.action.startswith("monitoring.")]
    return [name for name in names if name != "record_migration"]


def test_a_start_and_a_stop_are_recorded_once_each(world: World, data: Path) -> None:
    before = len(kinds(world))
    began = start(world, data)
    world.clock.advance(seconds=5)
    world.run(monitoring.stopped(world.house.kernel, began.run))
    assert kinds(world)[before:] == ["record_settings", "record_start", "record_stop"]
    stop = world.events("monitoring.record_stop")[0]
    assert (stop.object, stop.actor, stop.outcome.value) == (began.run, "system:service", "success")
    with pytest.raises(NotFound):
        world.run(monitoring.stopped(world.house.kernel, began.run))


def test_an_end_without_a_stop_is_found_at_the_next_start(world: World, data: Path) -> None:
    first = start(world, data)
    assert not first.unclean
    second = start(world, data)
    assert second.unclean
    assert kinds(world)[-3:] == ["record_start", "record_unclean_stop", "record_start"]
    assert world.events("monitoring.record_unclean_stop")[0].object == first.run
    with world.house.store.reading() as connection:
        rows = {row.id: (row.stopped_at is not None, row.unclean) for row in connection.execute(select(run_table))}
    assert rows == {first.run: (True, True), second.run: (False, False)}


def test_two_runs_of_one_node_are_never_open_together(world: World, data: Path) -> None:
    start(world, data)
    with pytest.raises(Conflict):
        world.do(
            "monitoring.record_start",
            world.system("service"),
            RecordStart(node_of(world.house.kernel, data), "0.1", head()),
        )


def test_the_node_keeps_its_name(world: World, data: Path) -> None:
    assert node_of(world.house.kernel, data) == node_of(world.house.kernel, data)
    (data / "node").write_text("../../etc/passwd")
    assert re.fullmatch(r"nod_[0-9a-f]{32}", node_of(world.house.kernel, data))


def test_a_changed_setting_is_named_with_its_values(world: World, data: Path) -> None:
    start(world, data)
    began = start(world, data, changed(world, processes=7))
    assert began.changed == ("SUBS_PROCESSES",)
    event = world.events("monitoring.record_settings")[-1]
    assert event.details["changed"] == ["SUBS_PROCESSES"]
    assert event.details["SUBS_PROCESSES"] == "1 -> 7"
    start(world, data, changed(world, processes=7))
    assert len(world.events("monitoring.record_settings")) == 2


def test_a_changed_secret_is_named_without_its_value(world: World, data: Path) -> None:
    start(world, data)
    assert start(world, data, changed(world, database=SECRET)).changed == ("SUBS_DATABASE",)
    event = world.events("monitoring.record_settings")[-1]
    assert event.details["changed"] == ["SUBS_DATABASE"]
    everything = str(world.events())
    assert "terribly-secret" not in everything
    assert FAST["SUBS_BILLING_SECRET_KEY"] not in everything
    with world.house.store.reading() as connection:
        stored = str(connection.execute(select(setting_table)).all())
    assert "terribly-secret" not in stored
    assert FAST["SUBS_BILLING_SECRET_KEY"] not in stored


def test_whatever_sounds_like_a_secret_is_declared_one() -> None:
    known = {entry.variable: entry for part in app.SLICES for entry in entries(part)}
    sounding = {name for name in known if re.search(r"PASSWORD|SECRET|TOKEN(?!_DAYS$|S$)|DATABASE$|_PIN", name)}
    assert {name for name in sounding if not known[name].secret} == set()
    assert "SUBS_DATABASE" in sounding


def test_settings_that_nobody_recorded_are_seen(world: World, data: Path) -> None:
    start(world, data)
    node = node_of(world.house.kernel, data)
    for settings, expected in ((world.house.settings, []), (changed(world, processes=9), ["SUBS_PROCESSES"])):
        codes = {item.variable: item.code for item in setting_codes(world.house.kernel, settings, app.SLICES)}
        with world.house.store.reading() as connection:
            assert monitoring.unrecorded(connection, node, codes) == expected


def test_a_migration_is_recorded_where_the_schema_changed(world: World) -> None:
    before = world.events("monitoring.record_migration")
    assert [event.details for event in before] == [{"before": "", "after": head()}]
    world.run(monitoring.migrated(world.house.kernel, head(), head()))
    assert world.events("monitoring.record_migration") == before


def test_a_part_that_ended_by_itself_is_recorded(world: World) -> None:
    world.run(monitoring.part_ended(world.house.kernel, "work", -9, 2))
    assert world.events("monitoring.record_part_ended")[0].details == {"part": "work", "status": -9, "restarts": 2}
