"""Reviews as people see them: the same words for what is real and for what is not."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, select

from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Context
from subscription_services.kernel.personal import ColleagueEmail, ColleagueName, FreeText
from subscription_services.kernel.transaction import ReadTransaction

from . import accounts, catalogue, queries
from .approval_queries import names_of
from .model import grant
from .review_facts import Facts, Kind, decisions_of, items_of, shown
from .review_model import Decision, Outcome, decision, item, review
from .review_people import objection
from .review_policy import REVIEWERS, Scope
from .reviewing import counts_now, review_row

SHOWN = 50


class Used(msgspec.Struct, frozen=True):
    """An operation, what it does, and how often it was carried out."""

    operation: str
    summary: str
    count: int


class ReviewItem(msgspec.Struct, frozen=True):
    """A role of somebody (`email` theirs) or a program (`email` is its owner's). `used` is what for since `since` until
    the review opened. `shown` goes back with the decision: it stands for exactly this. `why_not` says why the reader
    may not decide it; `over` that it ended in the meantime."""

    id: str
    kind: Kind
    name: ColleagueName
    email: ColleagueEmail
    role: str
    scopes: list[Used]
    reason: FreeText
    granted_by: str
    granted_at: datetime
    ends_at: datetime
    since: datetime
    used: list[Used]
    last_used_at: datetime | None
    shown: str
    why_not: str
    over: bool
    decision: Decision | None
    decided_by: str
    decided_at: datetime | None


class Review(msgspec.Struct, frozen=True):
    """`items` asked about, `decided` of them; `record` is the SHA-256 (hexadecimal) of its record once it is over."""

    id: str
    scope: Scope
    opened_at: datetime
    due_at: datetime
    replaces: str | None
    closed_at: datetime | None
    outcome: Outcome | None
    items: int
    decided: int
    record: str


class Reviews(msgspec.Struct, frozen=True):
    """The newest first."""

    reviews: list[Review]


class ReviewPage(msgspec.Struct, frozen=True):
    review: Review
    items: list[ReviewItem]


def list_reviews(tx: ReadTransaction) -> Reviews:
    """What is open and what was, with how far each is."""
    newest = select(review).order_by(review.c.opened_at.desc(), review.c.id.desc()).limit(SHOWN)
    found = tx.connection.execute(newest).all()
    ids = [row.id for row in found]
    all_items = dict(_counts(tx.connection, ids, False))
    decided = dict(_counts(tx.connection, ids, True))
    return Reviews([_review(row, all_items.get(row.id, 0), decided.get(row.id, 0)) for row in found])


def one_review(tx: ReadTransaction, ctx: Context, identifier: str) -> ReviewPage:
    """A review with all that it asks about, as the actor sees it. Raises NotFound, ReviewForged."""
    row = review_row(tx, identifier)
    found, decided = items_of(tx, identifier), decisions_of(tx, identifier)
    reader = next(iter(accounts.people(tx, [ctx.actor.id])), None)
    known = _Known.of(tx, [facts for _, facts in found], [row.decided_by for row in decided.values()])
    items = [
        known.item(tx, ctx.now, item_row.id, facts, decided.get(item_row.id), reader) for item_row, facts in found
    ]  # fmt: skip
    return ReviewPage(_review(row, len(found), len(decided)), items)


def waiting_reviews(connection: Connection, roles: Collection[Role], now: datetime) -> int:
    """How many reviews wait for decisions, for the badge."""
    if not set(roles) & set(REVIEWERS):
        return 0
    decided = select(decision.c.item).where(decision.c.item == item.c.id).exists()
    waiting = select(func.count(func.distinct(review.c.id))).where(
        review.c.id == item.c.review, review.c.closed_at.is_(None), review.c.due_at > now, ~decided
    )
    return int(connection.execute(waiting).scalar_one())


class _Known(msgspec.Struct, frozen=True):
    """What is looked up at once for all items."""

    people: Mapping[str, accounts.Account]
    names: Mapping[str, str]
    reasons: Mapping[str, str]

    @classmethod
    def of(cls, tx: ReadTransaction, items: Collection[Facts], deciders: Iterable[str]) -> _Known:
        ids = {facts.account for facts in items} | {facts.granted_by for facts in items} | set(deciders)
        people = {person.id: person for person in accounts.people(tx, sorted(ids))}
        names = names_of(tx, [*ids, *(facts.object for facts in items)])
        rows = tx.connection.execute(select(grant).where(grant.c.id.in_([facts.object for facts in items])))
        return cls(people, names, {row.id: queries.open_grant(tx, row).reason for row in rows})

    def item(
        self, tx: ReadTransaction, now: datetime, identifier: str, facts: Facts, decided: Row[Any] | None,
        reader: accounts.Account | None,
    ) -> ReviewItem:  # fmt: skip
        holder = self.people.get(facts.account)
        name = self.names.get(facts.object if facts.kind is Kind.PROGRAM else facts.account, "")
        return ReviewItem(
            id=identifier, kind=facts.kind, name=facts.name or name,
            email=facts.email or (holder.email if holder is not None else ""), role=facts.role,
            scopes=[_used(scope, 0) for scope in facts.scopes],
            reason=facts.reason or self.reasons.get(facts.object, ""),
            granted_by=self.names.get(facts.granted_by, ""), granted_at=facts.granted_at,
            ends_at=facts.ends_at, since=facts.since, used=[_used(use.operation, use.count) for use in facts.used],
            last_used_at=facts.last_used_at, shown=shown(tx.keys, identifier, facts).hex(),
            why_not="" if reader is None else objection(tx, facts, reader), over=not counts_now(tx, facts, now),
            decision=None if decided is None else Decision(decided.decision),
            decided_by="" if decided is None else self.names.get(decided.decided_by, decided.decided_by),
            decided_at=None if decided is None else decided.decided_at,
        )  # fmt: skip


def _used(name: str, count: int) -> Used:
    operation = catalogue.named(name)
    return Used(name, operation.summary if operation is not None else "", count)


def _counts(connection: Connection, ids: Collection[str], decided: bool) -> list[tuple[str, int]]:
    counting = select(item.c.review, func.count()).where(item.c.review.in_(ids)).group_by(item.c.review)
    if decided:
        counting = counting.where(item.c.id.in_(select(decision.c.item)))
    return [(str(name), int(count)) for name, count in connection.execute(counting)]


def _review(row: Row[Any], items: int, decided: int) -> Review:
    return Review(
        id=row.id, scope=Scope(row.scope), opened_at=row.opened_at, due_at=row.due_at, replaces=row.replaces,
        closed_at=row.closed_at, outcome=None if row.outcome is None else Outcome(row.outcome), items=items,
        decided=decided, record="" if row.record is None else bytes(row.record).hex(),
    )  # fmt: skip
