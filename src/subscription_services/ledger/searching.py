"""Searching the log: every combination of filters is answered along an index, newest or oldest first, page by page.

Of several filters the one that fits the fewest events leads; it is found by counting a bounded number of index
entries, since neither engine's planner knows it by itself. The beginning of a name is looked for by each name that has
it: an index in the order of names has no order of time across them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    func,
    literal,
    literal_column,
    select,
    text,
    tuple_,
    union_all,
)

from subscription_services.kernel.columns import Instant, from_microseconds, to_microseconds
from subscription_services.kernel.errors import Invalid
from subscription_services.kernel.events import Event

from . import model
from .entries import decode_entry

LARGEST_PAGE = 500
COUNTED = 1000
"""Index entries that are counted for each of several filters, to see which one leads."""
NAMES = 400
"""Names of operations that one beginning may stand for."""
INDEXED = ("correlation", "object", "subject", "origin_index", "actor", "action", "outcome")
_PREFIX = (".", "*")


class Search(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to look for; empty fields do not matter. `since` is included, `until` is not.

    `action` ending in a dot means all operations of that room, ending in an asterisk all that begin so.
    `origin_index` comes from `origin_index()`; `not_origin` leaves out those of one.
    """

    actor: str = ""
    actor_kind: str = ""
    subject: str = ""
    action: str = ""
    object: str = ""
    object_kind: str = ""
    outcome: str = ""
    origin_index: str = ""
    not_origin: str = ""
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
    """`next` continues where this page ends, None at the end."""

    found: tuple[Found, ...]
    next: str | None


def search(
    connection: Connection, wanted: Search, *, after: str | None = None, limit: int = 50, oldest_first: bool = False
) -> Page:
    """One page of events that fit `wanted`, newest first unless told otherwise. Raises Invalid for a bad `after`.

    Pages are stable: events that arrive meanwhile do not shift them.
    """
    rows, position = search_rows(connection, wanted, after=after, limit=limit, oldest_first=oldest_first)
    return Page(tuple(found_of(row) for row in rows), position)


def search_rows(
    connection: Connection, wanted: Search, *, after: str | None = None, limit: int = 50, oldest_first: bool = False
) -> tuple[Sequence[Row[tuple[bytes, datetime, str, int | None]]], str | None]:
    """The same as `search`, with the leaves as they are stored, and where the next page begins."""
    limit = max(1, min(limit, LARGEST_PAGE))
    place = None if after is None else _parse_position(after)
    order = _Order(limit + 1, place, oldest_first)
    statement = _statement(connection, wanted, order)
    rows = [] if statement is None else connection.execute(statement).all()
    return rows[:limit], _position(rows[limit - 1]) if len(rows) > limit else None


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


def joined(source: FromClause | None = None) -> Select[tuple[bytes, datetime, str, int | None]]:
    """Events with their place in the tree."""
    event, entry = model.event, model.entry
    whole = event if source is None else source.join(event, event.c.id == source.c.id)
    return select(event.c.payload, event.c.at, event.c.id, entry.c.log_index).select_from(
        whole.outerjoin(entry, entry.c.event_id == event.c.id)
    )


def walk(connection: Connection, wanted: Search, rows: int, *columns: ColumnElement[Any]) -> Select[Any]:
    """Columns of the newest `rows` events of one actor, else of one action, else of all, within a span of time."""
    leading = "actor" if wanted.actor else "action" if wanted.action else ""
    exact = {leading: getattr(wanted, leading)} if leading else {}
    order = _Order(rows, None, oldest_first=False)
    conditions, by = _along(connection, exact, leading, wanted, order)
    return order.of(select(*columns).where(*conditions), *by)


def found_of(row: Row[tuple[bytes, datetime, str, int | None]]) -> Found:
    """The event of a row of `joined`."""
    return Found(decode_entry(row.payload).event, row.log_index)


@dataclass(frozen=True, slots=True)
class _Order:
    """How many rows, from which place on, in which direction."""

    rows: int
    place: tuple[datetime, str] | None
    oldest_first: bool

    def of(self, statement: Select[Any], *columns: ColumnElement[Any]) -> Select[Any]:
        """The statement's rows in the order of the columns, at most so many."""
        turned = [column.asc() if self.oldest_first else column.desc() for column in columns]
        return statement.order_by(*turned).limit(self.rows)


def _statement(connection: Connection, wanted: Search, order: _Order) -> Select[Any] | None:
    """What to ask the database; None when it is already clear that nothing fits."""
    event = model.event.c
    exact = {
        name: value
        for name in model.SEARCHED
        if (value := getattr(wanted, name)) and not (name == "action" and value.endswith(_PREFIX))
    }
    begins = wanted.action if wanted.action.endswith(_PREFIX) and wanted.action != "*" else ""
    leading = _leading(connection, exact, _span(wanted))
    if not begins or leading not in ("", "outcome"):
        conditions, columns = _along(connection, exact, leading, wanted, order)
        if begins:
            low, high = _bounds(begins)
            conditions += [unindexed("action") >= low, unindexed("action") < high]
        return order.of(joined().where(*conditions), *columns)
    names = list(connection.execute(_NAMES, dict(zip(("low", "high"), _bounds(begins), strict=True))).scalars())
    if not names:
        return None
    branches = []
    for name in names:
        conditions, columns = _along(connection, {**exact, "action": name}, "action", wanted, order)
        branches.append(select(order.of(select(event.at, event.id).where(*conditions), *columns).subquery()))
    every = union_all(*branches).subquery()
    picked = order.of(select(every.c.at, every.c.id), every.c.at, every.c.id).subquery()
    return order.of(joined(picked), picked.c.at, picked.c.id)


def _along(
    connection: Connection, exact: dict[str, str], leading: str, wanted: Search, order: _Order
) -> tuple[list[ColumnElement[bool]], list[ColumnElement[Any]]]:
    """Conditions and order of a walk along one index, which is that of the leading filter, else that of time."""
    event = model.event.c
    if not leading or connection.dialect.name == "sqlite":
        # compared as a pair: an OR of the parts would make the index start from its end on each page
        beyond = [] if order.place is None else [_after((event.at, event.id), _place(order.place), order)]
        return [*_filters(exact, leading), *_left_out(wanted), *_span(wanted), *beyond], [event.at, event.id]
    # PostgreSQL would walk along time where it takes the value for a common one, however long ago that was; an order
    # that begins with the column, between bounds that it does not take for equality, only the column's index has
    column, value = event[leading], literal(exact[leading])
    others = {name: text for name, text in exact.items() if name != leading}
    bounds: list[ColumnElement[bool]] = [
        column >= value, column <= value, *_filters(others, leading), *_left_out(wanted),
    ]  # fmt: skip
    if _is_rare(leading, exact[leading]):
        bounds.append(_named_rare(leading))
    if wanted.since is not None:
        bounds.append(tuple_(column, event.at) >= tuple_(value, literal(wanted.since, Instant())))
    if wanted.until is not None:
        bounds.append(tuple_(column, event.at) < tuple_(value, literal(wanted.until, Instant())))
    if order.place is not None:
        bounds.append(_after((column, event.at, event.id), (value, *_place(order.place)), order))
    return bounds, [column, event.at, event.id]


def _after(
    here: Sequence[ColumnElement[Any]], there: Sequence[ColumnElement[Any]], order: _Order
) -> ColumnElement[bool]:
    return tuple_(*here) > tuple_(*there) if order.oldest_first else tuple_(*here) < tuple_(*there)


def _place(place: tuple[datetime, str]) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    return literal(place[0], Instant()), literal(place[1])


def _leading(connection: Connection, exact: dict[str, str], span: Sequence[ColumnElement[bool]]) -> str:
    """The name of the filter whose index is used, "" for that of time alone."""
    usable = [name for name in INDEXED if name in exact and exact[name] != model.PARTIAL.get(name)]
    if len(usable) < 2:
        return usable[0] if usable else ""
    counts = {}
    for name in usable:
        some = select(literal(1).label("one")).where(*_filters({name: exact[name]}, name), *span).limit(COUNTED)
        counts[name] = connection.execute(select(func.count()).select_from(some.subquery())).scalar_one()
        if counts[name] == 0:
            return name
    return min(usable, key=lambda name: counts[name])


def _filters(exact: dict[str, str], leading: str) -> list[ColumnElement[bool]]:
    """Equality with each value; only the leading one in the form that an index serves."""
    found: list[ColumnElement[bool]] = []
    for name, value in exact.items():
        column: ColumnElement[str] = model.event.c[name] if name == leading else unindexed(name)
        found.append(column == value)
    if leading in exact and _is_rare(leading, exact[leading]):
        found.append(_named_rare(leading))
    return found


def _left_out(wanted: Search) -> list[ColumnElement[bool]]:
    return [unindexed("origin_index") != wanted.not_origin] if wanted.not_origin else []


def _is_rare(name: str, value: str) -> bool:
    """Whether the column's index is a partial one that has this value."""
    return name in model.PARTIAL and value != model.PARTIAL[name]


def _named_rare(name: str) -> ColumnElement[bool]:
    """Said outright, so that the planner may use the partial index although the value is a parameter."""
    return model.event.c[name] != literal_column(f"'{model.PARTIAL[name]}'")


def unindexed(name: str) -> ColumnElement[str]:
    """The same value in a form that no index serves, on either engine."""
    return literal_column(f"({model.event.name}.{name} || '')", model.event.c[name].type)


def _span(wanted: Search) -> list[ColumnElement[bool]]:
    at = model.event.c.at
    found: list[ColumnElement[bool]] = []
    if wanted.since is not None:
        found.append(at >= wanted.since)
    if wanted.until is not None:
        found.append(at < wanted.until)
    return found


def _bounds(begins: str) -> tuple[str, str]:
    """Names that begin so lie between these two: "room.x" between "room." and "room/"."""
    low = begins.removesuffix("*")
    return low, low[:-1] + chr(ord(low[-1]) + 1)


# from each name straight to the next one, so that it takes as many steps as there are names
_NAMES = text(
    f"""
    WITH RECURSIVE names(action) AS (
        SELECT min(action) FROM {model.event.name} WHERE action >= :low AND action < :high
        UNION ALL
        SELECT (SELECT min(action) FROM {model.event.name} WHERE action > names.action AND action < :high)
        FROM names WHERE names.action IS NOT NULL
    )
    SELECT action FROM names WHERE action IS NOT NULL LIMIT {NAMES}
    """  # noqa: S608  the name of our own table
)


def _position(row: Row[Any]) -> str:
    return f"{to_microseconds(row.at)}-{row.id}"


def _parse_position(after: str) -> tuple[datetime, str]:
    microseconds, _, identifier = after.partition("-")
    try:
        return from_microseconds(int(microseconds)), identifier
    except (ValueError, OverflowError) as error:
        raise Invalid(
            "That page does not exist; search again.", fields={"after": "is not a place in the log"}
        ) from error
