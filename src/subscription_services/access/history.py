"""What a team member's account gave them at any moment, from the times in the rows of grants, tasks and limits.

For now `authority.powers_of` decides; this is for the past, and for what would be if something ended. It judges the
past by today's code. Limits that have ended are believed as they stand; only those in force are sealed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select

from subscription_services.kernel.actors import Role, Standing, TeamMember
from subscription_services.kernel.ports import Keys
from subscription_services.kernel.transaction import ReadTransaction

from . import row_codes
from .authority import lent_by
from .limit_model import role_limit
from .model import grant
from .role_limits import Withheld
from .task_model import task


@dataclass(frozen=True, slots=True)
class Narrower:
    """A policy with less in it: grants that have ended, and what roles could not do."""

    grants: frozenset[str] = frozenset()
    withheld: Withheld = frozenset()


AS_IT_WAS = Narrower()


@dataclass(frozen=True, slots=True)
class History:
    """Everything that an account held at some time."""

    account: str
    grants: Sequence[Row[Any]]
    tasks: Sequence[Row[Any]]
    limits: Sequence[Row[Any]]
    keys: Keys

    def at(self, moment: datetime, policy: Narrower = AS_IT_WAS) -> Standing:
        """What the account gave at that moment, signed in a moment ago with a second factor."""
        withheld = policy.withheld | {
            (Role(row.role), row.operation) for row in self.limits if _held(moment, row.since, row.ended_at)
        }
        roles = frozenset(Role(row.role) for row in self.held(moment) if row.id not in policy.grants)
        open_tasks = [row for row in self.tasks if _held(moment, row.granted_at, row.ended_at, row.ends_at)]
        return Standing(
            roles=roles, signed_in_at=moment, second_factor=True, withheld=withheld,
            elevations=lent_by(self.keys, open_tasks, withheld) if open_tasks else (),
        )  # fmt: skip

    def held(self, moment: datetime) -> list[Row[Any]]:
        """The grants that held at that moment."""
        return [row for row in self.grants if _held(moment, row.granted_at, row.ended_at, row.ends_at)]

    def changes(self, since: datetime, until: datetime) -> list[datetime]:
        """The moments between the two at which what the account gave may have changed, the two included."""
        return sorted({since, until, *(moment for moment in self._moments() if since < moment < until)})

    def actor(self, moment: datetime) -> TeamMember:
        """The person, for those who decide."""
        return TeamMember(self.account, "", moment, second_factor=True)

    def _moments(self) -> Iterator[datetime]:
        for row in self.grants:
            yield from (at for at in (row.granted_at, row.ended_at, row.ends_at) if at is not None)
        for row in self.tasks:
            yield from (at for at in (row.granted_at, row.ended_at, row.ends_at) if at is not None)
        for row in self.limits:
            yield from (at for at in (row.since, row.ended_at) if at is not None)


def history_of(tx: ReadTransaction, account: str) -> History:
    """From the rows of this account, and the limits of all roles. Forged tasks are left out."""
    grants = tx.connection.execute(select(grant).where(grant.c.account == account)).all()
    tasks = tx.connection.execute(select(task).where(task.c.account == account, task.c.granted_at.is_not(None))).all()
    limits = tx.connection.execute(select(role_limit)).all()
    ours = [row for row in tasks if row_codes.is_ours(tx.keys, task.name, row_codes.TASK, row)]
    return History(account, grants, ours, limits, tx.keys)


def _held(moment: datetime, begun: datetime, *ends: datetime | None) -> bool:
    return begun <= moment and all(end is None or moment < end for end in ends)
