"""Looks at one's own data: counted together within a second, each of them durable, on both engines."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from subscription_services.identity.operations.devices import ListDevices
from subscription_services.identity.operations.profile import ShowProfile
from subscription_services.identity.operations.sign_in import SignOut
from subscription_services.kernel import deferred
from subscription_services.kernel.actors import Subscriber
from subscription_services.kernel.context import Origin
from subscription_services.kernel.errors import NotSignedIn, Unavailable
from subscription_services.kernel.perform import perform
from subscription_services.ledger import personal_fields
from subscription_services.ledger.model import event
from subscription_services.storage import postgres, sqlite
from subscription_services.testing import World

PROFILE = "identity.profile"
HERE = Origin(address="127.0.0.9", user_agent="tests", channel="test")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What may wait for a commit of others does, however slow the machine is; `World.events` is such a commit."""
    monkeypatch.setattr(sqlite, "SOON_SECONDS", 60.0)
    monkeypatch.setattr(postgres, "SOON_SECONDS", 60.0)


def look(world: World, *actors: Subscriber, times: int = 1, origin: Origin = HERE) -> None:
    """All within one run of the loop, so within one window."""
    operation = world.house.kernel.registry.get(PROFILE)
    assert operation is not None

    async def all_of_them() -> None:
        for _ in range(times):
            for actor in actors:
                await perform(world.house.kernel, operation, actor, ShowProfile(), origin=origin)

    world.run(all_of_them())


def counts(world: World, actor: Subscriber) -> list[int]:
    return [seen.count for seen in world.events(PROFILE) if seen.actor == actor.id]


def test_equal_looks_are_one_event_that_says_how_many(world: World) -> None:
    actor = world.subscriber()
    look(world, actor, times=50)
    (seen,) = world.events(PROFILE)
    assert (seen.count, seen.actor, seen.session, seen.object) == (50, actor.id, actor.session, actor.id)
    assert personal_fields(world.house.ring.for_caller("ledger"), seen)["address"] == HERE.address
    look(world, actor)
    assert counts(world, actor) == [50, 1]


def test_whatever_differs_is_an_event_of_its_own(world: World) -> None:
    ada, bob = world.subscriber(), world.subscriber()
    elsewhere, browser = Origin("127.0.0.10", "tests", "test"), Origin("127.0.0.9", "another", "test")
    look(world, ada, bob, times=3)
    look(world, ada, times=2, origin=elsewhere)
    look(world, ada, origin=browser)
    world.do("identity.devices", ada, ListDevices())
    assert sorted(counts(world, ada)) == [1, 2, 3]
    assert counts(world, bob) == [3]
    assert [seen.count for seen in world.events("identity.devices")] == [1]


def test_looks_more_than_a_second_apart_are_told_apart(world: World) -> None:
    actor = world.subscriber()
    for times, seconds in ((2, 1), (3, 0.9), (4, -5), (1, 0)):
        look(world, actor, times=times)
        world.clock.advance(seconds=seconds)
    assert counts(world, actor) == [1, 2, 7]


def test_a_look_that_waits_is_committed_by_itself(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    actor = world.subscriber()
    monkeypatch.setattr(sqlite, "SOON_SECONDS", 0.05)
    monkeypatch.setattr(postgres, "SOON_SECONDS", 0.05)
    look(world, actor)

    async def until_settled() -> None:
        async with asyncio.timeout(30):
            while not world.house.kernel.deferred.settled:
                await asyncio.sleep(0.01)

    world.run(until_settled())
    with world.house.store.reading() as connection:
        found = connection.execute(select(func.count()).where(event.c.action == PROFILE, event.c.actor == actor.id))
        assert found.scalar_one() == 1


def test_what_could_not_be_committed_is_kept_with_its_count(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    actor = world.subscriber()
    log = type(world.house.kernel.log)

    def broken(self: object, connection: Connection, events: object) -> None:
        raise Unavailable()

    with monkeypatch.context() as patch:
        patch.setattr(log, "append", broken)
        look(world, actor, times=4)
        assert counts(world, actor) == []
    look(world, actor, times=2)
    assert counts(world, actor) == [4, 2]


def test_beyond_the_bound_a_look_waits_for_its_commit(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    actor = world.subscriber()
    monkeypatch.setattr(deferred, "BOUND", 0)
    look(world, actor, times=2)
    assert world.house.kernel.deferred.settled, "nothing was deferred"
    assert counts(world, actor) == [1, 1]


def test_closing_the_house_leaves_no_look_behind(place: tuple[Path, str]) -> None:
    with World.open(*place) as world:
        actor = world.subscriber()
        look(world, actor, times=7)
    with World.open(*place) as world:
        assert counts(world, actor) == [7]


def test_a_session_that_another_process_ended_is_refused_at_the_next_look(place: tuple[Path, str]) -> None:
    with World.open(*place) as here, World.open(*place) as there:
        actor = here.subscriber()
        look(there, actor, times=3)
        here.do("identity.sign_out", actor, SignOut())
        with pytest.raises(NotSignedIn):
            look(there, actor)
        seen = {(event.outcome.value, event.count) for event in there.events(PROFILE)}
        assert seen == {("success", 3), ("refused", 1)}


def test_counts_add_up_after_a_kill(place: tuple[Path, str]) -> None:
    """A process that is killed loses at most the looks of its last second; none is there twice."""
    data, database = place
    with World.open(data, database) as world:
        actor = world.subscriber()
    command = [sys.executable, "-m", "tests.kernel.looking", str(data), database, actor.id, actor.session]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            settled = int(process.stdout.readline())
            begun = int(process.stdout.readline())
        finally:
            os.kill(process.pid, signal.SIGKILL)
    with World.open(data, database) as world:
        assert settled <= sum(counts(world, actor)) <= begun
