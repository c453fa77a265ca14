"""The sequencer stops before it signs over a gap, a forged row, or another history."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from sqlalchemy import Connection, Table, delete
from sqlalchemy.exc import DBAPIError

from subscription_services.kernel.ports import Writer
from subscription_services.ledger import model
from subscription_services.ledger.errors import ForgedRow, GapFound, LogRefused, LogTampered, MemoryMissing, RolledBack
from subscription_services.ledger.memory import FileMemory
from subscription_services.ledger.sequencer import adopt, integrate, run_sequencer, sequence
from subscription_services.ledger.verify import Assurance

from .conftest import Bench

LAST = "(SELECT max(counter) FROM ledger_event)"
COPY = (
    "INSERT INTO ledger_event SELECT 'evt_copy', writer, counter + {}, payload, mac, at, action, outcome, actor_kind,"
    f" actor, object_kind, object, subject, origin_index, correlation FROM ledger_event WHERE counter = {LAST}"
)


@pytest.mark.parametrize(
    ("statements", "error"),
    [
        pytest.param([f"DELETE FROM ledger_event WHERE counter = {LAST} - 2"], GapFound, id="remove"),
        pytest.param([f"DELETE FROM ledger_event WHERE counter = {LAST}"], GapFound, id="remove the last"),
        pytest.param(
            [f"DELETE FROM ledger_event WHERE counter = {LAST}", "UPDATE ledger_writer SET counter = counter - 1"],
            ForgedRow,
            id="remove the last and turn the counter back",
        ),
        pytest.param(["DELETE FROM ledger_event WHERE counter > 10"], GapFound, id="remove all that wait"),
        pytest.param(
            ["DELETE FROM ledger_event WHERE counter > 10", "DELETE FROM ledger_writer"], GapFound, id="and the writer"
        ),
        pytest.param(
            [
                "DELETE FROM ledger_event WHERE counter > 10",
                "DELETE FROM ledger_writer",
                "DELETE FROM ledger_cursor",
            ],
            RolledBack,
            id="and the cursor",
        ),
        pytest.param([f"UPDATE ledger_event SET payload = mac WHERE counter = {LAST}"], ForgedRow, id="change"),
        pytest.param([f"UPDATE ledger_event SET actor = 'acc_2' WHERE counter = {LAST}"], ForgedRow, id="column"),
        pytest.param([COPY.format(1)], ForgedRow, id="insert"),
        pytest.param([COPY.format(5)], ForgedRow, id="insert ahead"),
        pytest.param(
            [COPY.format(1), "UPDATE ledger_writer SET counter = counter + 1"], ForgedRow, id="insert and count"
        ),
        pytest.param(
            [f"UPDATE ledger_event SET payload = (SELECT payload FROM ledger_event WHERE counter = {LAST} - 1),"
             f" mac = (SELECT mac FROM ledger_event WHERE counter = {LAST} - 1) WHERE counter = {LAST}"],
            ForgedRow,
            id="replace by a copy",
        ),
        pytest.param(["UPDATE ledger_cursor SET counter = counter + 2"], ForgedRow, id="skip by the cursor"),
        pytest.param(["DELETE FROM ledger_entry WHERE log_index = 9"], RolledBack, id="cut the tree"),
        pytest.param(["DELETE FROM ledger_tile"], RolledBack, id="remove the tree"),
        pytest.param(["UPDATE ledger_tile SET hashes = substr(hashes, 33)"], RolledBack, id="change the tree"),
    ],
)  # fmt: skip
def test_it_refuses_to_sign(bench: Bench, statements: list[str], error: type[LogRefused]) -> None:
    bench.append_many(10)
    bench.sequence()
    signed = bench.note()
    bench.append_many(6)
    bench.attack(*statements)
    with pytest.raises(error):
        bench.sequence()
    assert bench.note() == signed
    with pytest.raises(LogTampered):
        bench.verify()


@pytest.mark.parametrize("removed", [11, 13, 16])
def test_it_names_the_event_that_was_left_out(bench: Bench, removed: int) -> None:
    bench.append_many(10)
    bench.sequence()
    bench.append_many(6)
    bench.attack(f"DELETE FROM ledger_event WHERE counter = {removed}")
    with pytest.raises(GapFound, match=f"left out its event {removed}$"):
        bench.sequence()


def test_the_service_goes_on_when_a_writer_was_forged(bench: Bench) -> None:
    """Nobody can stop the service by damaging the counter; the alarm stays, and what was damaged stays to be seen."""
    bench.append_many(2)
    bench.attack("UPDATE ledger_writer SET counter = 7")
    bench.append_many(2)
    assert bench.sql("SELECT counter FROM ledger_writer ORDER BY counter") == [(2,), (7,)]
    with pytest.raises(ForgedRow):
        bench.sequence()


def test_an_interruption_between_integrating_and_signing_heals(bench: Bench) -> None:
    bench.append_many(5)
    bench.sequence()
    bench.append_many(5)
    bench.write(lambda connection: integrate(connection, bench.log))
    assert bench.verify().size == 10
    assert bench.sequence().signed == 10


def test_an_interruption_between_signing_and_publishing_heals(bench: Bench) -> None:
    bench.append_many(5)
    bench.sequence()
    note = bench.note()
    bench.attack("DELETE FROM ledger_checkpoint")
    assert bench.verify().checkpoints == 0
    assert bench.sequence().signed == 5
    assert bench.note() == note


def test_a_lost_copy_beside_the_store_stops_the_sequencer_until_a_person_decides(bench: Bench) -> None:
    bench.append_many(5)
    bench.sequence()
    path_of(bench).unlink()
    bench.append_many(5)
    with pytest.raises(MemoryMissing):
        bench.sequence()
    assert bench.verify().remembered is None
    assert bench.runner.run(adopt(bench.store, bench.log)).size == 5
    assert bench.sequence().signed == 10


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff"])
def test_a_damaged_copy_stops_the_sequencer(bench: Bench, damage: bytes) -> None:
    bench.append_many(5)
    bench.sequence()
    path_of(bench).write_bytes(damage)
    with pytest.raises(MemoryMissing):
        bench.sequence()
    with pytest.raises(MemoryMissing):
        bench.verify()


def test_a_copy_changed_without_the_key_is_refused(bench: Bench) -> None:
    bench.append_many(5)
    bench.sequence()
    path = path_of(bench)
    path.write_text(path.read_text().replace('"cursors":{', '"cursors":{"wri_x":1,'))
    with pytest.raises(MemoryMissing):
        bench.sequence()


def test_several_sequencers_at_once_make_one_log(bench: Bench) -> None:
    bench.append_many(300)

    async def race() -> None:
        await asyncio.gather(*(sequence(bench.store, bench.log, bench.clock) for _ in range(6)))

    bench.runner.run(race())
    assert bench.verify().size == 300


def test_writers_at_once_lose_nothing(bench: Bench) -> None:
    """More transactions at once than the pool has threads, with one in three failing."""
    events = [bench.event() for _ in range(120)]

    def work(number: int) -> Callable[[Connection], None]:
        def append(connection: Connection) -> None:
            bench.events.append(connection, [events[number]])
            if number % 3 == 0:
                raise ZeroDivisionError

        return append

    async def race() -> list[object]:
        jobs = [bench.store.write(Writer.PERFORM, work(number)) for number in range(120)]
        return await asyncio.gather(sequence(bench.store, bench.log, bench.clock), *jobs, return_exceptions=True)

    results = bench.runner.run(race())
    assert sum(isinstance(result, ZeroDivisionError) for result in results) == 40
    assert not [r for r in results if isinstance(r, Exception) and not isinstance(r, ZeroDivisionError)]
    bench.sequence()
    assert bench.verify().size == 80


def test_it_runs_until_it_is_stopped(bench: Bench) -> None:
    async def run() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(run_sequencer(bench.store, bench.log, bench.clock, stop, interval=0.01))
        event = bench.event()
        await bench.store.write(Writer.PERFORM, lambda connection: bench.events.append(connection, [event]))
        for _ in range(500):
            if bench.find(event).log_index is not None:
                break
            await asyncio.sleep(0.01)
        stop.set()
        await asyncio.wait_for(running, 5)

    bench.runner.run(run())
    assert bench.verify().size == 1
    assert bench.verify().assurance is Assurance.UNWITNESSED


def test_a_refusal_is_an_alarm_and_does_not_end_it(bench: Bench) -> None:
    bench.append_many(3)
    bench.attack("UPDATE ledger_event SET actor = 'acc_2' WHERE counter = 2")

    async def run() -> None:
        stop = asyncio.Event()
        running = asyncio.create_task(run_sequencer(bench.store, bench.log, bench.clock, stop, interval=0.01))
        with structlog.testing.capture_logs() as lines:
            while len(lines) < 2:
                await asyncio.sleep(0.01)
        assert not running.done()
        assert {(line["log_level"], line["kind"]) for line in lines} == {("critical", "ForgedRow")}
        stop.set()
        await running

    bench.runner.run(asyncio.wait_for(run(), 20))
    assert bench.sql("SELECT count(*) FROM ledger_checkpoint") == [(0,)]


@pytest.mark.parametrize("table", model.TABLES, ids=lambda table: str(table.name))
def test_nothing_is_removed_while_the_triggers_are_there(bench: Bench, table: Table) -> None:
    bench.append_many(3)
    bench.sequence()
    with pytest.raises(DBAPIError, match=r"nothing is removed|is kept for its whole period"):
        bench.write(lambda connection: connection.execute(delete(table)))


def path_of(bench: Bench) -> Path:
    assert isinstance(bench.log.memory, FileMemory)
    return bench.log.memory.path
