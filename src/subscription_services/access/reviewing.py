"""Reviews: opened, decided item by item, void where somebody did not read, closed.

What a review holds against people is time alone: opening it brings the ends of what it asks about forward to its due
date, and keeping something moves its end on. Whatever happens to jobs afterwards, what nobody kept lapses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Table, or_, select, update

from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.transaction import ReadTransaction, Transaction

from . import accounts, queries
from .authority import last_resort
from .model import ServiceAccountState, grant, service_account
from .review_decoys import Model, invent, number_of, shuffled
from .review_facts import (
    SCOPES,
    Facts,
    Kind,
    add_item,
    check_review,
    decisions_of,
    ensure_key,
    items_of,
    write_review,
)
from .review_model import Decision, Outcome, review
from .review_policy import Scope, asks_about, due_again, grace, opens, period, reminder, scope_of
from .review_record import record_of
from .review_use import used_by_program, used_by_role

NEVER = 1000
"""Days of the last reminder, where there was none."""


def review_row(tx: ReadTransaction, identifier: str, *, held: bool = False) -> Row[Any]:
    """A review as this service wrote it, held until the commit when asked. Raises NotFound, ReviewForged."""
    found = select(review).where(review.c.id == identifier)
    row = tx.connection.execute(found.with_for_update() if held else found).one_or_none()
    if row is None:
        raise NotFound()
    check_review(tx.keys, row)
    return row


def open_row_of(tx: ReadTransaction, scope: Scope) -> Row[Any] | None:
    """The review of this scope that is open, if one is."""
    return tx.connection.execute(select(review).where(review.c.scope == scope, review.c.closed_at.is_(None))).first()


@dataclass(frozen=True, slots=True)
class Asked:
    """Something real that a review could ask about; `reason` is why it was given."""

    facts: Facts
    reason: str


def standing(tx: ReadTransaction, scope: Scope, now: datetime) -> list[Row[Any]]:
    """The grants of a scope that reviews keep, live or the last administrator's."""
    resort = last_resort(tx.connection, now) or ""
    counts = or_(grant.c.ends_at > now, grant.c.id == resort)
    known = select(grant).where(grant.c.standing, grant.c.ended_at.is_(None), counts).order_by(grant.c.id)
    return [row for row in tx.connection.execute(known) if scope_of(Role(row.role)) is scope]


def programs(tx: ReadTransaction, scope: Scope, now: datetime) -> list[Row[Any]]:
    """The service accounts of a scope."""
    table = service_account.c
    known = select(service_account).where(
        table.state == ServiceAccountState.ACTIVE, table.expires_at > now, table.confirmed_until > now
    )
    return [] if scope_of(None) is not scope else list(tx.connection.execute(known.order_by(table.id)))


def is_due(tx: ReadTransaction, scope: Scope, now: datetime) -> bool:
    """Whether a review of this scope has to be opened now."""
    ends = [row.ends_at for row in standing(tx, scope, now)]
    ends += [row.confirmed_until for row in programs(tx, scope, now)]
    return open_row_of(tx, scope) is None and any(opens(end, now) for end in ends)


def would_ask(tx: ReadTransaction, scope: Scope, now: datetime) -> list[Facts]:
    """What a review that opens now would ask about."""
    return [item.facts for item in _asked(tx, now, scope, now + grace())]


def open_review(
    tx: Transaction, ctx: Context, scope: Scope, replaced: Row[Any] | None = None
) -> tuple[str, list[Facts]]:
    """Open a review of what stands now; where it takes the place of a void one, with a short due date. Returns its id
    and what it asks about, without decoys; no id where there is nothing."""
    due = ctx.now + grace() if replaced is None else due_again(ctx.now, replaced.first_due)
    asked = _asked(tx, ctx.now, scope, due)
    if not asked:
        return "", []
    identifier = ctx.ids.new("rvw")
    ensure_key(tx.keys)
    write_review(tx, {
        "id": identifier, "scope": scope, "opened_at": ctx.now, "due_at": due,
        "warned": reminder(due, ctx.now) or NEVER,
        "first_due": due if replaced is None else replaced.first_due,
        "replaces": None if replaced is None else replaced.id,
    })  # fmt: skip
    real = [(item.facts, item.reason) for item in asked]
    known = frozenset(tx.connection.execute(select(service_account.c.name)).scalars())
    model = Model(
        scope, real, [person for person in accounts.team(tx) if person.open], known, ctx.now, due, replaced is not None
    )
    decoys = invent(model, number_of(len(real), ctx.random), ctx.random)
    for facts in shuffled([*(facts for facts, _ in real), *decoys], ctx.random):
        add_item(tx, ctx, identifier, facts)
    for facts, _ in real:
        _set_end(tx, facts, facts.ends_at)
    return identifier, [facts for facts, _ in real]


def keep(tx: Transaction, ctx: Context, row: Row[Any], facts: Facts) -> datetime:
    """Move the end of what is kept on, counted from when the review opened. Returns the new end."""
    until: datetime = row.opened_at + period(Scope(row.scope)) + grace()
    if not facts.decoy:
        if facts.kind is Kind.PERSON:  # who decided is independent, which is what a mover's role waits for
            kept = update(grant).where(grant.c.id == facts.object)
            tx.connection.execute(kept.values(moved_at=None, ends_before=None))
        _set_end(tx, facts, until)
    return until


def void(tx: Transaction, ctx: Context, row: Row[Any]) -> tuple[str, bytes]:
    """End a review in which somebody kept a decoy: what was kept is not, and a new one asks again at once.

    Ends that the review had set or moved become those of the new one, so that there is time to answer; ends that
    something else brought forward stay. Returns the new review's id and the digest of the void one's record."""
    digest = close(tx, ctx, row, Outcome.VOIDED)
    due = due_again(ctx.now, row.first_due)
    decisions = decisions_of(tx, row.id)
    for item, facts in items_of(tx, row.id):
        decided = decisions.get(item.id)
        if facts.decoy or (decided is not None and decided.decision == Decision.REVOKE):
            continue
        theirs = {facts.ends_at} if decided is None else {decided.until}
        current = current_end(tx, facts)
        if current is not None:
            _set_end(tx, facts, due if current in theirs else min(current, due))
    return open_review(tx, ctx, Scope(row.scope), row)[0], digest


def close(tx: Transaction, ctx: Context, row: Row[Any], outcome: Outcome) -> bytes:
    """End a review. Returns the SHA-256 of its record, which goes into the log."""
    values = {**row._mapping, "closed_at": ctx.now, "outcome": outcome.value}
    digest = hashlib.sha256(record_of(tx, values)).digest()
    write_review(tx, {**values, "record": digest})
    return digest


def current_end(tx: ReadTransaction, facts: Facts) -> datetime | None:
    """Until when it stands as of now; None once it was ended."""
    if facts.kind is Kind.PERSON:
        found = select(grant.c.ends_at).where(grant.c.id == facts.object, grant.c.ended_at.is_(None))
    else:
        found = select(service_account.c.confirmed_until).where(
            service_account.c.id == facts.object, service_account.c.state == ServiceAccountState.ACTIVE
        )
    return tx.connection.execute(found).scalar()


def counts_now(tx: ReadTransaction, facts: Facts, now: datetime) -> bool:
    """Whether there is still something to decide about; of a decoy it looks as if there were."""
    if facts.decoy:
        return now < facts.ends_at
    end = current_end(tx, facts)
    return end is not None and (end > now or last_resort(tx.connection, now) == facts.object)


def undecided(tx: ReadTransaction, row: Row[Any], now: datetime) -> list[tuple[Row[Any], Facts]]:
    """The items that somebody still has to decide."""
    decided = decisions_of(tx, row.id)
    return [
        (item, facts) for item, facts in items_of(tx, row.id) if item.id not in decided and counts_now(tx, facts, now)
    ]


def _set_end(tx: Transaction, facts: Facts, end: datetime) -> None:
    table, column = _place(facts)
    if facts.kind is Kind.PERSON:
        # a mover's role that may stand as long as before is confirmed with that
        confirmed = update(grant).where(grant.c.id == facts.object, grant.c.ends_before <= end)
        tx.connection.execute(confirmed.values(ends_at=end, moved_at=None, ends_before=None))
    tx.connection.execute(update(table).where(table.c.id == facts.object), {column: end})


def _place(facts: Facts) -> tuple[Table, str]:
    return (grant, "ends_at") if facts.kind is Kind.PERSON else (service_account, "confirmed_until")


def _asked(tx: ReadTransaction, now: datetime, scope: Scope, due: datetime) -> Sequence[Asked]:
    before = _last_time(tx, scope, now)
    found = []
    for row in standing(tx, scope, now):
        if not asks_about(scope, row.ends_at, now):
            continue
        since = max(row.granted_at, before or row.granted_at)
        used, last = used_by_role(tx.connection, row.account, Role(row.role), since, now)
        facts = Facts(
            kind=Kind.PERSON, object=row.id, account=row.account, role=row.role, scopes=[], granted_by=row.granted_by,
            granted_at=row.granted_at, ends_at=min(row.ends_at, due), since=since, used=used, last_used_at=last,
        )  # fmt: skip
        found.append(Asked(facts, queries.open_grant(tx, row).reason))
    for row in programs(tx, scope, now):
        if asks_about(scope, row.confirmed_until, now):
            found.append(Asked(_program(tx, row, now, due, before), ""))
    return found


def _program(tx: ReadTransaction, row: Row[Any], now: datetime, due: datetime, before: datetime | None) -> Facts:
    since = max(row.created_at, before or row.created_at)
    used, last = used_by_program(tx.connection, row.id, since, now)
    live = [item for item in queries.one_service_account(tx, row.id).tokens
            if item.revoked_at is None and item.expires_at > now]  # fmt: skip
    scopes = sorted({scope for item in live for scope in item.scopes})[:SCOPES]
    return Facts(
        kind=Kind.PROGRAM, object=row.id, account=row.owner, role="", scopes=scopes, granted_by=row.created_by,
        granted_at=row.created_at, ends_at=min(row.confirmed_until, due), since=since, used=used, last_used_at=last,
    )  # fmt: skip


def _last_time(tx: ReadTransaction, scope: Scope, now: datetime) -> datetime | None:
    """When the review before opened that was not void."""
    past = select(review.c.opened_at).where(review.c.scope == scope, review.c.outcome.in_(["closed", "lapsed"]))
    return tx.connection.execute(past.order_by(review.c.opened_at.desc()).limit(1)).scalar()
