"""The outbox and its worker on both engines: at least once, once per key, growing pauses, leases."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from subscription_services.jobs import (
    DatabaseOutbox,
    GiveUp,
    JobKind,
    JobKinds,
    Schedule,
    recent_jobs,
    run_due,
    run_worker,
    taken_job,
    wait_until_done,
)  # fmt: skip
from subscription_services.jobs.model import job
from subscription_services.jobs.worker import _plan
from subscription_services.kernel.clock import system_random
from subscription_services.kernel.perform import Kernel
from subscription_services.kernel.ports import Writer
from subscription_services.testing import World


class Greet(msgspec.Struct, frozen=True):
    name: str


class Hang(msgspec.Struct, frozen=True):
    number: int


class Room:
    """A world with a kind of job that records what it did and fails when told."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.done: list[str] = []
        self.fail: Exception | None = None
        greet = JobKind("test.greet", Greet, self.handle, attempts=3, first_pause=timedelta(seconds=10))
        self.outbox = DatabaseOutbox(JobKinds([greet, JobKind("test.hang", Hang, self.hang)]), system_random)
        self.hanging = 0

    async def handle(self, kernel: Kernel, payload: Greet) -> None:
        assert taken_job().id.startswith("job_")
        if self.fail:
            raise self.fail
        self.done.append(payload.name)

    async def hang(self, kernel: Kernel, payload: Hang) -> None:
        self.hanging += 1
        await asyncio.sleep(3600)

    def add(self, name: str, key: str | None = None) -> str:
        return self.queue(Greet(name), key)

    def queue(self, wanted: msgspec.Struct, key: str | None = None) -> str:
        now = self.world.clock()
        store = self.world.house.store
        return str(
            self.world.run(
                store.write(Writer.OUTBOX, lambda c: self.outbox.add(c, wanted, now=now, run_at=None, key=key))
            )
        )

    def work(self, name: str = "w1") -> int:
        return int(self.world.run(run_due(self.world.house.kernel, self.outbox, name)))

    def state(self, identifier: str) -> str:
        with self.world.house.store.reading() as connection:
            return {row.id: row.state for row in recent_jobs(connection)}[identifier]


@pytest.fixture
def room(place: tuple[Path, str]) -> Iterator[Room]:
    with World.open(*place) as world:
        yield Room(world)


def test_what_is_added_is_done_once(room: Room) -> None:
    identifier = room.add("ada")
    assert (room.work(), room.work(), room.done) == (1, 0, ["ada"])
    assert room.state(identifier) == "done"
    assert room.world.run(wait_until_done(room.world.house.kernel, identifier, 1)) is True


def test_the_same_key_is_queued_once(room: Room) -> None:
    assert room.add("ada", "k") == room.add("ada", "k")
    room.work()
    assert room.add("ada", "k")
    assert (room.work(), room.done) == (0, ["ada"])


def test_a_failure_is_tried_again_after_growing_pauses_and_then_given_up(room: Room) -> None:
    identifier = room.add("ada")
    room.fail = RuntimeError("no")
    assert (room.work(), room.work()) == (1, 0)
    room.world.clock.advance(seconds=11)
    assert (room.work(), room.work()) == (1, 0)
    room.world.clock.advance(seconds=11)
    assert room.work() == 0
    room.world.clock.advance(seconds=11)
    assert room.work() == 1
    assert room.state(identifier) == "given up"
    room.world.clock.advance(days=1)
    assert room.work() == 0


def test_giving_up_at_once(room: Room) -> None:
    identifier = room.add("ada")
    room.fail = GiveUp("no such letter")
    room.work()
    assert room.state(identifier) == "given up"


def test_a_worker_that_died_leaves_its_job_to_others_when_the_lease_ends(room: Room) -> None:
    identifier = room.add("ada")
    now = room.world.clock()
    lost = job.update().where(job.c.id == identifier).values(
        lease="dead", lease_until=now + timedelta(seconds=60), attempts=1
    )  # fmt: skip
    room.world.run(room.world.house.store.write(Writer.OUTBOX, lambda c: c.execute(lost)))
    assert room.work() == 0
    room.world.clock.advance(seconds=61)
    assert (room.work(), room.done) == (1, ["ada"])


def test_a_schedule_makes_one_job_for_each_span(room: Room) -> None:
    schedules = [Schedule("hourly", timedelta(hours=1), lambda now: Greet(now.isoformat()))]
    for _ in range(3):
        room.world.run(_plan(room.world.house.kernel, room.outbox, schedules))
    assert room.work() == 1
    room.world.clock.advance(hours=1)
    room.world.run(_plan(room.world.house.kernel, room.outbox, schedules))
    assert (room.work(), len(room.done)) == (1, 2)


def test_an_unknown_kind_is_given_up_and_not_lost_silently(room: Room) -> None:
    identifier = room.add("ada")
    rename = job.update().where(job.c.id == identifier).values(kind="gone.kind")
    room.world.run(room.world.house.store.write(Writer.OUTBOX, lambda c: c.execute(rename)))
    room.work()
    with room.world.house.store.reading() as connection:
        row = connection.execute(select(job).where(job.c.id == identifier)).one()
    assert (row.error, row.given_up_at is not None) == ("unknown kind", True)


def test_jobs_that_hang_keep_no_other_waiting(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subscription_services.jobs.worker.PATIENCE", 0.1)
    for number in range(40):
        room.queue(Hang(number))
    kernel, stop = room.world.house.kernel, asyncio.Event()

    async def until_greeted() -> None:
        working = asyncio.create_task(run_worker(kernel, room.outbox, (), "w1", stop))
        while not room.hanging:
            await asyncio.sleep(0.01)
        now = kernel.clock()
        await kernel.store.write(
            Writer.OUTBOX, lambda c: room.outbox.add(c, Greet("ada"), now=now, run_at=None, key=None)
        )
        while not room.done:
            await asyncio.sleep(0.01)
        stop.set()
        await asyncio.wait_for(working, 5)

    room.world.run(asyncio.wait_for(until_greeted(), 10))
    assert room.done == ["ada"]
    assert 12 <= room.hanging < 32
