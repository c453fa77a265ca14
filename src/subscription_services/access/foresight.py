"""What a narrower policy would have refused, by what the log says was done: before it takes effect.

For each actor whom it concerns the period is cut where what they held changed; within each part the decision is asked
twice about everything they did, with the policy as it was and with the narrower one. A bounded number of events is
looked at, the newest of each part; where there are more, the answer says so. What the log cannot tell (whether a use
was about one's own account, or under which token it was) is counted apart, or not refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise

import msgspec
from sqlalchemy import or_, select

from subscription_services.kernel.actors import Role
from subscription_services.kernel.authorise import By, Way, ways
from subscription_services.kernel.needs import ApprovalsNeeded
from subscription_services.kernel.personal import ColleagueName
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.ledger import queries as ledger

from . import catalogue
from .approval_queries import names_of
from .authority import decode_scopes
from .explaining import good_tokens
from .history import Narrower, history_of
from .model import grant
from .task_model import task

LOOKED_AT = 50_000
"""As many events as one answer counts."""
ACTORS = 500
"""As many people as one answer is about."""
_AFTER = timedelta(microseconds=1)


class Foreseen(msgspec.Struct, frozen=True):
    """What one actor did with one operation in the period. Of all `uses` that the change is about, `refused` would have
    been refused; `otherwise` would still have been allowed by `by`; `perhaps` too, if they were about the actor's own
    account or what an open task is about; `asking` would have waited for the approval of somebody else."""

    actor: str
    name: ColleagueName
    operation: str
    summary: str
    last: datetime
    refused: int = 0
    otherwise: int = 0
    perhaps: int = 0
    asking: int = 0
    by: list[str] = []


class Foresight(msgspec.Struct, frozen=True):
    """`whole` is false where not everything in the period was looked at. `unused` are chosen operations that nobody
    whom it concerns used."""

    since: datetime
    until: datetime
    rows: list[Foreseen]
    unused: list[str]
    looked_at: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Change:
    """The narrower policy: grants that end, operations that roles and tokens lose, what takes another's approval."""

    grants: frozenset[str] = frozenset()
    roles: frozenset[tuple[Role, str]] = frozenset()
    scopes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    approved: frozenset[str] = frozenset()

    @property
    def names(self) -> set[str]:
        """The operations that are named in it."""
        return {name for _, name in self.roles} | self.approved | frozenset().union(*self.scopes.values())


@dataclass(slots=True)
class _Count:
    last: datetime
    refused: int = 0
    otherwise: int = 0
    perhaps: int = 0
    asking: int = 0
    by: set[str] = field(default_factory=set)


@dataclass(slots=True)
class _Work:
    """What is counted, and how much may still be looked at."""

    tx: ReadTransaction
    since: datetime
    until: datetime
    counts: dict[tuple[str, str], _Count] = field(default_factory=dict)
    looked_at: int = 0
    whole: bool = True

    def uses(self, since: datetime, until: datetime, actor: str = "", action: str = "") -> Iterator[ledger.Use]:
        left = LOOKED_AT - self.looked_at
        if left <= 0:
            self.whole = False
            return
        found = ledger.uses(self.tx.connection, actor=actor, action=action, since=since, until=until, limit=left)
        self.looked_at += found.looked_at
        self.whole = self.whole and found.whole
        yield from found.found

    def of(self, use: ledger.Use) -> _Count:
        count = self.counts.setdefault((use.actor, use.action), _Count(use.last))
        count.last = max(count.last, use.last)
        return count


def foresee(tx: ReadTransaction, change: Change, since: datetime, now: datetime) -> Foresight:
    """Everything that the change would have meant between `since` and now."""
    work = _Work(tx, since, now + _AFTER)
    concerned = _concerned(work, change)
    work.whole = len(concerned) <= ACTORS
    for account in concerned[:ACTORS]:
        _person(work, account, change)
    _programs(work, change, now)
    for name in sorted(change.approved):
        _approved(work, name)
    names = names_of(tx, {actor for actor, _ in work.counts})
    rows = [
        Foreseen(
            actor, names.get(actor, actor), action, item.summary if (item := catalogue.named(action)) else "",
            count.last, count.refused, count.otherwise, count.perhaps, count.asking, sorted(count.by),
        )
        for (actor, action), count in work.counts.items()
    ]  # fmt: skip
    rows.sort(key=lambda row: (-row.refused, -row.asking, -row.perhaps, row.name, row.operation))
    unused = sorted(change.names - {row.operation for row in rows})
    return Foresight(since, now, rows, unused, work.looked_at, work.whole)


def _concerned(work: _Work, change: Change) -> list[str]:
    """Everybody who held one of the grants, or one of the roles or a task of it at some time in the period."""
    roles = sorted({role for role, _ in change.roles})
    held = select(grant.c.account).where(
        or_(grant.c.id.in_(sorted(change.grants)), grant.c.role.in_(roles)),
        or_(grant.c.ended_at.is_(None), grant.c.ended_at > work.since),
        or_(grant.c.ends_at.is_(None), grant.c.ends_at > work.since),
    )
    lent = select(task.c.account).where(
        task.c.role.in_(roles), task.c.granted_at.is_not(None), task.c.ends_at > work.since,
        or_(task.c.ended_at.is_(None), task.c.ended_at > work.since),
    )  # fmt: skip
    connection = work.tx.connection
    return sorted({*connection.execute(held).scalars(), *connection.execute(lent).scalars()})


def _person(work: _Work, account: str, change: Change) -> None:
    past = history_of(work.tx, account)
    policy = Narrower(change.grants, change.roles)
    # the newest part first, so that what is left out where there is too much is the oldest
    for begun, ended in reversed(list(pairwise(past.changes(work.since, work.until)))):
        before, after = past.at(begun), past.at(begun, policy)
        if before.roles == after.roles and before.elevations == after.elevations and before.withheld == after.withheld:
            continue
        actor = past.actor(begun)
        for use in work.uses(begun, ended, actor=account):
            item = catalogue.named(use.action)
            if item is None:
                continue
            were, left = list(ways(item, actor, before)), list(ways(item, actor, after))
            if _kinds(were) != _kinds(left):
                _count(work.of(use), use.count, left)


def _programs(work: _Work, change: Change, now: datetime) -> None:
    """By the tokens that count now: the log does not say which of them a program used."""
    if not change.scopes:
        return
    tokens = good_tokens(work.tx, now)
    for program in sorted({row.service_account for row in tokens if row.id in change.scopes}):
        kept: set[str] = set()
        lost: set[str] = set()
        for row in (row for row in tokens if row.service_account == program):
            gone = change.scopes.get(row.id, frozenset())
            kept |= decode_scopes(row.scopes) - gone
            lost |= decode_scopes(row.scopes) & gone
        for use in work.uses(work.since, work.until, actor=program):
            if use.action in lost:
                count = work.of(use)
                if use.action in kept:
                    count.otherwise += use.count
                    count.by.add("another token")
                else:
                    count.refused += use.count


def _approved(work: _Work, name: str) -> None:
    item = catalogue.named(name)
    if item is None or any(isinstance(need, ApprovalsNeeded) for need in item.needs):
        return
    for use in work.uses(work.since, work.until, action=name):
        if not use.actor.startswith(("system:", "anonymous")):
            work.of(use).asking += use.count


def _count(count: _Count, uses: int, left: Collection[Way]) -> None:
    if not left:
        count.refused += uses
        return
    count.by.update(_name(way) for way in left)
    if all(way.by is By.OWN or (way.task is not None and way.task.about) for way in left):
        count.perhaps += uses
    else:
        count.otherwise += uses


def _kinds(found: Collection[Way]) -> set[tuple[str, str]]:
    return {(way.by.value, way.role or (way.task.id if way.task else "")) for way in found}


def _name(way: Way) -> str:
    """How it would still be allowed: `role:billing`, `task:tsk_...`, `own` or `public`."""
    if way.role is not None:
        return f"role:{way.role.value}"
    return f"task:{way.task.id}" if way.task is not None else way.by.value
