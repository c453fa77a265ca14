"""What identity ends, in somebody else's transaction, when a person leaves the team."""

from __future__ import annotations

from sqlalchemy import delete, update

from subscription_services.kernel.context import Context
from subscription_services.kernel.transaction import Transaction
from subscription_services.mail import SendLetter
from subscription_services.storage import update_row

from . import model
from .fields import clean_name
from .model import Kind, Purpose, State
from .operations.sign_up import end_links
from .sessions import end_challenges, end_sessions
from .sign_on_model import sign_on


def close_team_account(tx: Transaction, ctx: Context, account: str) -> int | None:
    """Close it for good: sessions, half-finished sign-ins, links, password, second factor and single sign-on end, and
    the address is free again. Returns how many sessions were open; None when it is no open account of the team."""
    open_one = update(model.account).where(
        model.account.c.id == account, model.account.c.kind == Kind.TEAM, model.account.c.state != State.CLOSED
    )
    values = {"state": State.CLOSED, "email_index": None, "closed_at": ctx.now, "verifier": None}
    if tx.connection.execute(open_one.values(values)).rowcount != 1:
        return None
    ended = end_sessions(tx, ctx, account, "left the team")
    end_challenges(tx, ctx, account)
    for purpose in Purpose:
        end_links(tx, ctx, account, purpose)
    for table in (model.recovery_code, model.totp, sign_on):
        tx.connection.execute(delete(table).where(table.c.account == account))
    tx.outbox.add(SendLetter(letter="identity.account_closed", account=account))
    return ended


def rename_account(tx: Transaction, account: str, name: str) -> None:
    """The name that the directory of the team's organisation has for a person."""
    update_row(tx, model.account, {"id": account}, {"name": clean_name(name)})
