"""Plain functions of changing an address: who holds it, what an address that can be taken back keeps, moving it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.exc import IntegrityError

from subscription_services.kernel.context import Context
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.storage import update_row

from . import model
from .errors import AddressTaken
from .model import State
from .queries import account_by_email, email_index
from .recovery_model import ChangeState, email_change
from .sessions import end_challenges, end_sessions


def kept_for(tx: ReadTransaction, ctx: Context, email: str) -> Row[Any] | None:
    """The newest change that can still put this address back; until then nobody else gets the address."""
    return tx.connection.execute(
        select(email_change)
        .where(
            email_change.c.old_index == email_index(tx.keys, email), email_change.c.state == ChangeState.EFFECTIVE,
            email_change.c.revert_until > ctx.now,
        )
        .order_by(email_change.c.asked_at.desc())
        .limit(1)
    ).first()  # fmt: skip


def is_taken(tx: ReadTransaction, ctx: Context, email: str, account: str) -> bool:
    """Whether somebody other than `account` has this address, or may have it back. One that somebody typed while
    signing up and never proved is nobody's."""
    holder = account_by_email(tx, email)
    if holder is not None and holder.id != account and holder.state != State.UNVERIFIED:
        return True
    kept = kept_for(tx, ctx, email)
    return kept is not None and kept.account != account


def move_address(tx: Transaction, ctx: Context, account: str, email: str) -> None:
    """Give the account this address, which it has proved. Raises AddressTaken where that of another came first."""
    holder = account_by_email(tx, email)
    if holder is not None and holder.id != account:
        if holder.state != State.UNVERIFIED:
            raise AddressTaken()
        gives_way = {"state": State.CLOSED, "email_index": None, "verifier": None, "closed_at": ctx.now}
        tx.connection.execute(update(model.account).where(model.account.c.id == holder.id).values(gives_way))
        end_all_links(tx, ctx, holder.id)
    values = {"email": email, "email_index": email_index(tx.keys, email), "verified_at": ctx.now}
    try:
        update_row(tx, model.account, {"id": account}, values)
    except IntegrityError as error:
        raise AddressTaken() from error


def end_changes(tx: Transaction, ctx: Context, account: str) -> None:
    """Every change of the account is over, and what it kept is free: the account is closed."""
    over = update(email_change).where(
        email_change.c.account == account, email_change.c.state.in_(("open", "effective"))
    )
    tx.connection.execute(over.values(state=ChangeState.SUPERSEDED, ended_at=ctx.now))


def end_all_links(tx: Transaction, ctx: Context, account: str) -> None:
    """Links that prove the address or set a password: they went to where the account was."""
    unused = update(model.link).where(model.link.c.account == account, model.link.c.used_at.is_(None))
    tx.connection.execute(unused.values(used_at=ctx.now))


def lock_everybody_out(tx: Transaction, ctx: Context, account: str, reason: str) -> None:
    """Somebody else was in: sessions, half-finished sign-ins and links end, and the password opens nothing more."""
    end_sessions(tx, ctx, account, reason)
    end_challenges(tx, ctx, account)
    end_all_links(tx, ctx, account)
    tx.connection.execute(update(model.account).where(model.account.c.id == account).values(verifier=None))
