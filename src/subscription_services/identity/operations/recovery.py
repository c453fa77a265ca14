"""When every second factor is lost, or the old address: a request that waits for days, told to the owner each day,
approved by somebody of the team, and stopped by whoever can show that nothing is lost."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Row, func, select, update

from subscription_services.identity import model
from subscription_services.identity.addresses import lock_everybody_out
from subscription_services.identity.change_links import use_change_link
from subscription_services.identity.configured import rules
from subscription_services.identity.errors import (
    AddressTaken,
    ChallengeEnded,
    ConfirmNewFirst,
    NothingLost,
    RecoveryOver,
    TooEarly,
)
from subscription_services.identity.fields import Email, Id, Token
from subscription_services.identity.model import State
from subscription_services.identity.queries import has_second_factor
from subscription_services.identity.recoveries import end_recovery, live_recovery, lock_account, stop_recoveries
from subscription_services.identity.recovery_model import (
    LIVE,
    ChangeState,
    Lost,
    RecoveryState,
    Step,
    email_change,
    recovery,
)  # fmt: skip
from subscription_services.identity.sessions import end_challenges, end_factors, end_sessions
from subscription_services.identity.tokens import digest
from subscription_services.kernel.actors import Subscriber, TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound, TooMany
from subscription_services.kernel.needs import recent_sign_in
from subscription_services.kernel.operations import Change, Declined, Limit, Public, SystemOnly, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.mail import SendLetter
from subscription_services.storage import insert_row

from .email import ChangeLink, open_change, take_back, take_effect
from .sign_up import Accepted, write_to

OWN = (Subscriber.own, TeamMember.own)
DAY = timedelta(days=1)
LAPSE = timedelta(days=14)
"""After the waiting time an undecided or unused request is over."""
REQUESTS, WITHIN = 3, timedelta(days=7)
"""Requests of one account: whoever has the password must not be able to send its owner letters for ever."""
_LINK = Public("the link in the letter proves who may")


class AskRecovery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`challenge` comes from the answer to the right password."""

    challenge: Token


class AskRecoveryLetter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: Email


class AskAddressRecovery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class StopRecovery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class KeepRecovery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id


class Recovering(msgspec.Struct, frozen=True):
    """A request that was opened; nothing happens before `wait_until`."""

    id: str
    wait_until: datetime


class RecoveryStopped(msgspec.Struct, frozen=True):
    """`too_late` when it had been used: then everybody was signed out and a new password is due."""

    id: str
    too_late: bool = False


class RecoveryUsed(msgspec.Struct, frozen=True):
    """`lost` is what it was for: factors or address."""

    id: str
    lost: str


class RecoveryKept(msgspec.Struct, frozen=True):
    id: str


@operation(
    "identity.ask_recovery", by=[Public("the challenge proves that the password was right")], idempotent=False,
    limits=[Limit(20, 3600, "address"), Limit(2000, 3600, "all")],
)  # fmt: skip
def ask_recovery(tx: Transaction, ctx: Context, request: AskRecovery) -> Change[Recovering] | Declined:
    """Ask to get in without the second factor, after the right password; days pass and the team has to approve."""
    row = tx.connection.execute(
        select(model.challenge).where(model.challenge.c.digest == digest(request.challenge))
    ).one_or_none()
    if row is None or row.used_at is not None or row.expires_at <= ctx.now:
        return Declined(ChallengeEnded(), subject=row.account if row else "", object=row.id if row else "")
    return _open(tx, ctx, row.account, "password")


@operation(
    "identity.ask_recovery_letter", by=[Public("who lost the second factor cannot sign in")],
    limits=[Limit(20, 3600, "address"), Limit(5, 3600, "email"), Limit(2000, 3600, "all")],
)  # fmt: skip
def ask_recovery_letter(tx: Transaction, ctx: Context, request: AskRecoveryLetter) -> Change[Accepted]:
    """Send a proved address the link that opens a recovery; answer and work are the same for any address."""
    return write_to(tx, request.email, State.ACTIVE, "identity.recover")


@operation("identity.open_recovery", by=[_LINK], idempotent=False, limits=[Limit(60, 3600, "address")])
def open_recovery(tx: Transaction, ctx: Context, request: ChangeLink) -> Change[Recovering] | Declined:
    """Ask to get in without the second factor, with the link of the letter."""
    linked = use_change_link(tx, ctx, request.token, (Step.RECOVER,))
    return _open(tx, ctx, linked.account, "letter")


@operation(
    "identity.ask_address_recovery", by=OWN, needs=[recent_sign_in], idempotent=False,
    limits=[Limit(6, 3600, "actor")],
)  # fmt: skip
def ask_address_recovery(tx: Transaction, ctx: Context, request: AskAddressRecovery) -> Change[Recovering] | Declined:
    """Change one's address though the old one can no longer be read; days pass and the team has to approve."""
    lock_account(tx, ctx.actor.id)
    pending = open_change(tx, ctx, ctx.actor.id)
    if pending is None:
        raise NotFound("No change of your address waits.")
    if pending.new_confirmed_at is None:
        raise ConfirmNewFirst()
    return _open(tx, ctx, ctx.actor.id, "session", pending.id)


@operation("identity.stop_recovery", by=OWN)
def stop_recovery(tx: Transaction, ctx: Context, request: StopRecovery) -> Change[RecoveryStopped]:
    """Stop a recovery of one's own account: who is signed in has lost nothing."""
    row = live_recovery(tx, ctx.actor.id)
    if row is None or not stop_recoveries(tx, ctx, ctx.actor.id, "stopped by the owner"):
        raise NotFound("No request waits. Nothing is changed.")
    return Change(None, RecoveryStopped(row.id), details={"security": True, "lost": row.lost})


@operation("identity.stop_recovery_by_link", by=[_LINK], idempotent=False, limits=[Limit(60, 3600, "address")])
def stop_recovery_by_link(tx: Transaction, ctx: Context, request: ChangeLink) -> Change[RecoveryStopped]:
    """ "This was not me": stop a recovery with the link of a notice; after its use everybody is locked out."""
    linked = use_change_link(tx, ctx, request.token, (Step.STOP,))
    account = lock_account(tx, linked.account)
    row = _recovery(tx, linked.about)
    if account is None or account.state != State.ACTIVE or row.state not in (*LIVE, RecoveryState.USED):
        raise RecoveryOver()
    late = row.state == RecoveryState.USED
    if late and row.lost == Lost.ADDRESS:
        moved = tx.connection.execute(select(email_change).where(email_change.c.id == row.change)).one()
        if moved.state != ChangeState.EFFECTIVE or moved.revert_until <= ctx.now:
            raise RecoveryOver()
        take_back(tx, ctx, moved)
    elif late:
        lock_everybody_out(tx, ctx, account.id, "recovery was not the owner's")
        tx.outbox.add(SendLetter(letter="identity.choose_password", account=account.id))
    elif not stop_recoveries(tx, ctx, account.id, "not the owner's"):
        raise RecoveryOver()
    details = {"security": True, "lost": row.lost, "too_late": late}
    return Change(None, RecoveryStopped(row.id, late), subject=account.id, details=details)


@operation("identity.finish_recovery", by=[_LINK], idempotent=False, limits=[Limit(60, 3600, "address")])
def finish_recovery(tx: Transaction, ctx: Context, request: ChangeLink) -> Change[RecoveryUsed] | Declined:
    """Use an approved recovery after its waiting time: what was lost goes, sessions end, the password stays."""
    linked = use_change_link(tx, ctx, request.token, (Step.FINISH,))
    account = lock_account(tx, linked.account)
    row = _recovery(tx, linked.about)
    if account is None or account.state != State.ACTIVE or row.state not in LIVE or row.expires_at <= ctx.now:
        raise RecoveryOver()
    if row.state != RecoveryState.APPROVED or row.wait_until > ctx.now:
        raise TooEarly()
    if not end_recovery(tx, ctx, row.id, RecoveryState.USED, "used"):
        raise RecoveryOver()
    details = {"lost": row.lost, "security": True}
    if row.lost == Lost.ADDRESS:
        pending = open_change(tx, ctx, account.id)
        if pending is None or pending.id != row.change:
            raise RecoveryOver()
        mine = update(email_change).where(email_change.c.id == pending.id)
        tx.connection.execute(mine.values(old_confirmed_at=ctx.now))
        if not take_effect(tx, ctx, pending):
            return Declined(AddressTaken(), object=row.id, subject=account.id, details=details)
    else:
        end_factors(tx, account.id)
        end_sessions(tx, ctx, account.id, "account recovered")
        end_challenges(tx, ctx, account.id)
        tx.outbox.add(SendLetter(letter="identity.factors_removed", account=account.id, values={"recovery": row.id}))
    return Change(None, RecoveryUsed(row.id, row.lost), subject=account.id, details=details)


@operation("identity.keep_recovery", by=[SystemOnly("a round looks after what waits")], idempotent=False)
def keep_recovery(tx: Transaction, ctx: Context, request: KeepRecovery) -> Change[RecoveryKept]:
    """Do what is due for one recovery: tell the owner again each day, send the last letter, end what took too long."""
    row = _recovery(tx, request.id)
    lock_account(tx, row.account)
    row, done = _recovery(tx, request.id), "nothing"
    if row.state in LIVE and row.expires_at <= ctx.now:
        end_recovery(tx, ctx, row.id, RecoveryState.LAPSED, "took too long")
        done = "lapsed"
    elif row.state in LIVE and row.noticed_at + DAY <= ctx.now:
        _notice(tx, row.account, row.id)
        send_if_ready(tx, ctx, row)
        tx.connection.execute(update(recovery).where(recovery.c.id == row.id).values(noticed_at=ctx.now))
        done = "told"
    return Change(None, RecoveryKept(row.id), subject=row.account, details={"done": done})


def send_if_ready(tx: Transaction, ctx: Context, row: Row[Any]) -> None:
    """The letter with the link that works, once the team approved and the waiting time is over."""
    if row.state == RecoveryState.APPROVED and row.wait_until <= ctx.now:
        tx.outbox.add(SendLetter(letter="identity.recovery_ready", account=row.account, values={"recovery": row.id}))


def _open(
    tx: Transaction, ctx: Context, account: str, proved_by: str, change: str | None = None
) -> Change[Recovering] | Declined:
    row = lock_account(tx, account)
    if row is None or row.state != State.ACTIVE:
        raise RecoveryOver()
    lost = Lost.FACTORS if change is None else Lost.ADDRESS
    if change is None and not has_second_factor(tx.connection, account):
        return Declined(NothingLost(), object=account, subject=account)
    live = live_recovery(tx, account)
    if live is not None and live.expires_at <= ctx.now:
        end_recovery(tx, ctx, live.id, RecoveryState.LAPSED, "took too long")
        live = None
    if live is not None and live.lost == lost:
        return Change(None, Recovering(live.id, live.wait_until), subject=account, details={"already": True})
    if live is not None or _asked_lately(tx, ctx, account) >= REQUESTS:
        return Declined(TooMany("Too many requests. Wait some days, or write to us."), object=account, subject=account)
    made = Recovering(ctx.ids.new("rcv"), ctx.now + rules().recovery)
    expires = made.wait_until + LAPSE
    insert_row(
        tx, recovery,
        {
            "id": made.id, "account": account, "lost": lost, "change": change, "proved_by": proved_by,
            "state": RecoveryState.OPEN, "address": ctx.origin.address, "user_agent": ctx.origin.user_agent,
            "asked_at": ctx.now, "wait_until": made.wait_until, "expires_at": expires, "noticed_at": ctx.now,
        },
    )  # fmt: skip
    if change is not None:
        waiting = update(email_change).where(email_change.c.id == change)
        tx.connection.execute(waiting.values(expires_at=expires))
    _notice(tx, account, made.id)
    details = {"security": True, "lost": lost.value, "proved_by": proved_by}
    return Change(None, made, subject=account, details=details)


def _asked_lately(tx: ReadTransaction, ctx: Context, account: str) -> int:
    lately = (recovery.c.account == account, recovery.c.asked_at > ctx.now - WITHIN)
    return int(tx.connection.execute(select(func.count()).select_from(recovery).where(*lately)).scalar_one())


def _notice(tx: Transaction, account: str, identifier: str) -> None:
    tx.outbox.add(SendLetter(letter="identity.recovery_notice", account=account, values={"recovery": identifier}))


def _recovery(tx: ReadTransaction, identifier: str) -> Row[Any]:
    row = tx.connection.execute(select(recovery).where(recovery.c.id == identifier)).one_or_none()
    if row is None:
        raise NotFound()
    return row


__all__ = [
    "AskAddressRecovery", "AskRecovery", "AskRecoveryLetter", "KeepRecovery", "Recovering", "RecoveryKept",
    "RecoveryStopped", "RecoveryUsed", "StopRecovery", "ask_address_recovery", "ask_recovery", "ask_recovery_letter",
    "finish_recovery", "keep_recovery", "open_recovery", "send_if_ready", "stop_recovery", "stop_recovery_by_link",
]  # fmt: skip
