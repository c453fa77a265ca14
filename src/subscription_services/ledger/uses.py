"""What was used, by whom and how often, by what the log says: a count over a bounded number of events."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, ScalarSelect, case, func, literal_column, or_, select

from subscription_services.kernel.events import Outcome

from . import model
from .searching import Search, unindexed, walk


@dataclass(frozen=True, slots=True)
class Use:
    """`actor` carried out `action` so many times with success, the last time at `last`."""

    actor: str
    action: str
    count: int
    last: datetime


@dataclass(frozen=True, slots=True)
class Uses:
    """`looked_at` events were counted; `whole` is false where there may be more, which are older than those."""

    found: tuple[Use, ...]
    looked_at: int
    whole: bool


def uses(
    connection: Connection, *, actor: str = "", action: str = "", since: datetime, until: datetime, limit: int
) -> Uses:
    """What one actor did, or who did one thing, between two moments (`since` included, `until` not).

    Along the index of that actor or action, newest first, at most `limit` events whatever became of them."""
    event = model.event.c
    wanted = Search(actor=actor, action=action, since=since, until=until)
    seen = walk(connection, wanted, limit, event.actor, event.action, event.outcome, event.at).subquery()
    done = seen.c.outcome == Outcome.SUCCESS.value
    grouped = select(
        seen.c.actor, seen.c.action, func.count().label("looked_at"), func.sum(case((done, 1), else_=0)).label("count"),
        func.max(case((done, seen.c.at))).label("last"),
    ).group_by(seen.c.actor, seen.c.action)  # fmt: skip
    rows = connection.execute(grouped).all()
    looked_at = sum(int(row.looked_at) for row in rows)
    found = tuple(
        Use(row.actor, row.action, int(row._mapping["count"]), row.last) for row in rows if row.last is not None
    )
    return Uses(found, looked_at, looked_at < limit)


def newest_about(about: str, actions: Collection[str]) -> ScalarSelect[Any]:
    """When the newest of these events about an object happened, as part of a statement of others; along its index."""
    event = model.event.c
    # one by one and not IN, whose values a statement that is compiled once cannot hold
    named = or_(*(unindexed("action") == action for action in sorted(actions)))
    return (
        select(event.at)
        # between bounds that PostgreSQL does not take for equality: for that it would walk along time (see searching)
        .where(event.object >= about, event.object <= about, event.object != literal_column("''"), named)
        .order_by(event.object.desc(), event.at.desc(), event.id.desc())
        .limit(1)
        .scalar_subquery()
    )
