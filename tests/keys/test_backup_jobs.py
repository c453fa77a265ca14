"""The schedule of backups, and what the log says about them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from subscription_services.kernel.actors import Role
from subscription_services.kernel.errors import KeyUnavailable, TooMany
from subscription_services.keys import jobs
from subscription_services.keys.operations.backup import BackUp, ListBackups
from subscription_services.testing import World


def run(world: World) -> None:
    world.run(jobs.back_up_when_due(world.house.kernel, jobs.BackUpWhenDue()))


def test_the_schedule_makes_one_each_hour_and_the_log_names_each(world: World) -> None:
    start = world.clock()
    for _ in range(13):
        run(world)
        world.clock.advance(minutes=10)
    found = world.do("keys.backups", world.team(Role.OPERATIONS), ListBackups())
    assert [copy.made_at - start for copy in found.copies] == [timedelta(hours=2), timedelta(hours=1), timedelta()]
    events = world.events("keys.backup")
    assert [(e.actor, e.outcome, e.object) for e in events] == [
        ("system:keys.backup", "success", copy.name) for copy in reversed(found.copies)
    ]
    assert events[0].details["size"] == found.copies[-1].size
    assert any(schedule.name == "keys.backup" for schedule in world.house.schedules)


def test_a_backup_that_cannot_be_made_is_in_the_log_and_the_page_keeps_the_old_ones(world: World) -> None:
    member = world.team(Role.SECURITY)
    made = world.do("keys.backup", member, BackUp())
    place = Path(world.do("keys.backups", member, ListBackups()).place)
    place.rename(f"{place}.away")
    place.write_bytes(b"")
    with pytest.raises(KeyUnavailable, match="No backup of the keys"):
        world.do("keys.backup", member, BackUp())
    place.unlink()
    Path(f"{place}.away").rename(place)
    assert [copy.name for copy in world.do("keys.backups", member, ListBackups()).copies] == [made.name]
    assert [event.outcome for event in world.events("keys.backup")] == ["success", "failed"]


def test_nobody_fills_the_disk_by_asking(world: World) -> None:
    member = world.team(Role.OPERATIONS)
    for _ in range(30):
        world.do("keys.backup", member, BackUp())
    with pytest.raises(TooMany):
        world.do("keys.backup", member, BackUp())
