"""What a team member claims to be when a request comes in: enough to offer pages and to refuse cheaply."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from subscription_services.kernel.actors import Role
from subscription_services.kernel.ports import Keys

from .approval_queries import waiting_for
from .authority import powers_of
from .glass import REVIEWERS, unclosed
from .operations.tasks import GRANTERS
from .review_queries import waiting_reviews
from .tasks import waiting_tasks


@dataclass(frozen=True, slots=True)
class Claims:
    """`approvals`, `asked_tasks`, `reviews` and `glass_reviews` are how many of each wait for this person; `glass` says
    that somebody broke the glass and nobody reviewed it yet."""

    roles: frozenset[Role]
    tasks: frozenset[str]
    withheld: frozenset[tuple[Role, str]] = frozenset()
    approvals: int = 0
    asked_tasks: int = 0
    reviews: int = 0
    glass: bool = False
    glass_reviews: int = 0


def claims_of(connection: Connection, keys: Keys, account: str, now: datetime) -> Claims:
    """Roles, operations lent by open tasks, and what waits. `keys` are those of the caller "access"."""
    powers = powers_of(connection, keys, account, now)
    roles = powers.roles
    asked = waiting_tasks(connection, account, now) if roles & set(GRANTERS) else 0
    broken = unclosed(connection)
    looked_at = sum(who != account for _, who in broken) if roles & set(REVIEWERS) else 0
    return Claims(
        roles, powers.tasks, powers.withheld, waiting_for(connection, account, roles, now), asked,
        waiting_reviews(connection, roles, now), bool(broken), looked_at,
    )  # fmt: skip
