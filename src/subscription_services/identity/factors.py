"""What second factors of every kind share: names, the first one, the last one."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Table, delete, func, select

from subscription_services.kernel.actors import TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.mail import SendLetter
from subscription_services.storage import update_row

from . import model
from .codes import replace_recovery_codes
from .errors import Compulsory, TooManyFactors
from .fields import clean_name
from .queries import has_second_factor
from .sessions import end_sessions, renew_session

MOST = 10
"""Of each kind; nobody has more, and every one is another door."""


def check_room(tx: Transaction, table: Table, account: str) -> None:
    """Raises TooManyFactors."""
    count = select(func.count()).select_from(table).where(table.c.account == account)
    if tx.connection.execute(count).scalar_one() >= MOST:
        raise TooManyFactors()


def turn_on(tx: Transaction, ctx: Context, *, first: bool) -> tuple[list[str], str]:
    """A factor was added. With the first one other sessions end, and there are recovery codes and a new token."""
    if not first:
        tx.outbox.add(SendLetter(letter="identity.factor_added", account=ctx.actor.id))
        return [], ""
    session = getattr(ctx.actor, "session", "")
    end_sessions(tx, ctx, ctx.actor.id, "second factor", model.session.c.id != session)
    token = renew_session(tx, ctx, session, second_factor=True)
    tx.outbox.add(SendLetter(letter="identity.second_factor_on", account=ctx.actor.id))
    return replace_recovery_codes(tx, ctx, ctx.actor.id), token


def remove(tx: Transaction, ctx: Context, table: Table, identifier: str) -> bool:
    """Remove one factor; says whether that turned two-factor sign-in off. Raises Compulsory for a team member's last,
    NotFound."""
    lock(tx, ctx)
    mine = [table.c.id == identifier, table.c.account == ctx.actor.id]
    if table is model.totp:
        mine.append(model.totp.c.confirmed_at.is_not(None))
    if tx.connection.execute(delete(table).where(*mine)).rowcount != 1:
        raise NotFound()
    if has_second_factor(tx.connection, ctx.actor.id):
        tx.outbox.add(SendLetter(letter="identity.factor_removed", account=ctx.actor.id))
        return False
    if isinstance(ctx.actor, TeamMember):
        raise Compulsory()
    tx.connection.execute(delete(model.recovery_code).where(model.recovery_code.c.account == ctx.actor.id))
    tx.outbox.add(SendLetter(letter="identity.second_factor_off", account=ctx.actor.id))
    return True


def rename(tx: Transaction, ctx: Context, table: Table, identifier: str, name: str) -> None:
    """Another name for one factor. Raises NotFound."""
    row = {"id": identifier, "account": ctx.actor.id}
    if owner_of(tx, table, identifier) != ctx.actor.id or not update_row(tx, table, row, {"name": clean_name(name)}):
        raise NotFound()


def lock(tx: Transaction, ctx: Context) -> None:
    """One change of the account's factors after the other: two at once must not remove the last two."""
    mine = select(model.account.c.id).where(model.account.c.id == ctx.actor.id)
    tx.connection.execute(mine.with_for_update()).one_or_none()


def owner_of(tx: ReadTransaction, table: Table, identifier: Any) -> str:
    """The account that a factor belongs to, or "" when there is none."""
    return str(tx.connection.execute(select(table.c.account).where(table.c.id == identifier)).scalar() or "")
