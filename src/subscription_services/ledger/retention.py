"""How long the log is kept: at least the period, longer under a legal hold; then events go and the tree stays."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import Connection, Row, delete, func, insert, select, update

from subscription_services.kernel.actors import Role, System
from subscription_services.kernel.columns import from_microseconds
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import Conflict, Invalid, NotFound, Refusal, StartError
from subscription_services.kernel.needs import recent_sign_in
from subscription_services.kernel.operations import Change, Seen, SystemOnly, operation
from subscription_services.kernel.personal import FieldKind, FreeText, Personal
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.storage.rows import fetch, insert_row

from . import model
from .entries import check_row
from .errors import ForgedRow
from .guards import database_now
from .minimum import Minimum, raise_minimum, read_minimum
from .stored import read_tile
from .tiles import TILE_WIDTH, Tile, split_tile
from .tree import hash_leaf

BATCH = 8 * TILE_WIDTH
"""Entries that one transaction removes at most."""
ACTOR = System("ledger.retention")
Subject = Annotated[str, Meta(max_length=120, pattern=r"^[A-Za-z0-9_.:-]*$")]
Reason = Annotated[str, Meta(min_length=3, max_length=500), Personal(FieldKind.TEXT)]
Moment = Annotated[datetime, Meta(tz=True)]


class KeepFor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    days: Annotated[int, Meta(ge=model.LEAST_DAYS, le=36_500)]


class Period(msgspec.Struct, frozen=True):
    """Days that events are kept."""

    days: int


class PlaceHold(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events that `subject` (an account id) did or that concern them; empty: everybody's. `until` is not included."""

    subject: Subject = ""
    since: Moment | None = None
    until: Moment | None = None
    reason: Reason


class ReleaseHold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Annotated[str, Meta(min_length=1, max_length=48)]
    reason: Reason


class ReadHolds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Hold(msgspec.Struct, frozen=True):
    """A legal hold; in force until it is released."""

    id: str
    subject: str
    since: datetime | None
    until: datetime | None
    placed_by: str
    placed_at: datetime
    released_by: str | None = None
    released_at: datetime | None = None
    reason: FreeText = ""


class Holds(msgspec.Struct, frozen=True):
    holds: list[Hold]


class Prune(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Request and job payload alike: remove what the period has passed."""


class Pruned(msgspec.Struct, frozen=True):
    """`minimum_index` is the lowest index that can still be read; `more` says that another turn would remove more."""

    minimum_index: int
    removed: int
    more: bool


class NoSuchHold(NotFound):
    code = "no-such-hold"
    message = "There is no legal hold with that id."


class HoldReleased(Conflict):
    code = "hold-released"
    message = "This legal hold was released already."


class OwnHold(Refusal):
    code = "own-hold"
    message = "Whoever placed a legal hold does not release it; somebody else with the security role does."


class PeriodShortened(Conflict):
    code = "period-shortened"
    message = "The log is kept for longer already, and that is never shortened."


@operation("ledger.keep_for", by=[SystemOnly("at start, when the setting was raised")])
def keep_for(tx: Transaction, ctx: Context, request: KeepFor) -> Change[Period]:
    """Keep events for so many days from now on; never less than before."""
    before = stored_days(tx.connection)
    if before is not None and request.days < before:
        raise PeriodShortened()
    if before is None:
        tx.connection.execute(insert(model.period), {"place": 1, "days": request.days})
    elif request.days > before:
        tx.connection.execute(update(model.period).values(days=request.days))
    return Change(None if before is None else Period(before), Period(request.days), details={"days": request.days})


@operation("ledger.hold", by=[Role.SECURITY], needs=[recent_sign_in])
def place_hold(tx: Transaction, ctx: Context, request: PlaceHold) -> Change[Hold]:
    """Place a legal hold: what it covers stays in the log, however old, until the hold is released."""
    if not request.subject and request.since is None and request.until is None:
        raise Invalid(fields={"subject": "Say whom or which time the hold is about."})
    if request.since and request.until and request.until <= request.since:
        raise Invalid(fields={"until": "The end lies before the beginning."})
    tx.keys.ensure_subject(ctx.actor.id)
    values: dict[str, Any] = {
        "id": ctx.ids.new("hol"), "subject": request.subject, "since": request.since, "until": request.until,
        "placed_by": ctx.actor.id, "placed_at": ctx.now,
    }  # fmt: skip
    insert_row(tx, model.hold, values | {"reason": request.reason})
    placed = Hold(**values)
    return Change(
        None, placed, object=placed.id, subject=request.subject, details=_span(placed),
        personal={"reason": request.reason},
    )  # fmt: skip


@operation("ledger.release", by=[Role.SECURITY], needs=[recent_sign_in])
def release_hold(tx: Transaction, ctx: Context, request: ReleaseHold) -> Change[Hold]:
    """Release a legal hold that somebody else placed: what it covered may go from now on."""
    row = tx.connection.execute(select(model.hold).where(model.hold.c.id == request.id)).first()
    if row is None:
        raise NoSuchHold()
    if row.released_at is not None:
        raise HoldReleased()
    if row.placed_by == ctx.actor.id:
        raise OwnHold()
    tx.connection.execute(
        update(model.hold).where(model.hold.c.id == row.id).values(released_at=ctx.now, released_by=ctx.actor.id)
    )
    before = Hold(row.id, row.subject, row.since, row.until, row.placed_by, row.placed_at)
    after = msgspec.structs.replace(before, released_by=ctx.actor.id, released_at=ctx.now)
    return Change(before, after, subject=row.subject, details=_span(after), personal={"reason": request.reason})


@operation("ledger.holds", by=[Role.SECURITY, Role.AUDITOR])
def read_holds(tx: ReadTransaction, ctx: Context, request: ReadHolds) -> Seen[Holds]:
    """All legal holds, newest first."""
    rows = fetch(tx, model.hold, order_by=model.hold.c.placed_at.desc())
    return Seen(Holds([Hold(**row) for row in rows]))


@operation("ledger.prune", by=[SystemOnly("scheduled every day")])
def prune(tx: Transaction, ctx: Context, request: Prune) -> Change[Pruned]:
    """Remove events that are older than the period and under no hold, whole bundles from the oldest on.

    Raises ForgedRow for one that is not what the tree says, since it is evidence.
    """
    before = read_minimum(tx.connection, tx.keys)
    now = min(ctx.now, from_microseconds(database_now(tx.connection)))
    rows = _oldest(tx.connection, before.index)
    days = stored_days(tx.connection) or model.LEAST_DAYS
    end = _first_kept(tx.connection, rows, now - timedelta(days=days), before.index)
    gone = rows[: end - before.index]
    if not gone:
        return Change(None, Pruned(before.index, 0, False), details={"minimum_index": before.index, "removed": 0})
    _check_sound(tx, gone, before.index)
    counters = {**before.counters, **{row.writer: row.counter for row in gone}}
    raise_minimum(tx.connection, tx.keys, Minimum(end, counters), ctx.now)
    entry, event = model.entry.c, model.event.c
    below = select(entry.event_id).where(entry.log_index < end)
    tx.connection.execute(delete(model.event).where(event.id.in_(below)))
    tx.connection.execute(delete(model.entry).where(entry.log_index < end))
    answer = Pruned(end, len(gone), len(gone) == BATCH)
    return Change(None, answer, details={"minimum_index": end, "removed": len(gone)})


def stored_days(connection: Connection) -> int | None:
    """The period that the database enforces; None before the first start."""
    found: int | None = connection.execute(select(model.period.c.days)).scalar()
    return found


def check_period(connection: Connection, wanted: int) -> None:
    """Raises StartError when the setting is below what was promised before."""
    stored = stored_days(connection)
    if stored is not None and wanted < stored:
        raise StartError(
            f"The log is kept for {stored} days, which cannot be shortened to {wanted}. "
            f"Set SUBS_LEDGER_RETENTION_DAYS to {stored} or more."
        )


def open_holds(connection: Connection) -> Sequence[Row[Any]]:
    """The holds in force."""
    return connection.execute(select(model.hold).where(model.hold.c.released_at.is_(None))).all()


OPERATIONS = (keep_for, place_hold, release_hold, read_holds, prune)


def _span(hold: Hold) -> dict[str, Any]:
    return {name: at.isoformat() for name in ("since", "until") if (at := getattr(hold, name)) is not None}


def _oldest(connection: Connection, start: int) -> Sequence[Row[Any]]:
    """The entries from `start` on that lie under a signed checkpoint, at most a batch."""
    entry, event = model.entry, model.event
    signed: int = connection.execute(select(func.coalesce(func.max(model.checkpoint.c.size), 0))).scalar_one()
    return connection.execute(
        select(entry.c.log_index, event)
        .select_from(entry.join(event, event.c.id == entry.c.event_id))
        .where(entry.c.log_index >= start, entry.c.log_index < min(start + BATCH, signed))
        .order_by(entry.c.log_index)
    ).all()


def _first_kept(connection: Connection, rows: Sequence[Row[Any]], cutoff: datetime, start: int) -> int:
    """The first index that stays, a multiple of a bundle. The newest entry stays in any case: it tells the size."""
    holds = open_holds(connection)
    last: int = connection.execute(select(func.max(model.entry.c.log_index))).scalar() or 0
    end = start
    for row in rows:
        if row.log_index != end or row.at > cutoff or any(_covers(hold, row) for hold in holds):
            break
        end += 1
    return max(start, min(end, last) // TILE_WIDTH * TILE_WIDTH)


def _covers(hold: Row[Any], row: Row[Any]) -> bool:
    about = hold.subject in ("", row.subject, row.actor)
    return about and (hold.since is None or row.at >= hold.since) and (hold.until is None or row.at < hold.until)


def _check_sound(tx: Transaction, rows: Sequence[Row[Any]], start: int) -> None:
    read = read_tile(tx.connection)
    for at in range(0, len(rows), TILE_WIDTH):
        hashes = split_tile(read(Tile(0, (start + at) // TILE_WIDTH)), TILE_WIDTH)
        for row, stored in zip(rows[at : at + TILE_WIDTH], hashes, strict=True):
            check_row(tx.keys, row)
            if hash_leaf(row.payload) != stored:
                raise ForgedRow(f"entry {row.log_index} is not the one in the tree, so it is not removed")
