"""Rules of access reviews: what is asked about how often, and until when something stands without an answer. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from subscription_services.kernel.actors import Role
from subscription_services.kernel.words import table

from .settings import in_force

ELEVATED = frozenset({Role.ADMINISTRATOR, Role.SECURITY, Role.OPERATIONS})
REVIEWERS = (Role.ADMINISTRATOR, Role.SECURITY)
WARNED_DAYS = (14, 7, 1)
"""Days before the due date at which reviewers are reminded; holders at the last two."""


class Scope(StrEnum):
    """What one review asks about."""

    STANDARD = "standard"  # support, billing, auditors and service accounts
    ELEVATED = "elevated"  # standing grants that can do most


SCOPE_WORDS = table(
    {
        Scope.STANDARD: "Roles of team members, and service accounts",
        Scope.ELEVATED: "Administrators, security and operations",
    }
)


def scope_of(role: Role | None) -> Scope:
    """The review that asks about this role; None is a service account."""
    return Scope.ELEVATED if role in ELEVATED else Scope.STANDARD


def period(scope: Scope) -> timedelta:
    """How long a confirmation is good before the next review opens."""
    settings = in_force()
    return timedelta(days=settings.review_elevated_days if scope is Scope.ELEVATED else settings.review_days)


def grace() -> timedelta:
    """How long reviewers have."""
    return timedelta(days=in_force().review_grace_days)


def again() -> timedelta:
    """How long they have for a review that is done again."""
    return timedelta(days=in_force().review_again_days)


def stands_until(role: Role | None, since: datetime) -> datetime:
    """The end of what was given or confirmed at `since`, unless a review moves it on."""
    return since + period(scope_of(role)) + grace()


def asks_about(scope: Scope, ends_at: datetime, now: datetime) -> bool:
    """Whether a review that opens now asks about what ends then: all but what was confirmed a short while ago, so that
    a single role that ends early does not have everybody asked about again."""
    return ends_at <= now + grace() + period(scope) * 2 / 3


def opens(ends_at: datetime, now: datetime) -> bool:
    """Whether what ends then needs a review to be open now."""
    return ends_at <= now + grace()


def due_again(now: datetime, first_due: datetime) -> datetime:
    """When a review is due that takes the place of a void one. However often it is void, no end moves beyond this
    many days after the first one was due."""
    return min(now, first_due) + again()


def reminder(due: datetime, now: datetime) -> int:
    """How many days before the due date a reminder is called for: the nearest of those that are reached, 0 for none."""
    return min((days for days in WARNED_DAYS if due - now <= timedelta(days=days)), default=0)
