"""The stored log: its identity, its tree as tiles in the database, and the rows that wait to be sequenced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.ports import Keys

from . import model
from .checkpoint import Checkpoint, open_checkpoint
from .entries import CURSOR_PURPOSE, WRITER_PURPOSE, check_counter
from .errors import ForgedRow, GapFound, LedgerError, MemoryMissing, RolledBack, TreeUnreadable
from .memory import Memory, Remembered
from .note import Ed25519Signer, Ed25519Verifier
from .tiles import Tile, tile_reader
from .tree import read_root

SIGNING_PURPOSE = "ledger.checkpoint"


@dataclass(frozen=True, slots=True)
class Log:
    """A log: `origin` is its name for ever, on every checkpoint; `keys` are those of the caller "ledger"."""

    origin: str
    keys: Keys
    memory: Memory
    _verifier: list[Ed25519Verifier] = field(default_factory=list, repr=False)

    def verifier(self) -> Ed25519Verifier:
        """The public key that signs now."""
        if not self._verifier:
            self._verifier.append(checkpoint_key(self.keys, self.origin))
        return self._verifier[0]

    def verifiers(self) -> tuple[Ed25519Verifier, ...]:
        """Every key that signed checkpoints of this log at some time; a later rotation adds its versions here."""
        return (self.verifier(),)

    def signer(self) -> Ed25519Signer:
        """Signs checkpoints with the key that stays in the key service."""
        return Ed25519Signer(self.verifier(), lambda message: self.keys.sign(SIGNING_PURPOSE, message))

    def remembered(self) -> tuple[Checkpoint, Remembered] | None:
        """The checkpoint signed last, from outside the database. Raises MemoryMissing."""
        remembered = self.memory.load()
        if remembered is None:
            return None
        try:
            checkpoint, _ = open_checkpoint(remembered.note.encode(), self.origin, self.verifiers())
        except LedgerError as error:
            raise MemoryMissing(f"the remembered checkpoint is not one of this log: {error}") from error
        return checkpoint, remembered


def checkpoint_key(keys: Keys, origin: str) -> Ed25519Verifier:
    """The key that signs the checkpoints of the log `origin`; `keys` are those of the caller "ledger"."""
    try:
        return Ed25519Verifier(origin, keys.public_key(SIGNING_PURPOSE))
    except DomainError as error:
        if error.code != "no-such-key":
            raise
    # the first signature makes the key; this text can never pass for a checkpoint
    keys.sign(SIGNING_PURPOSE, b"first use")
    return Ed25519Verifier(origin, keys.public_key(SIGNING_PURPOSE))


def tree_size(connection: Connection) -> int:
    """How many entries have an index."""
    newest: int | None = connection.execute(select(func.max(model.entry.c.log_index))).scalar()
    return 0 if newest is None else newest + 1


def read_tile(connection: Connection) -> Callable[[Tile], bytes]:
    """Reads stored tiles, each at its present width. Raises TreeUnreadable for one that is not there."""

    def read(tile: Tile) -> bytes:
        found: bytes | None = connection.execute(
            select(model.tile.c.hashes).where(model.tile.c.level == tile.level, model.tile.c.tile_index == tile.index)
        ).scalar()
        if found is None:
            raise TreeUnreadable(f"tile {tile.level}/{tile.index} is missing")
        return found

    return read


def write_tiles(connection: Connection, tiles: Mapping[Tile, bytes]) -> None:
    """Insert tiles, or lengthen those that were partial."""
    new = []
    for tile, hashes in tiles.items():
        values = {"at_level": tile.level, "at_index": tile.index, "grown": hashes}
        if connection.execute(_LENGTHEN, values).rowcount == 0:
            new.append({"level": tile.level, "tile_index": tile.index, "hashes": hashes})
    if new:
        connection.execute(insert(model.tile), new)


_LENGTHEN = (
    update(model.tile)
    .where(model.tile.c.level == bindparam("at_level"), model.tile.c.tile_index == bindparam("at_index"))
    .values(hashes=bindparam("grown"))
)


def root_at(connection: Connection, size: int, present: int) -> bytes:
    """The root of the first `size` of `present` stored entries, from tiles. Raises TreeUnreadable."""
    return read_root(size, tile_reader(present, read_tile(connection)))


def check_memory(connection: Connection, log: Log, size: int) -> Mapping[str, int]:
    """Raises RolledBack unless the store holds the tree signed last; returns that time's cursors.

    Raises MemoryMissing when there are signed checkpoints and none is remembered.
    """
    known = log.remembered()
    if known is None:
        signed: int | None = connection.execute(select(func.max(model.checkpoint.c.size))).scalar()
        if signed is not None:
            raise MemoryMissing(f"the store has a checkpoint of {signed} entries and none is remembered outside it")
        return {}
    checkpoint, remembered = known
    if checkpoint.size > size:
        raise RolledBack(f"a tree of {checkpoint.size} entries was signed and the store has {size}")
    try:
        root = root_at(connection, checkpoint.size, size)
    except LedgerError as error:
        raise RolledBack(f"the signed tree of {checkpoint.size} entries cannot be read: {error}") from error
    if root != checkpoint.root:
        raise RolledBack(f"the store has another tree of {checkpoint.size} entries than the one signed")
    return remembered.cursors


@dataclass(frozen=True, slots=True)
class Waiting:
    """Rows of one writer that have no index yet, in the order of their counters."""

    writer: str
    rows: list[Row[Any]]


def check_cursors(connection: Connection, log: Log, known: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """For each writer its last sequenced and its last counter. Raises ForgedRow, GapFound, RolledBack."""
    # cursors first: a writer's counter is then never older than its cursor
    cursors = {row.writer: row for row in connection.execute(select(model.cursor))}
    writers = {row.writer: row for row in connection.execute(select(model.writer))}
    for row in cursors.values():
        check_counter(log.keys, CURSOR_PURPOSE, row)
    for row in writers.values():
        check_counter(log.keys, WRITER_PURPOSE, row)
    for name, counter in known.items():
        if name not in cursors or cursors[name].counter < counter:
            raise RolledBack(f"writer {name} was sequenced up to {counter} and its cursor says less")
    for name, row in cursors.items():
        if name not in writers or writers[name].counter < row.counter:
            raise GapFound(f"writer {name} was sequenced up to {row.counter} and its own row says less")
    return {name: (cursors[name].counter if name in cursors else 0, row.counter) for name, row in writers.items()}


def waiting_rows(connection: Connection, ranges: Mapping[str, tuple[int, int]], limit: int) -> list[Waiting]:
    """The rows between each writer's cursor and counter, up to `limit` a writer. Raises GapFound, ForgedRow."""
    ahead = connection.execute(_AHEAD).scalar()
    if ahead is not None:
        raise ForgedRow(f"event {ahead} has a counter that its writer has not reached")
    found = []
    for name, (sequenced, last) in sorted(ranges.items()):
        until = min(last, sequenced + limit)
        if until == sequenced:
            continue
        counter = model.event.c.counter
        rows = list(
            connection.execute(
                select(model.event)
                .where(model.event.c.writer == name, counter > sequenced, counter <= until)
                .order_by(counter)
            )
        )
        for expected, row in enumerate(rows, start=sequenced + 1):
            if row.counter != expected:
                raise GapFound(f"writer {name} left out its event {expected}")
        if len(rows) != until - sequenced:
            raise GapFound(f"writer {name} left out its event {sequenced + len(rows) + 1}")
        found.append(Waiting(name, rows))
    return found


# one statement, so that both tables are seen at one moment
_AHEAD = (
    select(model.event.c.id)
    .join(model.writer, model.writer.c.writer == model.event.c.writer)
    .where(model.event.c.counter > model.writer.c.counter)
    .limit(1)
)
