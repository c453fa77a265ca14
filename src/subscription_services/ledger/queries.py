"""Reading the log: search for forensics, page by page, and proofs that an event is in the signed tree."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, func, select

from subscription_services.kernel.errors import SubjectErased
from subscription_services.kernel.events import Event, Outcome
from subscription_services.kernel.ports import Keys

from . import model
from .errors import NoSuchEvent, NotSequenced
from .proof import tlog_proof
from .searching import LARGEST_PAGE, Found, Page, Search, found_of, joined, search, search_person
from .stored import read_tile, tree_size
from .tiles import tile_reader
from .tree import consistency_proof, hash_leaf, inclusion_proof

__all__ = [
    "LARGEST_PAGE", "Found", "Inclusion", "Page", "Search", "counted", "find_event", "leaf_hash_of", "leaf_of",
    "newest_checkpoint", "origin_index", "personal_fields", "proof_text", "prove_consistency", "prove_inclusion",
    "search", "search_person", "waiting_count",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Inclusion:
    """That `entry` is leaf `index` of the tree in the signed `checkpoint` (a note); see `tree.verify_inclusion`."""

    index: int
    entry: bytes
    proof: tuple[bytes, ...]
    checkpoint: bytes
    size: int
    root: bytes


def origin_index(keys: Keys, address: str) -> str:
    """The keyed index under which events from this address are found; `keys` are those of the caller "ledger"."""
    return keys.blind_index("ledger.origin", address).hex()


def find_event(connection: Connection, event_id: str) -> Found:
    """One event by its id. Raises NoSuchEvent."""
    row = connection.execute(joined().where(model.event.c.id == event_id)).first()
    if row is None:
        raise NoSuchEvent()
    return found_of(row)


def personal_fields(keys: Keys, event: Event) -> dict[str, str]:
    """The event's sealed fields, opened; empty once the person was erased."""
    try:
        return {
            name: keys.unseal(event.sealed_for, f"ledger.event.{name}", event.id, base64.b64decode(value)).decode()
            for name, value in event.sealed.items()
        }
    except SubjectErased:
        return {}


def prove_inclusion(connection: Connection, event_id: str) -> Inclusion:
    """Prove the event to outsiders against the checkpoint that most witnesses cosigned, else against the newest.

    The cosignatures stand under the checkpoint. Raises NoSuchEvent, NotSequenced.
    """
    row = connection.execute(joined().where(model.event.c.id == event_id)).first()
    if row is None:
        raise NoSuchEvent()
    if row.log_index is None:
        raise NotSequenced()
    head, lines = _most_cosigned(connection, row.log_index)
    if head is None or row.log_index >= head.size:
        raise NotSequenced()
    read = tile_reader(tree_size(connection), read_tile(connection))
    return Inclusion(
        index=row.log_index, entry=row.payload, proof=inclusion_proof(row.log_index, head.size, read),
        checkpoint=bytes(head.note) + lines, size=head.size, root=head.root,
    )  # fmt: skip


def _most_cosigned(connection: Connection, index: int) -> tuple[Row[tuple[int, bytes, bytes, datetime]] | None, bytes]:
    """The checkpoint to prove entry `index` against, and the lines of its witnesses."""
    columns = model.cosignature.c
    size = connection.execute(
        select(columns.size)
        .where(columns.size > index)
        .group_by(columns.size)
        .order_by(func.count().desc(), columns.size.desc())
        .limit(1)
    ).scalar()
    if size is None:
        return newest_checkpoint(connection), b""
    head = connection.execute(select(model.checkpoint).where(model.checkpoint.c.size == size)).first()
    lines = connection.execute(select(columns.line).where(columns.size == size).order_by(columns.witness)).scalars()
    return head, b"".join(bytes(line) for line in lines)


def counted(connection: Connection, actor: str, since: datetime, until: datetime) -> list[tuple[str, int, datetime]]:
    """What `actor` did in this time: each action that succeeded, how often, and when last; the most frequent first."""
    event = model.event.c
    number = func.count()
    rows = connection.execute(
        select(event.action, number, func.max(event.at))
        .where(event.actor == actor, event.at >= since, event.at < until, event.outcome == Outcome.SUCCESS)
        .group_by(event.action)
        .order_by(number.desc(), event.action)
    )
    return [(str(action), int(count), last) for action, count, last in rows]


def leaf_of(connection: Connection, event_id: str) -> bytes:
    """The entry exactly as it is or will be hashed. Raises NoSuchEvent."""
    found = connection.execute(select(model.event.c.payload).where(model.event.c.id == event_id)).scalar()
    if found is None:
        raise NoSuchEvent()
    return bytes(found)


def proof_text(inclusion: Inclusion) -> bytes:
    """C2SP tlog-proof with the entry as extra data, so that one file is all that verification needs."""
    return tlog_proof(inclusion.entry, inclusion.index, inclusion.proof, inclusion.checkpoint)


def prove_consistency(connection: Connection, old_size: int, new_size: int) -> tuple[bytes, ...]:
    """The proof that the tree of `new_size` entries extends that of `old_size`. Raises OutOfRange."""
    read = tile_reader(tree_size(connection), read_tile(connection))
    return consistency_proof(old_size, new_size, read)


def newest_checkpoint(connection: Connection) -> Row[tuple[int, bytes, bytes, datetime]] | None:
    """The newest published checkpoint: size, root, note, at. None before the first."""
    return connection.execute(select(model.checkpoint).order_by(model.checkpoint.c.size.desc()).limit(1)).first()


def waiting_count(connection: Connection) -> int:
    """How many events have no index yet: the lag of the sequencer."""
    written: int = connection.execute(select(func.coalesce(func.sum(model.writer.c.counter), 0))).scalar_one()
    return int(written) - tree_size(connection)


def leaf_hash_of(inclusion: Inclusion) -> bytes:
    """The leaf hash that the proof is about."""
    return hash_leaf(inclusion.entry)
