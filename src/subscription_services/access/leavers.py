"""Whoever leaves loses everything in one transaction: sessions, roles, programs, tokens, links, ways to sign in, tasks,
requests for approval, and what they approved and nobody used.

Authorisation is read again inside every transaction, so requests of theirs that have not begun to commit fail as well.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import insert, select, update

from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.events import Detail
from subscription_services.kernel.transaction import Transaction

from . import accounts, model, policy, queries
from .approval_model import End, approval, request, void
from .errors import AlreadyLeft, NotATeamMember
from .task_model import TaskEnd, task
from .tasks import change_row
from .token_rows import end_accounts


@dataclass(frozen=True, slots=True)
class Left:
    """What ended."""

    sessions: int
    roles: list[str]
    service_accounts: list[str]
    tokens: int
    tasks: int
    requests: int
    approvals: int

    @property
    def details(self) -> dict[str, Detail]:
        return {
            "sessions": self.sessions, "roles": self.roles, "service_accounts": self.service_accounts,
            "tokens": self.tokens, "tasks": self.tasks, "requests": self.requests, "approvals": self.approvals,
        }  # fmt: skip


def deactivate(tx: Transaction, ctx: Context, account: str) -> Left:
    """End all that a team member has. Raises NotFound, NotATeamMember, AlreadyLeft, LastAdministrator."""
    administrators = queries.lock_standing_administrators(tx, ctx.now)
    found = accounts.people(tx, [account])
    if not found:
        raise NotFound()
    if not found[0].team:
        raise NotATeamMember()
    if account in administrators:
        policy.check_stays_managed(Role.ADMINISTRATOR, account, administrators)
    sessions = accounts.close(tx, ctx, account)
    if sessions is None:
        raise AlreadyLeft()
    roles = _end_grants(tx, ctx, account)
    # nobody else was asked to answer for their programs; of whatever tokens they issued they have seen the text
    programs, tokens = end_accounts(tx, ctx.now, model.service_account.c.owner == account, also=account)
    tasks = _end_tasks(tx, ctx, account)
    requests = _end_requests(tx, ctx, account, programs)
    return Left(sessions, roles, programs, tokens, tasks, requests, _void_approvals(tx, ctx, account))


def _end_grants(tx: Transaction, ctx: Context, account: str) -> list[str]:
    live = update(model.grant).where(model.grant.c.account == account, model.grant.c.ended_at.is_(None))
    ended = live.values(ended_at=ctx.now, ended_by=ctx.actor.id).returning(model.grant.c.role)
    return sorted(tx.connection.execute(ended).scalars())


def _end_tasks(tx: Transaction, ctx: Context, account: str) -> int:
    """What tasks lend the leaver, and what they ask to be lent. What is committing under one is waited for."""
    live = select(task).where(task.c.account == account, task.c.ended_at.is_(None), task.c.ends_at > ctx.now)
    rows = tx.connection.execute(live.with_for_update()).all()
    for row in rows:
        outcome = TaskEnd.REFUSED if row.granted_at is None else TaskEnd.REVOKED
        change_row(tx, row, {"ended_at": ctx.now, "ended_by": ctx.actor.id, "outcome": outcome})
    return len(rows)


def _end_requests(tx: Transaction, ctx: Context, account: str, programs: list[str]) -> int:
    """What the leaver and their programs asked to be approved, whoever approved it already."""
    mine = request.c.requester.in_([account, *programs])
    ended = update(request).where(mine, request.c.ended_at.is_(None))
    values = {"ended_at": ctx.now, "ended_by": ctx.actor.id, "outcome": End.WITHDRAWN}
    return tx.connection.execute(ended.values(values)).rowcount


def _void_approvals(tx: Transaction, ctx: Context, account: str) -> int:
    """What the leaver approved for others and nobody has used yet."""
    pending = select(request.c.id).where(request.c.ended_at.is_(None))
    given = select(approval.c.id).where(
        approval.c.approver == account, approval.c.expires_at > ctx.now, approval.c.request.in_(pending),
        approval.c.id.not_in(select(void.c.approval)),
    )  # fmt: skip
    found = list(tx.connection.execute(given).scalars())
    if found:
        tx.connection.execute(insert(void), [{"approval": item, "at": ctx.now} for item in found])
    return len(found)
