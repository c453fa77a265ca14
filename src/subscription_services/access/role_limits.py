"""What roles may not do here although code allows it: read at every decision about a team member, in one statement.

The limits in force are sealed together, under a key that the database does not hold, with the moment of their last
change, which is that of the newest event about them in the log. Whatever does not fit narrows everything: then roles
allow only what it takes to put it right.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, case, insert, literal, select, true, update

from subscription_services.kernel.actors import Role
from subscription_services.kernel.columns import Instant, to_microseconds
from subscription_services.kernel.ports import Keys
from subscription_services.kernel.transaction import Transaction
from subscription_services.ledger import queries as ledger
from subscription_services.storage.prepared import Prepared

from . import catalogue, row_codes
from .errors import ChangedMeanwhile, LimitsForged
from .limit_model import role_limit, role_seal

Withheld = frozenset[tuple[Role, str]]
OBJECT = "access:role-limits"
"""The object of every event that changed the limits, and of no other."""
CHANGES = ("access.narrow_role", "access.widen_role", "access.reset_role_limits")
KEPT = frozenset(
    {
        *CHANGES, "access.role_limits", "access.ask_approval", "access.approve", "access.approval_request",
        "access.approval_requests", "access.withdraw_request", "access.grant_role", "access.end_grant", "access.invite",
        "access.people",
    }
)  # fmt: skip
"""What administrators keep whatever happens: with it a limit can be taken back, and somebody made who approves that."""
_NOTHING: Withheld = frozenset()
_one = select(literal(1).label("one")).subquery()
COLUMNS = (
    role_seal.c.changed_at, role_seal.c.mac, role_limit.c.id, role_limit.c.role, role_limit.c.operation,
    role_limit.c.since, ledger.newest_about(OBJECT, CHANGES).label("newest"),
)  # fmt: skip
SOURCE = _one.outerjoin(role_seal, true()).outerjoin(role_limit, role_limit.c.ended_at.is_(None))
"""One row for each limit in force, or one alone: what `judged` looks at, for statements that ask for more as well."""
_IN_FORCE = Prepared(select(*COLUMNS).select_from(SOURCE))


@dataclass(frozen=True, slots=True)
class InForce:
    """The limits that have not ended, those to come included; not `sound` where they are not as this service left
    them."""

    limits: tuple[tuple[str, Role, str, datetime], ...]
    changed_at: datetime | None
    sound: bool

    def withheld(self, now: datetime) -> Withheld:
        """What roles may not do at `now`."""
        if not self.sound:
            return catalogue.by_roles(KEPT)
        if not self.limits:
            return _NOTHING
        return frozenset((role, operation) for _, role, operation, since in self.limits if since <= now)


_FREE = InForce((), None, sound=True)


def in_force(connection: Connection, keys: Keys | None) -> InForce:
    """The limits as they are stored now, and whether they are to be believed."""
    return judged(_IN_FORCE.all(connection, {}), keys)


def judged(rows: Sequence[Any], keys: Keys | None) -> InForce:
    """What these rows of COLUMNS say."""
    first = rows[0]
    if first.mac is None and first.id is None and first.newest is None:
        return _FREE  # nothing was ever narrowed, by the store and by the log
    limits = _limits(row for row in rows if row.id is not None)
    fits = (
        keys is not None
        and first.mac is not None
        and _fits(first.changed_at, first.newest)
        and row_codes.holds(keys, role_seal.name, row_codes.LIMITS, _sealed(first.changed_at, limits), bytes(first.mac))
    )
    return InForce(limits, first.changed_at, fits)


def withheld_of(connection: Connection, keys: Keys | None, now: datetime) -> Withheld:
    """What roles may not do now; on the way of every request of a team member."""
    return in_force(connection, keys).withheld(now)


def check_sound(tx: Transaction, now: datetime) -> InForce:
    """The limits, held until the commit so that changes follow each other. Raises LimitsForged, ChangedMeanwhile."""
    tx.connection.execute(select(role_seal.c.place).with_for_update()).all()
    found = in_force(tx.connection, tx.keys)
    if not found.sound:
        raise LimitsForged()
    if found.changed_at is not None and found.changed_at > now:
        raise ChangedMeanwhile()
    return found


def seal(tx: Transaction, now: datetime) -> None:
    """Seal what is in force after a change; its event must carry OBJECT and the time `now`."""
    live = select(role_limit.c.id, role_limit.c.role, role_limit.c.operation, role_limit.c.since)
    limits = _limits(tx.connection.execute(live.where(role_limit.c.ended_at.is_(None))).all())
    code = row_codes.code_of(tx.keys, role_seal.name, row_codes.LIMITS, _sealed(now, limits))
    values = {"changed_at": now, "mac": code}
    if not tx.connection.execute(update(role_seal).where(role_seal.c.place == 1).values(values)).rowcount:
        tx.connection.execute(insert(role_seal), {"place": 1, **values})


def end_rows(tx: Transaction, now: datetime, actor: str, rows: Sequence[str] | None = None) -> int:
    """End the limits with these ids, or all."""
    ended = update(role_limit).where(role_limit.c.ended_at.is_(None))
    if rows is not None:
        ended = ended.where(role_limit.c.id.in_(rows))
    # a forged row may say that it was made later: it ends no earlier than that
    made_at = role_limit.c.made_at
    moment = case((made_at > now, made_at), else_=literal(now, Instant()))
    return tx.connection.execute(ended.values(ended_at=moment, ended_by=actor)).rowcount


def _fits(changed_at: datetime, newest: datetime | None) -> bool:
    """The newest event is that of the last change; none is left once the log has outlived its time."""
    return newest is None or newest == changed_at


def _limits(rows: Iterable[Row[Any] | Any]) -> tuple[tuple[str, Role, str, datetime], ...]:
    return tuple(sorted((row.id, Role(row.role), row.operation, row.since) for row in rows))


def _sealed(changed_at: datetime, limits: Iterable[tuple[str, Role, str, datetime]]) -> dict[str, Any]:
    parts = [[key, role.value, operation, to_microseconds(since)] for key, role, operation, since in limits]
    return {"changed_at": changed_at, "limits": msgspec.json.encode(parts).decode()}
