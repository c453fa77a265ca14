"""Plain functions of account recovery that several operations share."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, select, update

from subscription_services.kernel.context import Context
from subscription_services.kernel.transaction import ReadTransaction, Transaction

from . import model
from .change_links import end_change_links
from .recovery_model import LIVE, ChangeState, Lost, RecoveryState, email_change, recovery


def lock_account(tx: Transaction, identifier: str) -> Row[Any] | None:
    """The account's row, held until the commit: whatever takes days goes one step at a time."""
    return tx.connection.execute(
        select(model.account).where(model.account.c.id == identifier).with_for_update()
    ).one_or_none()


def live_recovery(tx: ReadTransaction, account: str) -> Row[Any] | None:
    """The account's recovery that is not over."""
    return tx.connection.execute(
        select(recovery).where(recovery.c.account == account, recovery.c.state.in_(LIVE))
    ).one_or_none()


def stop_recoveries(tx: Transaction, ctx: Context, account: str, reason: str, *lost: Lost) -> bool:
    """End what is under way, with its links and the change that it was for. Returns whether there was something."""
    row = live_recovery(tx, account)
    if row is None or (lost and row.lost not in lost):
        return False
    if not end_recovery(tx, ctx, row.id, RecoveryState.STOPPED, reason):
        return False
    if row.change is not None:
        end_open_change(tx, ctx, account, ChangeState.STOPPED)
    return True


def found_a_factor(tx: Transaction, ctx: Context, account: str) -> None:
    """Somebody just proved themselves with a second factor: nothing was lost, so a recovery ends by itself."""
    stop_recoveries(tx, ctx, account, "signed in with a factor", Lost.FACTORS)


def end_recovery(tx: Transaction, ctx: Context, identifier: str, state: RecoveryState, reason: str) -> bool:
    """End a live recovery; of two ends at once the first counts."""
    live = update(recovery).where(recovery.c.id == identifier, recovery.c.state.in_(LIVE))
    ended = tx.connection.execute(live.values(state=state, ended_at=ctx.now, end_reason=reason)).rowcount == 1
    if ended and state != RecoveryState.USED:
        end_change_links(tx, ctx, identifier)
    return ended


def end_open_change(tx: Transaction, ctx: Context, account: str, state: ChangeState) -> bool:
    """End the account's change of address that waits for confirmation."""
    waiting = select(email_change.c.id).where(email_change.c.account == account, email_change.c.state == "open")
    identifier = tx.connection.execute(waiting).scalar()
    if identifier is None:
        return False
    ended = update(email_change).where(email_change.c.id == identifier, email_change.c.state == "open")
    tx.connection.execute(ended.values(state=state, ended_at=ctx.now))
    end_change_links(tx, ctx, identifier)
    return True
