"""Conditions beyond permission that an operation can declare: step-up, second factor, approvals, an open task."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from .actors import Role, ServiceAccount, Standing, System, TeamMember
from .context import Context
from .errors import SecondFactorNeeded, StepUpNeeded, TaskNeeded


@dataclass(frozen=True, slots=True)
class RecentSignIn:
    """The person proved who they are within the last `minutes` (NIST SP 800-63B, reauthentication)."""

    minutes: int = 15

    @property
    def name(self) -> str:
        return f"sign-in within {self.minutes} minutes"

    def check(self, ctx: Context, standing: Standing) -> None:
        if isinstance(ctx.actor, System | ServiceAccount):
            return
        if standing.signed_in_at is None or ctx.now - standing.signed_in_at > timedelta(minutes=self.minutes):
            raise StepUpNeeded()


@dataclass(frozen=True, slots=True)
class TeamSecondFactor:
    """A team member signed in with a second factor; perform() asks it of every operation a role allows."""

    name: str = "second factor"

    def check(self, ctx: Context, standing: Standing) -> None:
        if isinstance(ctx.actor, TeamMember) and not standing.second_factor:
            raise SecondFactorNeeded()


@dataclass(frozen=True, slots=True)
class OpenTask:
    """An elevation for a task that covers this operation is open."""

    operation: str

    @property
    def name(self) -> str:
        return "open task"

    def check(self, ctx: Context, standing: Standing) -> None:
        if self.operation not in standing.tasks:
            raise TaskNeeded()


@dataclass(frozen=True, slots=True)
class ApprovalsNeeded:
    """`count` other people approved exactly this request; perform() uses the approvals up in the transaction.

    `roles` are those whose holders may approve; without them whoever could do it themselves."""

    count: int
    roles: tuple[Role, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.count} approvals"

    def check(self, ctx: Context, standing: Standing) -> None:
        if self.count < 1:
            raise ValueError("an approval policy needs at least one approver")


recent_sign_in = RecentSignIn()


def approvals(count: int, by: tuple[Role, ...] = ()) -> ApprovalsNeeded:
    """`count` people other than the requester must have approved this very request."""
    return ApprovalsNeeded(count, by)
