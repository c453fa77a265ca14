"""Attacks by somebody with full write access to the database: each is found, and the first bad entry named."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Column, Table, update

from subscription_services.ledger.checkpoint import Checkpoint, sign_checkpoint
from subscription_services.ledger.errors import LedgerError, LogRefused, LogTampered, RolledBack
from subscription_services.ledger.memory import FileMemory
from subscription_services.ledger.model import TABLES, checkpoint
from subscription_services.ledger.note import ed25519_signer
from subscription_services.ledger.sequencer import adopt, integrate
from subscription_services.ledger.verify import verification

from .conftest import Bench

ONE: dict[type, Any] = {int: 1, str: "x", bytes: b"\0"}
SHIFT_DOWN = [
    # index by index, so that no two entries have the same one in between
    f"UPDATE ledger_entry SET log_index = {index - 1} WHERE log_index = {index}"
    for index in range(8, 20)
]
SHIFT_UP = [f"UPDATE ledger_entry SET log_index = {index + 1} WHERE log_index = {index}" for index in range(19, 6, -1)]
EVENT_AT = "(SELECT event_id FROM ledger_entry WHERE log_index = {})"
COPY = (
    "INSERT INTO ledger_event SELECT 'evt_copy', writer, counter + 100, payload, mac, at, action, outcome, actor_kind,"
    " actor, object_kind, object, subject, origin_index, correlation FROM ledger_event WHERE id = " + EVENT_AT.format(3)
)


@pytest.fixture
def full(bench: Bench) -> Bench:
    """Twenty entries under checkpoints of ten and twenty."""
    for _ in range(2):
        bench.append_many(10)
        bench.sequence()
    assert bench.verify().size == 20
    return bench


@pytest.mark.parametrize(
    ("statements", "index"),
    [
        pytest.param([f"UPDATE ledger_event SET payload = :forged WHERE id = {EVENT_AT.format(7)}"], 7, id="change"),
        pytest.param([f"UPDATE ledger_event SET actor = 'acc_2' WHERE id = {EVENT_AT.format(7)}"], 7, id="column"),
        pytest.param([f"UPDATE ledger_event SET at = at + 1 WHERE id = {EVENT_AT.format(0)}"], 0, id="time"),
        pytest.param([f"UPDATE ledger_event SET mac = :forged WHERE id = {EVENT_AT.format(19)}"], 19, id="mac"),
        pytest.param([f"DELETE FROM ledger_event WHERE id = {EVENT_AT.format(7)}"], 7, id="remove event"),
        pytest.param(["DELETE FROM ledger_entry WHERE log_index = 7"], 7, id="remove entry"),
        pytest.param(["DELETE FROM ledger_entry WHERE log_index < 3"], 0, id="remove head"),
        pytest.param(
            [
                f"DELETE FROM ledger_event WHERE id = {EVENT_AT.format(7)}",
                "DELETE FROM ledger_entry WHERE log_index = 7",
                *SHIFT_DOWN,
            ],
            7,
            id="remove and close the gap",
        ),
        pytest.param(
            [COPY, *SHIFT_UP, "INSERT INTO ledger_entry VALUES (7, 'evt_copy')"], 7, id="insert a copied entry"
        ),
        pytest.param([COPY, "INSERT INTO ledger_entry VALUES (20, 'evt_copy')"], 20, id="insert at the end"),
        pytest.param(
            [
                "UPDATE ledger_entry SET log_index = 99 WHERE log_index = 4",
                "UPDATE ledger_entry SET log_index = 4 WHERE log_index = 5",
                "UPDATE ledger_entry SET log_index = 5 WHERE log_index = 99",
            ],
            4,
            id="swap",
        ),
        pytest.param([f"DELETE FROM ledger_entry WHERE log_index >= {17}"], 17, id="cut the tail of the order"),
        pytest.param(
            [
                f"DELETE FROM ledger_event WHERE id IN (SELECT event_id FROM ledger_entry WHERE log_index >= {17})",
                f"DELETE FROM ledger_entry WHERE log_index >= {17}",
                "DELETE FROM ledger_checkpoint WHERE size > 17",
            ],
            17,
            id="cut the tail and its checkpoint",
        ),
        pytest.param(["DELETE FROM ledger_event", "DELETE FROM ledger_entry"], 0, id="remove everything"),
    ],
)
@pytest.mark.parametrize("careful", [False, True], ids=["", "tiles rebuilt"])
def test_the_first_bad_entry_is_named(full: Bench, statements: list[str], index: int, careful: bool) -> None:
    full.attack(*statements, forged=b'{"forged":true}') if ":forged" in statements[0] else full.attack(*statements)
    if careful:
        full.rebuild_tiles()
    with pytest.raises(LogTampered) as found:
        full.verify()
    assert found.value.index == index


def test_a_reordering_between_writers_is_found_at_once_by_the_tiles(bench: Bench) -> None:
    two_writers(bench)
    bench.attack(*swapped(4, 10))
    with pytest.raises(LogTampered) as found:
        bench.verify()
    assert found.value.index == 4


def test_a_reordering_between_writers_with_tiles_rebuilt_is_found_by_the_signed_roots(bench: Bench) -> None:
    """Codes and counters are all right then: only the root of the checkpoint is not, so a range is named."""
    two_writers(bench)
    bench.attack(*swapped(4, 10))
    bench.rebuild_tiles()
    with pytest.raises(LogTampered) as found:
        bench.verify()
    assert found.value.index is not None
    assert found.value.until is not None
    assert found.value.index <= 4 <= found.value.until


def two_writers(bench: Bench) -> None:
    """Entries 0 to 9 are of one writer and 10 to 14 of another."""
    bench.append_many(5)
    bench.sequence()
    bench.append_many(5)
    bench.second_writer()
    bench.append_many(5)
    bench.sequence()
    assert bench.verify().size == 15


def swapped(low: int, high: int) -> list[str]:
    """Move entry `high` before `low`, everything between one on: no writer's own order changes."""
    steps = [f"UPDATE ledger_entry SET log_index = 1000 WHERE log_index = {high}"]
    steps += [
        f"UPDATE ledger_entry SET log_index = {index + 1} WHERE log_index = {index}"
        for index in range(high - 1, low - 1, -1)
    ]
    return [*steps, f"UPDATE ledger_entry SET log_index = {low} WHERE log_index = 1000"]


def test_the_printed_verdict_names_the_place(full: Bench) -> None:
    assert verification(full.store, full.log)[1]
    full.attack(f"UPDATE ledger_event SET actor = 'acc_2' WHERE id = {EVENT_AT.format(7)}")
    lines, well = verification(full.store, full.log)
    assert not well
    assert lines[0].startswith("TAMPERED     from entry 7 on: ")


@pytest.mark.parametrize("level_zero", [True, False])
def test_a_changed_tile_is_found(bench: Bench, level_zero: bool) -> None:
    bench.append_many(300)
    bench.sequence()
    level, first = (0, 256) if level_zero else (1, 0)
    bench.attack(
        "UPDATE ledger_tile SET hashes = :hashes WHERE level = :level AND tile_index = :number",
        hashes=bytes(32), level=level, number=1 if level_zero else 0,
    )  # fmt: skip
    with pytest.raises(LogTampered) as found:
        bench.verify()
    assert found.value.index == first


@pytest.mark.parametrize("number", [0, 1])
def test_a_tile_that_goes_on_after_its_entries_is_found(bench: Bench, number: int) -> None:
    """A full tile and a partial one."""
    bench.append_many(300)
    bench.sequence()
    hashes = bench.sql("SELECT hashes FROM ledger_tile WHERE level = 0 AND tile_index = :number", number=number)
    bench.attack(
        "UPDATE ledger_tile SET hashes = :longer WHERE level = 0 AND tile_index = :number",
        longer=bytes(hashes[0][0]) + bytes(32), number=number,
    )  # fmt: skip
    with pytest.raises(LogTampered, match="belong to no entry"):
        bench.verify()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM ledger_tile",
        "INSERT INTO ledger_tile SELECT 1, 0, hashes FROM ledger_tile WHERE level = 0",
        "UPDATE ledger_cursor SET counter = counter - 1",
        "UPDATE ledger_writer SET counter = counter + 1",
        "DELETE FROM ledger_cursor",
        "DELETE FROM ledger_writer",
        "UPDATE ledger_checkpoint SET root = mac FROM (SELECT mac FROM ledger_writer) AS w",
        "UPDATE ledger_checkpoint SET note = root",
        "INSERT INTO ledger_writer VALUES ('wri_mine', 0, 'x')",
    ],
)
def test_damage_beside_the_entries_is_found(full: Bench, statement: str) -> None:
    full.attack(statement.replace("'x'", "'x'::bytea" if full.store.dialect == "postgresql" else "x'00'"))
    with pytest.raises(LogTampered):
        full.verify()


# the time of a checkpoint is for people; the signed note says nothing of it
COLUMNS = [column for table in TABLES for column in table.columns if column is not checkpoint.c.at]


@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_no_column_can_be_changed_unseen(full: Bench, column: Column[Any]) -> None:
    """One row of each table at a time, whatever the column holds."""
    table = column.table
    assert isinstance(table, Table)
    row = full.snapshot()[table.name][-1]
    value = row[column.name]
    changed = value + timedelta(1) if isinstance(value, datetime) else value + type(value)(ONE[type(value)])
    assert changed != value
    full.attack()
    with full.engine.begin() as connection:
        same_row = [key == row[key.name] for key in table.primary_key.columns]
        assert connection.execute(update(table).where(*same_row).values({column.name: changed})).rowcount == 1
    with pytest.raises(LogTampered):
        full.verify()


def test_a_checkpoint_signed_with_another_key_is_found(full: Bench) -> None:
    mine = sign_checkpoint(Checkpoint("example.com/log", 20, bytes(32)), [ed25519_signer("example.com/log", bytes(32))])
    full.attack("UPDATE ledger_checkpoint SET note = :note WHERE size = 20", note=mine)
    with pytest.raises(LogTampered, match="not signed"):
        full.verify()


def test_an_old_checkpoint_under_a_new_size_is_found(full: Bench) -> None:
    full.attack("UPDATE ledger_checkpoint SET note = (SELECT note FROM ledger_checkpoint WHERE size = 10)")
    with pytest.raises(LogTampered, match="says something else"):
        full.verify()


def test_yesterdays_store_is_found_by_the_copy_beside_it(full: Bench) -> None:
    yesterday = full.snapshot()
    full.append_many(5)
    full.sequence()
    full.restore(yesterday)
    with pytest.raises(LogTampered) as found:
        full.verify()
    assert found.value.index == 20
    full.append_many(9)
    with pytest.raises(RolledBack):
        full.sequence()


def test_another_history_after_a_roll_back_is_never_signed(full: Bench) -> None:
    """The new tree is larger than the one signed last, and still refused: its beginning is another."""
    yesterday = full.snapshot()
    full.append_many(2)
    full.sequence()
    remembered = full.log.memory.load()
    assert remembered is not None
    full.restore(yesterday)
    assert isinstance(full.log.memory, FileMemory)
    full.log.memory.path.unlink()
    full.append_many(9)
    full.runner.run(adopt(full.store, full.log))
    full.sequence()
    full.log.memory.save(remembered)
    full.append_many(1)
    with pytest.raises(RolledBack, match="another tree"):
        full.sequence()
    with pytest.raises(LogTampered):
        full.verify()


def test_a_roll_back_of_store_and_copy_is_unwitnessed_and_found_by_who_kept_a_checkpoint(full: Bench) -> None:
    yesterday, beside = full.snapshot(), full.log.memory.load()
    assert beside is not None
    full.append_many(5)
    full.sequence()
    kept = full.note()
    full.restore(yesterday)
    full.log.memory.save(beside)
    assert full.verify().assurance == "unwitnessed"
    with pytest.raises(LogTampered) as found:
        full.verify(kept)
    assert found.value.index == 20


def test_a_row_that_no_writer_wrote_is_found(full: Bench) -> None:
    full.attack(COPY.replace("SELECT 'evt_copy', writer", "SELECT 'evt_copy', 'wri_none'"))
    with pytest.raises(LogTampered, match="no writer wrote"):
        full.verify()


def test_an_interruption_is_told_apart_from_a_tail_that_was_cut(full: Bench) -> None:
    """Both leave a remembered checkpoint that the store has not published; only one lacks the tree under it."""
    full.append_many(5)
    full.write(lambda connection: integrate(connection, full.log))
    before = full.snapshot()
    full.sequence()
    # signed and remembered, then the power went before it was published
    full.attack("DELETE FROM ledger_checkpoint WHERE size = 25")
    assert full.verify().size == 25
    assert full.sequence().signed == 25
    assert full.verify().checkpoints == 3
    # the same picture, but the entries are gone as well
    full.restore(before)
    full.attack("DELETE FROM ledger_entry WHERE log_index >= 22")
    with pytest.raises(LogTampered) as found:
        full.verify()
    assert found.value.index == 22
    with pytest.raises(LogRefused):
        full.sequence()


def test_a_stolen_old_database_forges_no_checkpoint(full: Bench) -> None:
    """All that a thief of the database has to sign with are old notes; the key is not in it."""
    stolen = full.snapshot()["ledger_checkpoint"]
    full.append_many(5)
    full.sequence()
    (note,) = [row["note"] for row in stolen if row["size"] == 20]
    forged = bytes(note).replace(b"\n20\n", b"\n25\n")
    full.attack("UPDATE ledger_checkpoint SET note = :forged WHERE size = 25", forged=forged)
    with pytest.raises(LogTampered, match="not signed"):
        full.verify()
    with pytest.raises(LedgerError):
        full.verify(forged)
