"""What outsiders get: checkpoint, tiles and entry bundles in the layout of C2SP tlog-tiles, and the minimum index.

The same functions answer requests and write the exported folder. Nothing is published that is not under a signed
checkpoint; where the policy names a quorum, a checkpoint is published once it is cosigned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from subscription_services.kernel.errors import NotFound

from . import model
from .errors import LedgerError, MalformedTile
from .minimum import minimum_index
from .note import open_note
from .stored import read_tile
from .tiles import TILE_WIDTH, encode_bundle, hashes_at_level, parse_bundle_path, parse_tile_path, split_tile
from .trust_policy import TrustPolicy

RECENT = 64
"""Cosigned checkpoints that are looked at for one with a quorum."""


class NotPublished(NotFound, LedgerError):
    """No published tree has this tile or bundle, or retention removed its entries."""

    code = "not-published"
    message = "The published log has no such part."


@dataclass(frozen=True, slots=True)
class Published:
    """A checkpoint as outsiders see it: the note with the cosignatures, and who of the policy made them."""

    size: int
    root: bytes
    note: bytes
    cosigned: tuple[str, ...]
    witnessed: bool


def published_checkpoint(connection: Connection, policy: TrustPolicy) -> Published | None:
    """The newest checkpoint that the quorum cosigned; the newest signed one where none ever was. None when empty."""
    columns = model.cosignature.c
    sizes = connection.execute(select(columns.size).distinct().order_by(columns.size.desc()).limit(RECENT)).scalars()
    for size in sizes.all():
        found = _with_cosignatures(connection, policy, size)
        if found is not None and found.witnessed:
            return found
    newest = connection.execute(select(model.checkpoint.c.size).order_by(model.checkpoint.c.size.desc()).limit(1))
    size = newest.scalar()
    return None if size is None else _with_cosignatures(connection, policy, size)


def signed_size(connection: Connection) -> int:
    """The size of the newest signed tree, 0 where there is none: tiles and bundles are served up to it."""
    found: int | None = connection.execute(select(func.max(model.checkpoint.c.size))).scalar()
    return found or 0


def tile_bytes(connection: Connection, size: int, path: str) -> bytes:
    """The tile `tile/<L>/<N>[.p/<W>]` of the signed tree of `size` entries. Raises NotPublished."""
    try:
        tile = parse_tile_path(path)
    except MalformedTile as error:
        raise NotPublished() from error
    if tile.index * TILE_WIDTH + tile.width > hashes_at_level(tile.level, size):
        raise NotPublished()
    return b"".join(split_tile(read_tile(connection)(tile), tile.width))


def bundle_bytes(connection: Connection, size: int, path: str) -> bytes:
    """The entry bundle `tile/entries/<N>[.p/<W>]`. Raises NotPublished, also for one that was pruned."""
    try:
        index, width = parse_bundle_path(path)
    except MalformedTile as error:
        raise NotPublished() from error
    start = index * TILE_WIDTH
    if start + width > size or start < minimum_index(connection):
        raise NotPublished()
    return encode_bundle(entries(connection, start, start + width))


def entries(connection: Connection, start: int, end: int) -> Sequence[bytes]:
    """The entries from `start` up to, not including, `end`. Raises LedgerError when one is missing."""
    entry, event = model.entry, model.event
    rows = connection.execute(
        select(event.c.payload)
        .select_from(entry.join(event, event.c.id == entry.c.event_id))
        .where(entry.c.log_index >= start, entry.c.log_index < end)
        .order_by(entry.c.log_index)
    ).scalars()
    found = [bytes(payload) for payload in rows]
    if len(found) != end - start:
        raise LedgerError(f"entries between {start} and {end} are missing; run: subs ledger verify")
    return found


def minimum_text(connection: Connection) -> bytes:
    """The file `minimum-index`: the lowest index that can be read, in decimal, and a newline."""
    return b"%d\n" % minimum_index(connection)


def _with_cosignatures(connection: Connection, policy: TrustPolicy, size: int) -> Published | None:
    row = connection.execute(select(model.checkpoint).where(model.checkpoint.c.size == size)).first()
    if row is None:
        return None
    known = {key.label: key for key in policy.keys}
    rows = connection.execute(select(model.cosignature).where(model.cosignature.c.size == size)).all()
    note, cosigned = bytes(row.note), []
    for item in sorted(rows, key=lambda found: found.witness):
        key = known.get(item.witness)
        if key is None:
            continue
        try:
            open_note(row.note + item.line, [key])
        except LedgerError:
            continue  # verification raises the alarm; outsiders get what holds
        note += item.line
        cosigned.append(item.witness)
    return Published(size, row.root, note, tuple(cosigned), policy.satisfied(cosigned))
