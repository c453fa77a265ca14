"""Whoever gets another role moves on: what they held before lapses, unless somebody independent confirms it."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select, update

from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Context
from subscription_services.kernel.transaction import Transaction
from subscription_services.mail import SendLetter

from . import queries
from .model import grant
from .queries import Grant
from .settings import in_force


def moves(tx: Transaction, ctx: Context, new: Grant) -> list[str]:
    """Let what the holder of a new role held before lapse after some days; which grants, and tell who can confirm.

    A role for a few days is no move. The last administrator stays one."""
    lapses = ctx.now + timedelta(days=in_force().mover_days)
    if new.ends_at <= lapses:
        return []
    older = (
        select(grant)
        .where(
            grant.c.account == new.account, grant.c.id != new.id, grant.c.ended_at.is_(None),
            grant.c.moved_at.is_(None), grant.c.ends_at > lapses,
        )
        .order_by(grant.c.id)
        .with_for_update()
    )  # fmt: skip
    found = []
    for row in tx.connection.execute(older).all():
        if _is_needed(tx, ctx, row.role, row.account):
            continue
        marked = update(grant).where(grant.c.id == row.id)
        tx.connection.execute(marked.values(moved_at=ctx.now, ends_before=row.ends_at, ends_at=lapses))
        found.append(str(row.id))
    if found:
        _tell(tx, new)
    return found


def _is_needed(tx: Transaction, ctx: Context, role: str, account: str) -> bool:
    """Whether nobody else would be an administrator for good."""
    return role == Role.ADMINISTRATOR and not queries.lock_standing_administrators(tx, ctx.now) - {account}


def _tell(tx: Transaction, new: Grant) -> None:
    tx.outbox.add(SendLetter(letter="access.mover_told", account=new.account, values={"grant": new.id}))
    for person in queries.team(tx, new.granted_at).administrators:
        if person.id != new.account and person.state == "active":
            tx.outbox.add(SendLetter(letter="access.mover_asked", account=person.id, values={"grant": new.id}))
