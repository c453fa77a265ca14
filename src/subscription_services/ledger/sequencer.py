"""The one sequencer: gives each event its index, grows the tree, signs checkpoints.

Two transactions and a file in between. The first makes the tree durable; then its head is signed and remembered
outside the database; the second publishes the checkpoint. So a remembered checkpoint is always of a durable tree: a
store that lacks it was cut or rolled back, never merely interrupted.

What stays unseen: whoever holds the database can put it back to any state it had since the last signed checkpoint,
rows, counters and codes together. The interval between checkpoints bounds how much that can hide.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import Connection, func, insert, select, text
from sqlalchemy.exc import SQLAlchemyError

from subscription_services.kernel.clock import Clock
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.ports import Store, Writer
from subscription_services.storage.lease import Lease

from . import model
from .checkpoint import Checkpoint, sign_checkpoint
from .entries import CURSOR_PURPOSE, check_row, counter_mac
from .errors import LedgerError, MemoryMissing, RolledBack
from .memory import Remembered
from .stored import Log, check_cursors, check_memory, read_tile, root_at, tree_size, waiting_rows, write_tiles
from .tiles import grow, read_edge
from .tree import hash_leaf
from .witnesses import Witnessing

_PATIENCE = 15.0
"""Seconds that the first signature waits for witnesses that do not answer."""
BATCH = 2048
"""Events of one writer that get their index in one transaction."""
_LOCK = 0x6C6564676572
log_lines = structlog.get_logger("ledger")


@dataclass(frozen=True, slots=True)
class Sequenced:
    """`added` entries got their index; `signed` is the size of the newest published checkpoint."""

    added: int
    signed: int


async def sequence(store: Store, log: Log, clock: Clock) -> Sequenced:
    """Sequence all that waits, then sign and publish. Safe to run in several processes at once.

    Raises LogRefused (GapFound, ForgedRow, RolledBack, MemoryMissing): alarm somebody, nothing was signed.
    """
    added = 0
    while count := await store.write(Writer.SEQUENCER, lambda connection: integrate(connection, log)):
        added += count
    return Sequenced(added, await _publish(store, log, clock))


def integrate(connection: Connection, log: Log, limit: int = BATCH) -> int:
    """In the caller's transaction give an index to events that wait; returns to how many. Raises LogRefused."""
    _wait_for_others(connection)
    size = tree_size(connection)
    ranges = check_cursors(connection, log, check_memory(connection, log, size))
    waiting = waiting_rows(connection, ranges, limit)
    if not waiting:
        return 0
    for part in waiting:
        for row in part.rows:
            check_row(log.keys, row)
    # by time, and never before an earlier event of the same writer
    rows = list(heapq.merge(*(part.rows for part in waiting), key=lambda row: row.at))
    try:
        edge = read_edge(size, read_tile(connection))
    except LedgerError as error:
        raise RolledBack(f"the tree of {size} entries cannot be read: {error}") from error
    _, tiles = grow(edge, [hash_leaf(row.payload) for row in rows])
    connection.execute(
        insert(model.entry),
        [{"log_index": index, "event_id": row.id} for index, row in enumerate(rows, start=size)],
    )
    write_tiles(connection, tiles)
    for part in waiting:
        counter = part.rows[-1].counter
        code = counter_mac(log.keys, CURSOR_PURPOSE, part.writer, counter)
        _move_cursor(connection, part.writer, counter, code)
    return len(rows)


async def adopt(store: Store, log: Log) -> Checkpoint:
    """Trust the store as it is and remember its newest checkpoint: for a person to decide, after `verify`.

    For a new machine, or when the file was lost. Raises MemoryMissing when there is no checkpoint, RolledBack when
    the tree does not fit it.
    """

    def read(connection: Connection) -> tuple[bytes, dict[str, int], bytes]:
        row = connection.execute(select(model.checkpoint).order_by(model.checkpoint.c.size.desc()).limit(1)).first()
        if row is None:
            raise MemoryMissing("the store has no signed checkpoint to adopt")
        ranges = check_cursors(connection, log, {})
        root = root_at(connection, row.size, tree_size(connection))
        return row.note, {name: sequenced for name, (sequenced, _) in ranges.items() if sequenced}, root

    note, cursors, root = await store.read(read)
    log.memory.save(Remembered(note.decode(), cursors))
    known = log.remembered()
    if known is None or known[0].root != root:
        raise RolledBack("the newest checkpoint is not of the stored tree")
    return known[0]


async def run_sequencer(
    store: Store, log: Log, clock: Clock, stop: asyncio.Event, interval: float = 0.5,
    witnessing: Witnessing | None = None, lease: Lease | None = None,
) -> None:  # fmt: skip
    """Sequence every `interval` seconds until `stop` is set, while the `lease` is held. A refusal is an alarm; it goes
    on trying. Witnesses are asked once before anything is signed, and from then on beside the signing.
    """
    asking: asyncio.Task[None] | None = None
    asked = asyncio.Event()
    try:
        while not stop.is_set():
            leading = lease is None or await asyncio.to_thread(lease.hold)
            if leading and asking is None and witnessing is not None and witnessing.policy.witnesses:
                asking = asyncio.create_task(witnessing.run(stop, asked))
                await asyncio.wait([asyncio.create_task(asked.wait())], timeout=_PATIENCE)
            elif not leading and asking is not None:
                asking.cancel()
                asking = None
            if leading:
                await _turn(store, log, clock, witnessing)
            try:
                await asyncio.wait_for(stop.wait(), interval)
            except TimeoutError:
                continue
    finally:
        if asking is not None:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        if lease is not None:
            lease.release()


async def _turn(store: Store, log: Log, clock: Clock, witnessing: Witnessing | None) -> None:
    try:
        if witnessing is not None and witnessing.refusal is not None:
            raise witnessing.refusal
        await sequence(store, log, clock)
    except (LedgerError, SQLAlchemyError) as error:
        log_lines.critical("ledger.refused", kind=type(error).__name__, error=str(error))
    except (DomainError, OSError) as error:
        log_lines.error("ledger.unavailable", error=str(error))


@dataclass(frozen=True, slots=True)
class _Head:
    size: int
    root: bytes
    published: int
    cursors: Mapping[str, int]


async def _publish(store: Store, log: Log, clock: Clock) -> int:
    head = await store.read(lambda connection: _read_head(connection, log))
    if head.size == 0:
        return 0
    _remember(log, head)
    return await store.write(
        Writer.SEQUENCER, lambda connection: _insert_checkpoint(connection, log, head.published, clock())
    )


def _read_head(connection: Connection, log: Log) -> _Head:
    size = tree_size(connection)
    check_memory(connection, log, size)
    published: int | None = connection.execute(select(func.max(model.checkpoint.c.size))).scalar()
    cursors = {row.writer: row.counter for row in connection.execute(select(model.cursor))}
    return _Head(size, root_at(connection, size, size), published or 0, cursors)


def _remember(log: Log, head: _Head) -> None:
    """Sign the head and save it, unless another process has signed as much already."""
    with log.memory.exclusive():
        known = log.remembered()
        if known is not None and known[0].size >= head.size:
            if known[0].size == head.size and known[0].root != head.root:
                raise RolledBack(f"two different trees of {head.size} entries")
            return
        note = sign_checkpoint(Checkpoint(log.origin, head.size, head.root), [log.signer()])
        log.memory.save(Remembered(note.decode(), dict(head.cursors)))


def _insert_checkpoint(connection: Connection, log: Log, published: int, now: datetime) -> int:
    """Publish what is remembered; also what an interruption kept from being published."""
    known = log.remembered()
    if known is None:
        raise MemoryMissing("the checkpoint that was just signed is gone")
    checkpoint, remembered = known
    if checkpoint.size <= published:
        return published
    _wait_for_others(connection)
    columns = model.checkpoint.c
    exists = connection.execute(select(columns.size).where(columns.size == checkpoint.size)).scalar()
    if exists is None:
        connection.execute(
            insert(model.checkpoint),
            {"size": checkpoint.size, "root": checkpoint.root, "note": remembered.note.encode(), "at": now},
        )
    return checkpoint.size


def _wait_for_others(connection: Connection) -> None:
    """One sequencer at a time until the end of the transaction; the embedded store has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def _move_cursor(connection: Connection, writer: str, counter: int, code: bytes) -> None:
    moved = connection.execute(
        model.cursor.update().where(model.cursor.c.writer == writer).values(counter=counter, mac=code)
    )
    if moved.rowcount == 0:
        connection.execute(insert(model.cursor), {"writer": writer, "counter": counter, "mac": code})
