"""Whoever leaves loses everything in one transaction: sessions, roles, programs, tokens, links, ways to sign in.

Authorisation is read again inside every transaction, so requests of theirs that have not begun to commit fail as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import or_, select, update

from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.events import Detail
from subscription_services.kernel.transaction import Transaction

from . import accounts, model, policy, queries
from .errors import AlreadyLeft, NotATeamMember
from .model import ServiceAccountState


@dataclass(frozen=True, slots=True)
class Left:
    """What ended."""

    sessions: int
    roles: list[str]
    service_accounts: list[str]
    tokens: int

    @property
    def details(self) -> dict[str, Detail]:
        return {
            "sessions": self.sessions, "roles": self.roles, "service_accounts": self.service_accounts,
            "tokens": self.tokens,
        }  # fmt: skip


def deactivate(tx: Transaction, ctx: Context, account: str) -> Left:
    """End all that a team member has. Raises NotFound, NotATeamMember, AlreadyLeft, LastAdministrator."""
    administrators = queries.lock_standing_administrators(tx)
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
    programs = _end_programs(tx, account)
    tokens = _revoke_tokens(tx, ctx, account, programs)
    _void_approvals(tx, ctx, account)
    return Left(sessions, roles, programs, tokens)


def _end_grants(tx: Transaction, ctx: Context, account: str) -> list[str]:
    live = update(model.grant).where(model.grant.c.account == account, model.grant.c.ended_at.is_(None))
    ended = live.values(ended_at=ctx.now, ended_by=ctx.actor.id).returning(model.grant.c.role)
    return sorted(tx.connection.execute(ended).scalars())


def _end_programs(tx: Transaction, account: str) -> list[str]:
    """The service accounts that the leaver answers for: nobody else was asked to."""
    table = model.service_account
    own = update(table).where(table.c.owner == account, table.c.state == ServiceAccountState.ACTIVE)
    return sorted(tx.connection.execute(own.values(state=ServiceAccountState.ENDED).returning(table.c.id)).scalars())


def _revoke_tokens(tx: Transaction, ctx: Context, account: str, programs: list[str]) -> int:
    """The tokens of those, and whatever the leaver issued for others: they have seen the text."""
    table = model.token
    known = or_(table.c.service_account.in_(programs), table.c.issued_by == account)
    live = update(table).where(table.c.revoked_at.is_(None), known)
    return tx.connection.execute(live.values(revoked_at=ctx.now)).rowcount


def _void_approvals(tx: Transaction, ctx: Context, account: str) -> None:
    """What the leaver approved and nobody has used yet, and what others approved for them."""
    table = model.approval
    mine = or_(table.c.approver == account, table.c.requester == account)
    still = select(table.c.id, table.c.given_at).where(
        mine, table.c.consumed_at.is_(None), table.c.expires_at > ctx.now
    )
    for row in tx.connection.execute(still).all():
        end = max(ctx.now, row.given_at + timedelta(microseconds=1))
        tx.connection.execute(update(table).where(table.c.id == row.id).values(expires_at=end))
