"""Rotation while everybody works: several processes, kills, schedules. No request fails and nothing is lost."""

from __future__ import annotations

import threading

from sqlalchemy import select

from subscription_services.kernel.actors import Role
from subscription_services.keys import Reason
from subscription_services.keys.operations.rotation import Rotate
from subscription_services.keys.places import places
from subscription_services.testing import World

from .conftest import House
from .test_processes import line, process
from .test_rotation import check_readable, people, state


def test_rotation_under_load_fails_no_request(house: House) -> None:
    """Threads here and two other processes use keys, one of which rotates as well."""
    sealed = people(house, 40)
    failures: list[BaseException] = []
    stop = threading.Event()
    work_done = [0, 0]

    def use(which: int) -> None:
        ring = house.ring()
        try:
            number = 0
            while not stop.is_set():
                name = f"load{which}_{number}"
                keys = ring.for_caller("identity")
                keys.ensure_subject(name)
                value = keys.seal(name, "f", "r", name.encode())
                old = f"acc_{number % 40}"
                assert keys.unseal(old, "f", "r", sealed[old]) == old.encode()
                assert keys.unseal(name, "f", "r", value) == name.encode()
                number += 1
                work_done[which] = number
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=use, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    with process(house, "rotate", "subject", "6") as rotating, process(house, "make", "other") as making:
        keys = house.ring().for_caller("keys")
        made = []
        while (words := line(rotating))[0] != "done":
            keys.rotate("subject", int(words[1]))
            keys.rewrap("subject", 50)
            made.append(line(making))
        assert rotating.wait(60) == 0
    stop.set()
    for thread in threads:
        thread.join(60)
    assert failures == []
    assert min(work_done) > 0
    while keys.rewrap("subject", 500):
        pass
    found = state(house)
    assert found.versions[0].version >= 7
    assert sum(version.data_keys for version in found.versions[1:]) == 0
    check_readable(house, sealed)
    for name, value in made:
        assert house.keys().unseal(name, "f", "r", bytes.fromhex(value)) == b"x"


def test_a_kill_while_keys_move_loses_none_and_the_rest_follows(house: House) -> None:
    sealed = people(house, 150)
    house.keys("keys").rotate("subject")
    for _ in range(3):
        with process(house, "move", "subject", "1") as moving:
            line(moving)
            moving.kill()
            moving.wait(20)
    found = state(house)
    assert found.rewrapping is not None
    assert found.rewrapping.left < 150
    assert found.rewrapping.moved + found.rewrapping.left == 150
    check_readable(house, sealed)
    while house.keys("keys").rewrap("subject"):
        pass
    assert [version.data_keys for version in state(house).versions] == [150, 0]
    check_readable(house, sealed)


def test_the_schedule_rotates_moves_and_destroys_and_touches_no_data(world: World) -> None:
    person = world.subscriber()
    keys = world.house.ring.for_caller("keys")

    def found() -> list[bytes]:
        with world.house.store.reading() as connection:
            cells = [c for p in places("subject") for c in p.read(connection, "", "", 10_000)[0]]
            rows = [list(connection.execute(select(p.table)).all()) for p in places("accounting")]
        assert cells
        return [*sorted(c.sealed for c in cells if c.seal_id != "kernel.idempotency.answer"), repr(rows).encode()]

    def run() -> None:
        rotation = next(schedule for schedule in world.house.schedules if schedule.name == "keys.rotation")
        kernel = world.house.kernel
        kind = world.house.outbox.kinds.of(rotation.make(world.clock()))
        world.run(kind.handle(kernel, rotation.make(world.clock())))
        world.run_jobs()

    def subject() -> list[tuple[int, str, int]]:
        state = next(s for s in keys.states().purposes if s.purpose == "subject")
        return [(v.version, v.state.value, v.data_keys) for v in state.versions]

    before = found()
    run()
    (one,) = subject()
    world.clock.advance(days=89)
    run()
    assert subject() == [one]
    world.clock.advance(days=1)
    run()
    run()
    assert subject() == [(2, "active", one[2]), (1, "decrypt-only", 0)]
    world.clock.advance(days=30)
    run()
    assert subject() == [(2, "active", one[2]), (1, "destroyed", 0)]
    assert found() == before
    events = [e for e in world.events("keys.rotate_when_due") if e.object == "subject"]
    assert [(e.outcome, e.details["version"], e.details["reason"]) for e in events] == [
        ("success", 2, Reason.SCHEDULE.value)
    ]
    destroyed = [e.details["destroyed"] for e in world.events("keys.retire") if e.object == "subject"]
    assert destroyed == ["1"]
    assert person.id


def test_a_rotation_on_demand_is_carried_out_by_the_workers(world: World) -> None:
    world.subscriber()
    member = world.team(Role.SECURITY)
    answer = world.do("keys.rotate", member, Rotate("subject"))
    assert answer.version == 2
    assert world.do("keys.rotate", member, Rotate("subject", after=1)).version == 2
    world.run_jobs()
    state = next(s for s in world.house.ring.for_caller("keys").states().purposes if s.purpose == "subject")
    assert state.rewrapping is not None
    assert (state.rewrapping.left, len(state.versions)) == (0, 2)
    assert state.rewrapping.finished_at is not None
