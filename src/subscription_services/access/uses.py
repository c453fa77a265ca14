"""What the log says was used, kept by actor, token and operation, so that a report needs not read the log again.

The log is read once, in the order of its index, a bounded part at a time; the newest part is read again for each
report. These rows give no power: they only say what somebody could take away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from subscription_services.kernel.actors import ServiceAccount, TeamMember
from subscription_services.kernel.events import Event, Outcome
from subscription_services.ledger import queries as ledger

from .use_model import cursor
from .use_model import use as noted

BATCH = 10_000
"""Entries of the log that are read at once."""
KINDS = (TeamMember.kind, ServiceAccount.kind)
Key = tuple[str, str, str]
"""Actor, token (empty for people) and operation."""


@dataclass(frozen=True, slots=True)
class Part:
    """What the entries from `first` to before `next` say."""

    first: int
    next: int
    uses: Mapping[Key, datetime]


def next_index(connection: Connection) -> int:
    """The first entry that was not read yet."""
    return int(connection.execute(select(cursor.c.next_index)).scalar() or 0)


def read_part(connection: Connection, limit: int = BATCH) -> Part:
    """The next part of the log."""
    first = next_index(connection)
    found, then = ledger.sequenced(connection, first, limit, KINDS)
    uses: dict[Key, datetime] = {}
    for item in found:
        if item.event.outcome is Outcome.SUCCESS:
            key = _key(item.event)
            uses[key] = max(uses.get(key, item.event.at), item.event.at)
    return Part(first, then, uses)


def keep_part(connection: Connection, part: Part) -> bool:
    """Write it down, and that it was read; False when somebody else did meanwhile."""
    if not _move_on(connection, part):
        return False
    rows = [
        {"actor": actor, "credential": credential, "operation": operation, "last_used_at": at}
        for (actor, credential, operation), at in sorted(part.uses.items())
    ]
    if rows:
        dialect: Any = sqlite if connection.dialect.name == "sqlite" else postgresql
        fresh = dialect.insert(noted)
        newer = fresh.on_conflict_do_update(
            index_elements=["actor", "credential", "operation"],
            set_={"last_used_at": fresh.excluded.last_used_at},
            where=fresh.excluded.last_used_at > noted.c.last_used_at,
        )
        connection.execute(newer, rows)
    return True


def last_uses(connection: Connection) -> tuple[dict[Key, datetime], bool]:
    """When each was last used, the newest entries of the log included; whether all of it was read."""
    part = read_part(connection)
    found: dict[Key, datetime] = {
        (row.actor, row.credential, row.operation): row.last_used_at for row in connection.execute(select(noted))
    }
    for key, at in part.uses.items():
        found[key] = max(found.get(key, at), at)
    return found, part.next - part.first < BATCH


def _move_on(connection: Connection, part: Part) -> bool:
    if part.first == 0 and connection.execute(select(cursor.c.place)).first() is None:
        connection.execute(insert(cursor), {"place": 1, "next_index": part.next})
        return True
    moved = update(cursor).where(cursor.c.next_index == part.first).values(next_index=part.next)
    return connection.execute(moved).rowcount == 1


def _key(event: Event) -> Key:
    return event.actor, event.session if event.actor_kind == ServiceAccount.kind else "", event.action
