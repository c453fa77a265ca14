"""Reading the log: search for forensics, page by page, and proofs that an event is in the signed tree."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, literal_column, or_, select

from subscription_services.kernel.columns import from_microseconds, to_microseconds
from subscription_services.kernel.errors import Invalid, SubjectErased
from subscription_services.kernel.events import Event
from subscription_services.kernel.ports import Keys

from . import model
from .entries import decode_entry
from .errors import NoSuchEvent, NotSequenced
from .stored import read_tile, tree_size
from .tiles import tile_reader
from .tree import consistency_proof, hash_leaf, inclusion_proof

LARGEST_PAGE = 500


class Search(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to look for; empty fields do not matter. `since` is included, `until` is not.

    `action` ending in a dot means all operations of that room. `origin_index` comes from `origin_index()`.
    """

    actor: str = ""
    actor_kind: str = ""
    subject: str = ""
    action: str = ""
    object: str = ""
    object_kind: str = ""
    outcome: str = ""
    origin_index: str = ""
    correlation: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """An event; `log_index` is None until it is sequenced."""

    event: Event
    log_index: int | None


@dataclass(frozen=True, slots=True)
class Page:
    """Newest first. `next` continues where this page ends, None at the end."""

    found: tuple[Found, ...]
    next: str | None


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


def search(connection: Connection, wanted: Search, *, after: str | None = None, limit: int = 50) -> Page:
    """One page of events that fit `wanted`. Raises Invalid for a bad `after`.

    Pages are stable: events that arrive meanwhile do not shift them.
    """
    limit = max(1, min(limit, LARGEST_PAGE))
    event = model.event.c
    statement = _joined().where(*_conditions(wanted)).order_by(event.at.desc(), event.id.desc()).limit(limit + 1)
    if after is not None:
        at, identifier = _parse_position(after)
        statement = statement.where(or_(event.at < at, and_(event.at == at, event.id < identifier)))
    rows = connection.execute(statement).all()
    position = _position(rows[limit - 1]) if len(rows) > limit else None
    return Page(tuple(_found(row) for row in rows[:limit]), position)


def search_person(connection: Connection, person: str, *, after: str | None = None, limit: int = 50) -> Page:
    """One page of events that a person did or that concern them. Raises Invalid for a bad `after`.

    Two searches, since each has an index of its own; one with OR would have none.
    """
    limit = max(1, min(limit, LARGEST_PAGE))
    pages = [
        search(connection, wanted, after=after, limit=limit)
        for wanted in (Search(actor=person), Search(subject=person))
    ]
    both = {item.event.id: item for page in pages for item in page.found}
    found = sorted(both.values(), key=lambda item: (item.event.at, item.event.id), reverse=True)
    more = len(found) > limit or any(page.next for page in pages)
    shown = tuple(found[:limit])
    last = shown[-1].event if shown else None
    return Page(shown, f"{to_microseconds(last.at)}-{last.id}" if more and last else None)


def find_event(connection: Connection, event_id: str) -> Found:
    """One event by its id. Raises NoSuchEvent."""
    row = connection.execute(_joined().where(model.event.c.id == event_id)).first()
    if row is None:
        raise NoSuchEvent()
    return _found(row)


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
    """Prove the event to outsiders against the newest checkpoint. Raises NoSuchEvent, NotSequenced."""
    row = connection.execute(_joined().where(model.event.c.id == event_id)).first()
    if row is None:
        raise NoSuchEvent()
    head = newest_checkpoint(connection)
    if row.log_index is None or head is None or row.log_index >= head.size:
        raise NotSequenced()
    read = tile_reader(tree_size(connection), read_tile(connection))
    return Inclusion(
        index=row.log_index, entry=row.payload, proof=inclusion_proof(row.log_index, head.size, read),
        checkpoint=head.note, size=head.size, root=head.root,
    )  # fmt: skip


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


def _joined() -> Select[tuple[bytes, datetime, str, int | None]]:
    event, entry = model.event, model.entry
    return select(event.c.payload, event.c.at, event.c.id, entry.c.log_index).select_from(
        event.outerjoin(entry, entry.c.event_id == event.c.id)
    )


def _conditions(wanted: Search) -> list[ColumnElement[bool]]:
    event = model.event.c
    exact: Mapping[str, str] = {
        name: value
        for name in model.SEARCHED
        if (value := getattr(wanted, name)) and not (name == "action" and value.endswith("."))
    }
    found = [event[name] == value for name, value in exact.items()]
    # said outright, so that the planner may use the partial indexes although the value looked for is a parameter
    found += [
        event[name] != literal_column(f"'{common}'")
        for name, common in model.PARTIAL.items()
        if exact.get(name, common) != common
    ]
    if wanted.action.endswith("."):
        # "room.x" lies between "room." and "room/"
        found += [event.action >= wanted.action, event.action < wanted.action[:-1] + "/"]
    if wanted.since is not None:
        found.append(event.at >= wanted.since)
    if wanted.until is not None:
        found.append(event.at < wanted.until)
    return found


def _found(row: Row[tuple[bytes, datetime, str, int | None]]) -> Found:
    return Found(decode_entry(row.payload).event, row.log_index)


def _position(row: Row[tuple[bytes, datetime, str, int | None]]) -> str:
    return f"{to_microseconds(row.at)}-{row.id}"


def _parse_position(after: str) -> tuple[datetime, str]:
    microseconds, _, identifier = after.partition("-")
    try:
        return from_microseconds(int(microseconds)), identifier
    except (ValueError, OverflowError) as error:
        raise Invalid(
            "That page does not exist; search again.", fields={"after": "is not a place in the log"}
        ) from error
