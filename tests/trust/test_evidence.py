"""Checks of what is stored, of the log, and of the page itself: they pass when all is well and fail when it is not."""

from __future__ import annotations

import base64
import hashlib
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from subscription_services.kernel.checks import Doors, Finding, Verdict
from subscription_services.kernel.settings import HouseSettings
from subscription_services.ledger.errors import LogTampered
from subscription_services.ledger.verify import verify_log
from subscription_services.testing import World
from subscription_services.trust import PROMISES, canary, checks, key_access, record, run_check, schedules, transport
from tests.trust.bad_servers import answer, bad
from tests.trust.served import Served, room, through
from tests.trust.test_status import KEPT, Room, check


async def hunt(served: Served) -> Finding:
    return await canary.nothing_readable(served.doors)


def data_of(world: World) -> Path:
    return world.house.settings.of(HouseSettings).data_path


def test_nothing_that_was_typed_can_be_read(world: World, tmp_path: Path) -> None:
    found = through(world, tmp_path / "tls", hunt)
    assert found.verdict is Verdict.KEPT, found
    assert found.evidence["fields_typed_into"] == 2
    (event,) = world.events("trust.test_sign_in")
    assert "user_agent" in event.sealed
    assert not list(data_of(world).glob("*.control"))


SPILLS: list[Callable[[str], bytes]] = [
    lambda marker: marker.encode(),
    lambda marker: marker.encode("utf-16-le"),
    lambda marker: marker.encode().hex().encode(),
    lambda marker: b"x" * (canary.CHUNK - 7) + marker.encode(),
    lambda marker: hashlib.sha256(marker.encode()).digest(),
    *(lambda marker, pad=pad: base64.b64encode(b"z" * pad + marker.encode() + b"tail") for pad in range(4)),
]


@pytest.mark.parametrize("spill", SPILLS)
def test_a_file_that_gives_the_marker_away_breaks_the_promise(
    world: World, tmp_path: Path, spill: Callable[[str], bytes]
) -> None:
    async def careless(doors: Doors, marker: str) -> int:
        (data_of(world) / "log.txt").write_bytes(b"before " + spill(marker) + b" after")
        return 1

    kernel, _, _ = room(world)
    doors = Doors(kernel, world.house.settings, "", "", "")
    found = world.run(canary.nothing_readable(doors, careless))
    assert found.verdict is Verdict.BROKEN
    assert "log.txt" in found.says


def test_a_row_that_gives_the_marker_away_breaks_the_promise(world: World) -> None:
    here = Room(world, check("transit.tls13", KEPT))

    async def careless(doors: Doors, marker: str) -> int:
        from subscription_services.kernel.perform import perform
        from subscription_services.trust import jobs, operations

        run = operations.RecordRun("transit.tls13", "kept", marker, 1)
        await perform(here.kernel, operations.record_run, jobs.ACTOR, run)
        return 1

    doors = Doors(here.kernel, world.house.settings, "", "", "")
    found = world.run(canary.nothing_readable(doors, careless))
    assert found.verdict is Verdict.BROKEN
    assert "trust_run" in found.says


def test_an_unencrypted_store_breaks_the_promise(world: World) -> None:
    plain = sqlite3.connect(data_of(world) / "cache.db")
    plain.execute("CREATE TABLE t (x)")
    plain.commit()
    plain.close()
    kernel, _, _ = room(world)

    async def typed(doors: Doors, marker: str) -> int:
        return 1

    found = world.run(canary.nothing_readable(Doors(kernel, world.house.settings, "", "", ""), typed))
    assert found.verdict is Verdict.BROKEN
    assert "cache.db" in found.says


def test_backups_of_the_keys_are_searched_wherever_they_are(place: tuple[Path, str], tmp_path: Path) -> None:
    async def typed(doors: Doors, marker: str) -> int:
        if spilled:
            (elsewhere / "keys-1.db.log").write_bytes(marker.encode())
        return 1

    elsewhere, spilled = tmp_path / "elsewhere", False
    with World.open(*place, SUBS_KEYS_BACKUP_DIRECTORY=str(elsewhere)) as world:
        kernel, _, _ = room(world)
        doors = Doors(kernel, world.house.settings, "", "", "")
        world.house.ring.for_caller("keys").backup()
        found = world.run(canary.nothing_readable(doors, typed))
        assert (found.verdict, found.evidence["key_backups_searched"]) == (Verdict.KEPT, 1)
        spilled = True
        assert world.run(canary.nothing_readable(doors, typed)).verdict is Verdict.BROKEN
        (elsewhere / "keys-1.db.log").unlink()
        spilled = False
        plain = sqlite3.connect(elsewhere / "keys-2.db")
        plain.execute("CREATE TABLE t (x)")
        plain.close()
        found = world.run(canary.nothing_readable(doors, typed))
        assert found.verdict is Verdict.BROKEN
        assert "keys-2.db" in found.says


def test_without_a_form_nothing_is_claimed(world: World, tmp_path: Path) -> None:
    async def work() -> Finding:
        async with bad(world, tmp_path, lambda method, path: answer("200 OK", body="<p>closed</p>")) as doors:
            return await canary.nothing_readable(doors)

    assert world.run(work()).verdict is Verdict.COULD_NOT_CHECK


def test_a_form_that_the_edge_refused_proves_nothing(world: World, tmp_path: Path) -> None:
    form = '<form method="post" action="/sign-in"><input type="email" name="email"></form>'

    def answers(method: str, path: str) -> bytes:
        return answer("200 OK", body=form) if method == "GET" else answer("403 Forbidden")

    async def work() -> Finding:
        async with bad(world, tmp_path, answers) as doors:
            return await canary.nothing_readable(doors)

    assert world.run(work()).verdict is Verdict.COULD_NOT_CHECK


def log_of(world: World) -> Callable[[], Any]:
    return lambda: verify_log(world.house.store, world.house.log)


def test_the_log_verifies_and_says_how_far(world: World) -> None:
    here = Room(world, check("transit.tls13", KEPT))
    here.run()

    async def sequenced() -> None:
        from subscription_services.ledger.sequencer import sequence

        await sequence(here.kernel.store, world.house.log, here.kernel.clock)

    world.run(sequenced())
    found = world.run(record.log_verifies(log_of(world)))
    assert found.verdict is Verdict.KEPT
    assert found.evidence["entries_verified"] != 0
    assert "Unwitnessed" in found.says


def test_a_changed_log_breaks_the_promise() -> None:
    import asyncio

    def tampered() -> Any:
        raise LogTampered("entry 3")

    assert asyncio.run(record.log_verifies(tampered)).verdict is Verdict.BROKEN


def test_nothing_is_unrecorded(world: World) -> None:
    here = Room(world, check("transit.tls13", KEPT))
    here.run()
    doors = Doors(here.kernel, world.house.settings, "", "", "")
    found = world.run(record.nothing_unrecorded(doors))
    assert found.verdict is Verdict.KEPT, found
    assert found.evidence["records_compared"] == 1
    assert found.evidence["write_outside_an_operation"] == "refused"


def test_a_record_without_its_entry_breaks_the_promise(world: World) -> None:
    here = Room(world, check("transit.tls13", KEPT))

    class Silent:
        def append(self, connection: Any, events: Any) -> None:
            """Forget everything."""

    here.kernel = replace(here.kernel, log=Silent())
    here.run()
    found = world.run(record.nothing_unrecorded(Doors(here.kernel, world.house.settings, "", "", "")))
    assert found.verdict is Verdict.BROKEN
    assert found.evidence["records_without_entry"] == 1


async def live(served: Served) -> Finding:
    return await record.page_is_live(served.doors, patience=0.1)


def test_a_page_that_does_not_move_with_the_clock_is_not_live(world: World, tmp_path: Path) -> None:
    found = through(world, tmp_path / "tls", live)
    assert (found.verdict, found.says) == (Verdict.BROKEN, "The page is not worked out afresh.")


def test_the_page_is_live(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    move(world, monkeypatch)
    found = through(world, tmp_path / "tls", live)
    assert found.verdict is Verdict.KEPT, found
    assert found.evidence["promises_on_the_page"] == 66


def test_a_stale_check_breaks_the_promise(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Room(world, check("transit.tls13", KEPT))
    here.run()
    world.clock.advance(hours=1)
    move(world, monkeypatch)
    found = through(world, tmp_path / "tls", live)
    assert found.verdict is Verdict.BROKEN
    assert "transit.tls13" in found.says


def move(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every reading of the clock move it by a millisecond, as real ones do."""
    from subscription_services.testing import MovingClock

    plain = MovingClock.__call__

    def later(self: MovingClock) -> Any:
        self.advance(milliseconds=1)
        return plain(self)

    monkeypatch.setattr(MovingClock, "__call__", later)


def test_a_page_that_leaves_a_promise_out_breaks_the_promise(world: World, tmp_path: Path) -> None:
    body = '{"generated_at":"2026-03-02T09:00:00Z","summary":{},"promises":[]}'

    async def work() -> Finding:
        async with bad(world, tmp_path, lambda method, path: answer("200 OK", body=body)) as doors:
            return await record.page_is_live(doors, patience=0.1)

    assert world.run(work()).says == "Promises are missing from the page."


def test_the_machine_form_has_an_entry_per_promise_and_is_never_cached(world: World, tmp_path: Path) -> None:
    async def work(served: Served) -> httpx.Response:
        async with transport.outside(served.doors) as client:
            return await client.get(served.doors.https_url + "/security.json")

    answer = through(world, tmp_path / "tls", work)
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert [item["id"] for item in answer.json()["promises"]] == list(PROMISES)
    assert all(item["state"] == "not_built" for item in answer.json()["promises"])


def test_every_check_of_the_foundation_runs_on_the_real_house(world: World, tmp_path: Path) -> None:
    mine = checks(log_of(world))

    async def work(served: Served) -> dict[str, Finding]:
        await served.sequence()
        return {item.promise: await run_check(item, served.doors) for item in mine if item.promise != "trust.live"}

    found = through(world, tmp_path / "tls", work, mine)
    assert {name: finding.says for name, finding in found.items() if finding.verdict is not Verdict.KEPT} == {}
    _, _, register = room(world, mine)
    assert {schedule.name for schedule in schedules(register)} == {f"trust.{item.promise}" for item in mine}


KEY_CHECKS = [key_access.foreign_keys_refused, key_access.access_recorded]


@pytest.mark.parametrize("run", KEY_CHECKS)
def test_key_accesses_are_guarded_and_recorded(world: World, run: Callable[[Doors], Any]) -> None:
    kernel, _, _ = room(world)
    doors = Doors(kernel, world.house.settings, "", "", "")
    for _ in range(2):
        world.clock.advance(minutes=15)
        found = world.run(run(doors))
        assert found.verdict is Verdict.KEPT, found


@pytest.mark.parametrize("run", KEY_CHECKS)
def test_an_access_that_is_not_in_the_log_breaks_the_promise(world: World, run: Callable[[Doors], Any]) -> None:
    class Silent:
        def append(self, connection: Any, events: Any) -> None:
            """Forget everything."""

    kernel, _, _ = room(world)
    doors = Doors(replace(kernel, log=Silent()), world.house.settings, "", "", "")
    assert world.run(run(doors)).verdict is Verdict.BROKEN


def test_a_key_given_to_the_wrong_caller_breaks_the_promise(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, _, _ = room(world)
    monkeypatch.setattr(key_access, "FOREIGN", ("trust.other",))
    found = world.run(key_access.foreign_keys_refused(Doors(kernel, world.house.settings, "", "", "")))
    assert found.verdict is Verdict.BROKEN
    assert found.evidence["given"] == 1
