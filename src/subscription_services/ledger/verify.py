"""Verification of the whole stored log from its entries alone, for somebody who holds the keys.

It finds what was changed, removed, inserted or reordered with full write access to the database, and a tail that
was cut off. A store that was rolled back together with the copy beside it looks like the log of that day: against
that helps only a checkpoint that somebody else kept, so without one the result is called unwitnessed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Row, func, select, text

from subscription_services.kernel.clock import Clock, system_clock
from subscription_services.kernel.ports import ReadStore, Store

from . import model
from .checkpoint import Checkpoint, open_checkpoint
from .entries import check_row
from .errors import LedgerError, LogRefused, LogTampered, MemoryMissing
from .memory import Forgotten
from .minimum import Minimum, minimum_index, read_minimum
from .note import open_note
from .queries import newest_checkpoint
from .recount import Recount
from .stored import Log, check_cursors, read_tile, tree_size, waiting_rows
from .tiles import TILE_WIDTH, Tile, split_tile, tiles_of
from .tree import hash_leaf
from .trust_policy import TrustPolicy
from .witnesses import Asked, confirm

ALONE = TrustPolicy()
UNASKED = Asked()


class Assurance(StrEnum):
    """PROVED: consistent with a checkpoint that somebody outside kept. UNWITNESSED: with our own copies only."""

    PROVED = "proved"
    UNWITNESSED = "unwitnessed"


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found in order: `size` entries under `root`, of which the first `witnessed` are proved to outsiders.

    `remembered` is the size in the copy beside the database (None when there is none), `waiting` counts the
    events that have no index yet. Entries below `minimum` were pruned. Just now `confirmed` of `witnesses` cosigned.
    """

    origin: str
    size: int
    root: bytes
    checkpoints: int
    remembered: int | None
    waiting: int
    witnessed: int | None
    minimum: int = 0
    confirmed: int = 0
    witnesses: int = 0

    @property
    def assurance(self) -> Assurance:
        return Assurance.UNWITNESSED if self.witnessed is None else Assurance.PROVED


@dataclass(frozen=True, slots=True)
class _Anchor:
    size: int
    root: bytes
    where: str


def verify_log(
    store: ReadStore, log: Log, outside: Sequence[bytes] = (), policy: TrustPolicy = ALONE, asked: Asked = UNASKED
) -> Verified:
    """Verify everything; `outside` are checkpoints of this log that somebody else kept, as signed notes, and `asked`
    is what the witnesses of `policy` say just now (`witnesses.confirm`).

    Raises LogTampered at the first bad entry, MemoryMissing when the copy beside the database is damaged, and
    NoteError or MalformedCheckpoint when one of `outside` is not a checkpoint of this log.
    """
    # before the snapshot, or a checkpoint signed meanwhile would look like a tail cut off
    known = log.remembered()
    with store.reading() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        notes = [*outside, *([asked.note] if policy.satisfied(asked.cosigned) else [])]
        witnessed = [open_checkpoint(note, log.origin, log.verifiers())[0] for note in notes]
        if asked.contradictions:
            raise LogTampered(str(asked.contradictions[0]), min(tree_size(connection), asked.contradictions[0].size))
        _check_cosignatures(connection, policy)
        signed = list(_stored_checkpoints(connection, log))
        anchors = [_Anchor(item.size, item.root, "a checkpoint in the store") for item in signed]
        if known is not None:
            anchors.append(_Anchor(known[0].size, known[0].root, "the checkpoint kept outside the store"))
        anchors += [_Anchor(item.size, item.root, "a checkpoint kept by others") for item in witnessed]
        size, root = _check_entries(connection, log, sorted(anchors, key=lambda anchor: anchor.size))
        minimum = minimum_index(connection)
        return Verified(
            origin=log.origin, size=size, root=root, checkpoints=len(signed), remembered=known and known[0].size,
            waiting=_check_waiting(connection, log, size - minimum), minimum=minimum,
            witnessed=max((item.size for item in witnessed), default=None), confirmed=len(asked.cosigned),
            witnesses=len(policy.witnesses),
        )  # fmt: skip


def verify_with_witnesses(store: Store, log: Log, policy: TrustPolicy, clock: Clock) -> Verified:
    """Ask the witnesses, then `verify_log`. Not for the event loop: it runs one of its own."""
    return verify_log(store, log, (), policy, asyncio.run(confirm(store, log, policy, clock)))


def verify_stored(store: Store, log: Log, policy: TrustPolicy, clock: Clock) -> tuple[Verified, Checkpoint]:
    """Verify without what this machine remembers, which may be lost, and give the newest signed checkpoint.

    Raises MemoryMissing when there is none.
    """
    verified = verify_with_witnesses(store, Log(log.origin, log.keys, Forgotten()), policy, clock)
    with store.reading() as connection:
        row = newest_checkpoint(connection)
    if row is None:
        raise MemoryMissing("the store has no signed checkpoint to adopt")
    return verified, open_checkpoint(row.note, log.origin, log.verifiers())[0]


def verification(
    store: Store, log: Log, policy: TrustPolicy = ALONE, clock: Clock = system_clock
) -> tuple[list[str], bool]:
    """`verify_with_witnesses` for a person: the lines of `subs ledger verify`, and whether all is well."""
    try:
        return report(verify_with_witnesses(store, log, policy, clock)), True
    except LogTampered as error:
        return [f"TAMPERED     {_where(error)}: {error}"], False
    except LedgerError as error:
        return [f"NOT VERIFIED {error}"], False


def _where(error: LogTampered) -> str:
    if error.index is None:
        return "beside the entries"
    if error.until is None or error.until == error.index:
        return f"from entry {error.index} on"
    return f"first between entries {error.index} and {error.until}"


def report(verified: Verified) -> list[str]:
    """The lines that `subs ledger verify` prints."""
    lines = [
        f"log          {verified.origin}",
        f"entries      {verified.size}" + (f", readable from {verified.minimum} on" if verified.minimum else ""),
        f"root         {verified.root.hex()}",
        f"checkpoints  {verified.checkpoints}, all signatures and roots are right",
        f"waiting      {verified.waiting} without an index yet",
    ]
    if verified.remembered is None:
        lines.append("outside      no copy of a checkpoint outside the store")
    else:
        lines.append(f"outside      own copy of the checkpoint of {verified.remembered} entries agrees")
    if verified.witnesses:
        lines.append(f"witnesses    {verified.confirmed} of {verified.witnesses} cosigned just now")
    if verified.witnessed is None:
        lines.append("unwitnessed  nothing found; a roll-back of store and own copy together could not be seen")
    else:
        lines.append(f"proved       the first {verified.witnessed} entries are those that others saw signed")
    return lines


def _stored_checkpoints(connection: Connection, log: Log) -> Iterator[Checkpoint]:
    for row in connection.execute(select(model.checkpoint).order_by(model.checkpoint.c.size)):
        try:
            checkpoint, _ = open_checkpoint(row.note, log.origin, log.verifiers())
        except LedgerError as error:
            raise LogTampered(f"the stored checkpoint of {row.size} entries is not signed: {error}") from error
        if (checkpoint.size, checkpoint.root) != (row.size, row.root):
            raise LogTampered(f"the stored checkpoint of {row.size} entries says something else than its row")
        yield checkpoint


def _check_cosignatures(connection: Connection, policy: TrustPolicy) -> None:
    """Every stored cosignature of a known witness is one of the checkpoint that it stands beside."""
    columns = model.checkpoint.c
    known = {key.label: key for key in policy.keys}
    rows = connection.execute(
        select(model.cosignature, columns.note).select_from(
            model.cosignature.outerjoin(model.checkpoint, columns.size == model.cosignature.c.size)
        )
    )
    for row in rows:
        if row.note is None:
            raise LogTampered(f"there is a cosignature for {row.size} entries and no such checkpoint")
        key = known.get(row.witness)
        try:
            if key is not None:
                open_note(row.note + row.line, [key])
        except LedgerError as error:
            raise LogTampered(f"the stored cosignature of {row.witness} is wrong: {error}") from error


def _check_entries(connection: Connection, log: Log, anchors: Sequence[_Anchor]) -> tuple[int, bytes]:
    size = tree_size(connection)
    minimum = _minimum(connection, log, size)
    tree = Recount(read_tile(connection))
    counters = dict(minimum.counters)
    stops = sorted({0, size, *range(0, size, TILE_WIDTH), *(a.size for a in anchors if a.size <= size)})
    sound = 0
    for start, end in pairwise(stops):
        if start < minimum.index:
            tree.add(_pruned(connection, start, end))
        else:
            tree.add([_check_entry(log, index, row, counters) for index, row in _entries(connection, start, end)])
        for anchor in (item for item in anchors if item.size == end):
            if tree.root() != anchor.root:
                raise LogTampered(f"{anchor.where} has another root for {end} entries", sound, end - 1)
            sound = end
    for anchor in anchors:
        if anchor.size > size:
            raise LogTampered(f"{anchor.where} has {anchor.size} entries and the store has {size}", size)
    tree.finish()
    tiles: int = connection.execute(select(func.count()).select_from(model.tile)).scalar_one()
    if tiles != len(tiles_of(size)):
        raise LogTampered("there are tiles that belong to no entry", size)
    cursors = {row.writer: row.counter for row in connection.execute(select(model.cursor))}
    if cursors != counters:
        raise LogTampered("the writers' cursors are not those of the entries")
    return size, tree.root()


def _minimum(connection: Connection, log: Log, size: int) -> Minimum:
    try:
        minimum = read_minimum(connection, log.keys)
    except LogRefused as error:
        raise LogTampered(str(error)) from error
    entries: int = connection.execute(select(func.count()).select_from(model.entry)).scalar_one()
    if minimum.index > size:
        raise LogTampered(f"all below {minimum.index} was pruned and the store has {size} entries", size)
    if entries > size - minimum.index:
        raise LogTampered(f"there are entries below the minimum index {minimum.index}", 0)
    return minimum


def _pruned(connection: Connection, start: int, end: int) -> list[bytes]:
    """Leaf hashes of entries that retention removed, from their tile; the signed roots bind them."""
    tile, first = divmod(start, TILE_WIDTH)
    try:
        return split_tile(read_tile(connection)(Tile(0, tile)), TILE_WIDTH)[first : first + end - start]
    except LedgerError as error:
        raise LogTampered(f"the hashes of pruned entries cannot be read: {error}", start) from error


def _entries(connection: Connection, start: int, end: int) -> Iterator[tuple[int, Row[Any]]]:
    entry, event = model.entry, model.event
    rows = connection.execute(
        select(entry.c.log_index, entry.c.event_id, event)
        .select_from(entry.outerjoin(event, event.c.id == entry.c.event_id))
        .where(entry.c.log_index >= start, entry.c.log_index < end)
        .order_by(entry.c.log_index)
    ).all()
    for index, row in zip(range(start, end), rows, strict=False):
        if row.log_index != index:
            raise LogTampered("the entry was removed", index)
        if row.id is None:
            raise LogTampered(f"the event {row.event_id} was removed", index)
        yield index, row
    if len(rows) < end - start:
        raise LogTampered("the entry was removed", start + len(rows))


def _check_entry(log: Log, index: int, row: Row[Any], counters: dict[str, int]) -> bytes:
    try:
        entry = check_row(log.keys, row)
    except LogRefused as error:
        raise LogTampered(str(error), index) from error
    expected = counters.get(entry.writer, 0) + 1
    if entry.counter != expected:
        raise LogTampered(
            f"writer {entry.writer} has its event {entry.counter} here and event {expected} was due", index
        )
    counters[entry.writer] = entry.counter
    return hash_leaf(row.payload)


def _check_waiting(connection: Connection, log: Log, readable: int) -> int:
    """Check the rows without an index as the sequencer would; returns how many there are."""
    try:
        ranges = check_cursors(connection, log, {})
        count = 0
        for part in waiting_rows(connection, ranges, limit=2**62):
            count += len(part.rows)
            for row in part.rows:
                check_row(log.keys, row)
    except LogRefused as error:
        raise LogTampered(f"before it was sequenced: {error}") from error
    rows: int = connection.execute(select(func.count()).select_from(model.event)).scalar_one()
    if rows != readable + count:
        raise LogTampered(f"{rows - readable - count} events stand in the store that no writer wrote")
    return count
