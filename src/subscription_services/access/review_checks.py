"""The live check of reviews: that nothing stands longer than somebody confirmed it."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from subscription_services.kernel.checks import Check, Doors, Finding, Verdict
from subscription_services.kernel.ports import Keys
from subscription_services.kernel.transaction import ReadTransaction

from .authority import last_resort, roles_of
from .errors import ReviewForged
from .model import ServiceAccountState, grant, service_account
from .operations.review_schedule import can_open
from .review_facts import decisions_of, items_of
from .review_model import Decision, review
from .review_policy import Scope

LATE = timedelta(hours=25)
"""How late the job of every hour may be before that is a finding: a day's outage is not one."""
LONGEST = timedelta(days=90 + 30)
"""The longest that settings allow something to stand without a review."""


def review_checks() -> list[Check]:
    """The check of this promise."""
    return [
        Check(
            "access.reviews",
            "Every role of the team and every service account is looked at: none may count beyond its end, none may "
            "have an end that neither its beginning nor a review gave it, and where an end is near a review must be "
            "open.",
            _reviewed,
            timedelta(hours=1),
        )
    ]


async def _reviewed(doors: Doors) -> Finding:
    kernel = doors.kernel
    keys = kernel.keys.for_caller("access")
    return await kernel.store.read(lambda connection: reviewed(connection, keys, kernel.clock()))


def reviewed(connection: Connection, keys: Keys, now: datetime) -> Finding:
    """What stands, held against its end, the reviews that there were, and the one that there has to be."""
    tx = ReadTransaction(connection, keys)
    grants = connection.execute(select(grant).where(grant.c.standing, grant.c.ended_at.is_(None))).all()
    for row in grants:
        if row.ends_at <= now and row.role in roles_of(connection, row.account, now):
            last = last_resort(connection, now) == row.id
            says = (
                "The last administrator's role was not confirmed in time. It counts since there is nobody else."
                if last
                else "A role counts although its time is up."
            )
            return Finding(Verdict.BROKEN, says, {"grant": row.id})
    try:
        kept = _kept(tx)
    except ReviewForged:
        return Finding(Verdict.BROKEN, "What is stored of a review is not what this service wrote.", {})
    live = [(row.id, row.granted_at, row.ends_at) for row in grants]
    active = service_account.c.state == ServiceAccountState.ACTIVE
    live += [
        (row.id, row.created_at, row.confirmed_until)
        for row in connection.execute(select(service_account).where(active))
    ]
    first = connection.execute(select(review.c.id).where(review.c.closed_at.is_not(None)).limit(1)).first() is None
    for identifier, since, end in live:
        # before the first review ends count from the day on which the service learnt to review
        if end > max(since + LONGEST, kept.get(identifier, since), now + LONGEST if first else since):
            return Finding(Verdict.BROKEN, "Something stands longer than anybody confirmed it.", {"about": identifier})
    for scope in Scope:
        if can_open(tx, scope, now) and can_open(tx, scope, now - LATE):
            return Finding(Verdict.BROKEN, "A review should have opened more than a day ago.", {"scope": scope.value})
    return Finding(
        Verdict.KEPT, "Whatever stands was confirmed in time, or will be asked about.", {"stands": len(live)}
    )


def _kept(tx: ReadTransaction) -> dict[str, datetime]:
    """The latest end that a review which was not void gave to each. Raises ReviewForged."""
    found: dict[str, datetime] = {}
    counted = select(review.c.id).where(review.c.outcome.is_distinct_from("voided"))
    for identifier in tx.connection.execute(counted).scalars():
        decided = decisions_of(tx, identifier)
        for item, facts in items_of(tx, identifier):
            row = decided.get(item.id)
            if row is not None and row.decision == Decision.KEEP:
                found[facts.object] = max(row.until, found.get(facts.object, row.until))
    return found
