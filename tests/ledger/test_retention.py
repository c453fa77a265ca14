"""Events stay for their period whoever asks; then they go and the tree stays; a legal hold keeps them longer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from subs_verifier import parse_policy, verify_folder
from subscription_services import app
from subscription_services.kernel.actors import Role, System
from subscription_services.kernel.clock import system_clock, system_random
from subscription_services.kernel.context import Context, Origin
from subscription_services.kernel.errors import SettingsError, StartError
from subscription_services.kernel.ids import Ids
from subscription_services.kernel.ports import Outbox
from subscription_services.kernel.transaction import BoundOutbox, Transaction
from subscription_services.ledger import retention as r
from subscription_services.ledger.errors import ForgedRow, LogTampered, NoSuchEvent
from subscription_services.ledger.export import export
from subscription_services.ledger.jobs import kinds
from subscription_services.ledger.queries import find_event
from subscription_services.testing import MovingClock, World
from subscription_services.testing.world import FAST

from .conftest import Bench
from .served import client, grow

LONG_AGO = timedelta(days=400)
ACTOR = System("ledger.retention")


@pytest.fixture
def old(bench: Bench) -> Bench:
    """600 entries of 400 days ago and 10 of last month, by the clock of the machine; then it is today."""
    today = system_clock()
    bench.clock.now = today - LONG_AGO
    bench.append_many(600)
    bench.sequence()
    bench.clock.now = today - timedelta(days=30)
    bench.append_many(10)
    bench.sequence()
    bench.clock.now = today
    return bench


def run(bench: Bench, operation: Any, request: Any, actor: Any = ACTOR) -> Any:
    """The operation's own function in a transaction of its own."""
    ids = Ids(bench.clock, system_random)

    def work(connection: Any) -> Any:
        ctx = Context(actor, bench.clock(), ids, system_random, Origin(), "cor_1", None)
        outbox: Outbox = None  # type: ignore[assignment]  # nothing here queues a job
        tx = Transaction(connection, bench.log.keys, BoundOutbox(connection, outbox, bench.clock()))
        return operation.run(tx, ctx, request).after

    return bench.write(work)


def prune(bench: Bench) -> tuple[int, int]:
    done: r.Pruned = run(bench, r.prune, r.Prune())
    return done.minimum_index, done.removed


def test_what_the_period_has_passed_goes_in_whole_bundles_and_the_log_still_verifies(old: Bench) -> None:
    root = old.verify().root
    gone = old.sql("SELECT event_id FROM ledger_entry WHERE log_index = 511")[0][0]
    kept = old.sql("SELECT event_id FROM ledger_entry WHERE log_index = 512")[0][0]
    assert prune(old) == (512, 512)
    assert prune(old) == (512, 0)
    verified = old.verify()
    assert (verified.size, verified.minimum, verified.root) == (610, 512, root)
    assert old.sql("SELECT count(*), min(log_index) FROM ledger_entry") == [(98, 512)]
    with pytest.raises(NoSuchEvent):
        old.read(lambda connection: find_event(connection, gone))
    assert old.sql("SELECT count(*) FROM ledger_event WHERE id = :id", id=kept) == [(1,)]
    old.append_many(5)
    old.sequence()
    assert old.verify().size == 615
    assert old.prove_extends(100, 615)


def test_nothing_goes_while_the_clocks_disagree(old: Bench) -> None:
    """A program whose clock runs ahead removes nothing; neither does one whose clock is behind."""
    old.clock.advance(days=-380)
    assert prune(old) == (0, 0)
    old.clock.advance(days=380 + 100)
    assert prune(old) == (512, 512)
    assert old.sql("SELECT count(*) FROM ledger_event") == [(98,)]


def test_the_newest_entry_stays_so_that_the_size_is_known(bench: Bench) -> None:
    bench.clock.now = system_clock() - LONG_AGO
    bench.append_many(512)
    bench.sequence()
    bench.clock.now = system_clock()
    assert prune(bench) == (256, 256)
    bench.append_many(1)
    bench.sequence()
    assert bench.verify().size == 513
    assert prune(bench) == (512, 256)
    assert bench.verify().size == 513


def test_a_hold_on_a_person_or_a_time_keeps_what_it_covers(old: Bench) -> None:
    old.keys.for_caller("ledger").ensure_subject("acc_lawyer")
    first, last = old.sql("SELECT min(at), max(at) FROM ledger_event")[0]
    assert first < last
    lawyer = System("acc_lawyer")
    about = r.PlaceHold(subject="acc_1", reason="A claim was announced.")
    hold = run(old, r.place_hold, about, _Person())
    assert prune(old) == (0, 0)
    with pytest.raises(r.OwnHold):
        run(old, r.release_hold, r.ReleaseHold(hold.id, "no"), _Person())
    run(old, r.release_hold, r.ReleaseHold(hold.id, "It was settled."), lawyer)
    with pytest.raises(r.HoldReleased):
        run(old, r.release_hold, r.ReleaseHold(hold.id, "Again."), lawyer)
    since = old.clock() - LONG_AGO + timedelta(milliseconds=300)
    run(old, r.place_hold, r.PlaceHold(since=since, until=since + timedelta(hours=1), reason="That hour."), _Person())
    assert prune(old) == (256, 256)
    assert old.verify().minimum == 256


class _Person:
    """As much of a team member as the operation looks at."""

    id = "acc_holder"
    kind = "team-member"


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM ledger_event WHERE id = (SELECT event_id FROM ledger_entry WHERE log_index = 605)",
        "DELETE FROM ledger_event WHERE at < 9223372036854775807",
        "DELETE FROM ledger_entry WHERE log_index = 605",
        "DELETE FROM ledger_minimum",
        "UPDATE ledger_minimum SET minimum = 1024",
        "DELETE FROM ledger_period",
        "UPDATE ledger_period SET days = 90",
        "UPDATE ledger_event SET at = 0",
    ],
)
def test_no_statement_removes_a_young_event(old: Bench, statement: str) -> None:
    run(old, r.keep_for, r.KeepFor(120))
    prune(old)
    before = old.snapshot()
    with pytest.raises(DBAPIError, match=r"log|kept"):
        old.sql(statement)
    assert old.snapshot() == before


def test_a_young_event_below_a_forged_minimum_stays_as_well(bench: Bench) -> None:
    bench.clock.now = system_clock() - timedelta(days=80)
    bench.append_many(300)
    bench.sequence()
    bench.sql("INSERT INTO ledger_minimum (minimum, counters, mac, at) VALUES (256, :x, :x, 0)", x=b"{}")
    with pytest.raises(DBAPIError, match="kept for its whole period"):
        bench.sql("DELETE FROM ledger_event")
    with pytest.raises(LogTampered, match="minimum index 256"):
        bench.verify()


def test_the_database_keeps_for_the_period_that_was_set(bench: Bench) -> None:
    run(bench, r.keep_for, r.KeepFor(500))
    bench.clock.now = system_clock() - LONG_AGO
    bench.append_many(300)
    bench.sequence()
    bench.clock.now = system_clock()
    assert prune(bench) == (0, 0)
    with pytest.raises(r.PeriodShortened):
        run(bench, r.keep_for, r.KeepFor(499))
    x = {"x": b"{}"}
    bench.sql("INSERT INTO ledger_minimum (minimum, counters, mac, at) VALUES (256, :x, :x, 0)", **x)
    with pytest.raises(DBAPIError, match="kept for its whole period"):
        bench.sql("DELETE FROM ledger_event")


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("table", ["ledger_event", "ledger_entry", "ledger_tile", "ledger_checkpoint", "ledger_cursor"])
def test_insert_or_replace_replaces_nothing(bench: Bench, table: str) -> None:
    """SQLite removes the row that is in the way without asking its delete triggers."""
    bench.append_many(3)
    bench.sequence()
    before = bench.snapshot()
    with pytest.raises(DBAPIError, match="nothing in the log is replaced"):
        bench.sql(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}")
    assert bench.snapshot() == before


@pytest.mark.postgres
@pytest.mark.parametrize("engine", ["postgresql"], indirect=True)
def test_a_search_path_does_not_lead_the_trigger_astray(old: Bench) -> None:
    prune(old)
    with pytest.raises(DBAPIError, match="kept for its whole period"):
        old.sql(
            "CREATE TEMP TABLE ledger_entry (log_index bigint, event_id text)",
            "CREATE TEMP TABLE ledger_minimum (minimum bigint)",
            "INSERT INTO ledger_minimum VALUES (100000)",
            "INSERT INTO pg_temp.ledger_entry SELECT log_index, event_id FROM public.ledger_entry",
            "DELETE FROM public.ledger_event WHERE at < 9223372036854775807",
        )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE ledger_minimum SET minimum = 256",
        "UPDATE ledger_minimum SET counters = mac",
        "DELETE FROM ledger_minimum",
        "DELETE FROM ledger_entry WHERE log_index = 512",
        "INSERT INTO ledger_entry VALUES (511, 'evt_x')",
    ],
)
def test_damage_to_a_pruned_log_is_found(old: Bench, statement: str) -> None:
    prune(old)
    old.attack(statement)
    with pytest.raises(LogTampered):
        old.verify()


def test_a_changed_hash_of_a_pruned_entry_is_found(old: Bench) -> None:
    prune(old)
    (hashes,) = old.sql("SELECT hashes FROM ledger_tile WHERE level = 0 AND tile_index = 0")[0]
    forged = bytes(32) + bytes(hashes)[32:]
    old.attack("UPDATE ledger_tile SET hashes = :forged WHERE level = 0 AND tile_index = 0", forged=forged)
    with pytest.raises(LogTampered):
        old.verify()


def test_evidence_of_a_change_is_not_pruned_away(old: Bench) -> None:
    old.attack("UPDATE ledger_event SET actor = 'acc_9' WHERE counter = 7")
    with pytest.raises(ForgedRow):
        prune(old)
    assert old.sql("SELECT count(*) FROM ledger_event") == [(610,)]


def test_a_setting_below_90_days_or_below_what_was_promised_refuses_to_start(world: World) -> None:
    with pytest.raises(SettingsError, match="ledger"):
        app.read_settings({**FAST, "SUBS_LEDGER_RETENTION_DAYS": "89"})
    world.do(r.keep_for, System("app.prepare"), r.KeepFor(200))
    with world.house.store.reading() as connection, pytest.raises(StartError, match="cannot be shortened to 90"):
        r.check_period(connection, 90)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[World]:
    """A house that was made 400 days ago."""
    data = tmp_path / "data"
    settings = app.read_settings({**FAST, "SUBS_DATA": str(data)})
    app.prepare(settings, clock=MovingClock(system_clock() - LONG_AGO))
    with World.open(data) as world:
        world.clock.now = system_clock() - LONG_AGO
        yield world


def test_a_pruned_log_is_exported_and_verified_by_others(house: World, tmp_path: Path) -> None:
    grow(house, 700)
    house.clock.now = system_clock()
    auditor = house.team(Role.AUDITOR)
    (job,) = kinds()
    house.run(job.handle(house.house.kernel, r.Prune()))
    grow(house, 10)
    folder = tmp_path / "copy"
    folder.mkdir()
    assert client(house).get("/log/minimum-index").text == "512\n"
    assert client(house, auditor).get("/log/tile/entries/001").status_code == 404
    exported = export(client(house, auditor), folder)
    policy = parse_policy(b"log " + (folder / "key").read_bytes() + b"quorum none\n")
    found = verify_folder(folder, policy)
    assert (found.minimum_index, found.entries) == (512, exported.checkpoint.size - 512)
    assert [event.details["minimum_index"] for event in house.events("ledger.prune")] == [512]
