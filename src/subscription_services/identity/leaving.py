"""What ends when an account is closed, by its owner or because a person leaves the team."""

from __future__ import annotations

from sqlalchemy import delete, update

from subscription_services.kernel.context import Context
from subscription_services.kernel.transaction import Transaction
from subscription_services.mail import SendLetter
from subscription_services.storage import update_row

from . import model
from .addresses import end_changes
from .fields import clean_name
from .model import Kind, Purpose, State
from .operations.sign_up import end_links
from .recoveries import stop_recoveries
from .sessions import end_challenges, end_factors, end_sessions
from .sign_on_model import sign_on


def close_for_good(tx: Transaction, ctx: Context, account: str, kind: Kind, reason: str) -> int | None:
    """End sessions, half-finished sign-ins, links, password, second factors, single sign-on and whatever waits; the
    address is free again. Returns how many sessions were open; None when it is no open account of this kind."""
    open_one = update(model.account).where(
        model.account.c.id == account, model.account.c.kind == kind, model.account.c.state != State.CLOSED
    )
    values = {"state": State.CLOSED, "email_index": None, "closed_at": ctx.now, "verifier": None}
    if tx.connection.execute(open_one.values(values)).rowcount != 1:
        return None
    ended = end_sessions(tx, ctx, account, reason)
    end_challenges(tx, ctx, account)
    for purpose in Purpose:
        end_links(tx, ctx, account, purpose)
    end_factors(tx, account)
    end_changes(tx, ctx, account)
    stop_recoveries(tx, ctx, account, "account closed")
    tx.connection.execute(delete(sign_on).where(sign_on.c.account == account))
    tx.outbox.add(SendLetter(letter="identity.account_closed", account=account))
    return ended


def close_team_account(tx: Transaction, ctx: Context, account: str) -> int | None:
    """The same for a person who leaves the team."""
    return close_for_good(tx, ctx, account, Kind.TEAM, "left the team")


def rename_account(tx: Transaction, account: str, name: str) -> None:
    """The name that the directory of the team's organisation has for a person."""
    update_row(tx, model.account, {"id": account}, {"name": clean_name(name)})
