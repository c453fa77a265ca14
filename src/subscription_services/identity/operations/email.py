"""Another e-mail address: confirmed at both ends, and for some days taken back from the old one.

An address that has an account already is treated alike: same answer, same rows, same letters. Only the letter to it
says so and carries no link, so that nothing ever comes of it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, select, update

from subscription_services.identity import model
from subscription_services.identity.addresses import end_all_links, is_taken, lock_everybody_out, move_address
from subscription_services.identity.change_links import add_change_link, end_change_links, use_change_link
from subscription_services.identity.configured import rules
from subscription_services.identity.errors import AddressTaken, ChangeOver, LinkExpired, LinkInvalid, SameAddress
from subscription_services.identity.fields import Email, Id, Token, clean_email
from subscription_services.identity.model import State
from subscription_services.identity.queries import email_index
from subscription_services.identity.recoveries import end_open_change, lock_account, stop_recoveries
from subscription_services.identity.recovery_model import (
    LIVE,
    ChangeState,
    Lost,
    RecoveryState,
    Step,
    email_change,
    recovery,
)  # fmt: skip
from subscription_services.identity.sessions import end_challenges, end_sessions
from subscription_services.kernel.actors import Subscriber, TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.needs import recent_sign_in
from subscription_services.kernel.operations import Change, Declined, Limit, Public, Seen, SystemOnly, operation
from subscription_services.kernel.personal import Email as PersonalEmail
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.mail import SendLetter
from subscription_services.storage import insert_row, open_row

from .sign_up import IssuedLink

OWN = (Subscriber.own, TeamMember.own)
SIDES = (Step.CONFIRM_OLD, Step.CONFIRM_NEW)
_LINK = Public("the link in the letter proves who may")


class AskEmailChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: Email


class ShowEmailChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class StopEmailChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class ChangeLink(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`token` is what stands behind the equals sign of the link in the letter."""

    token: Token


class IssueChangeLink(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`about` is a change, a recovery, or for the step `recover` the account."""

    about: Id
    step: Step


class EmailChange(msgspec.Struct, frozen=True):
    """A change that waits. `old_confirmed` and `new_confirmed` say which letters were answered."""

    id: str
    email: PersonalEmail
    asked_at: datetime
    expires_at: datetime
    old_confirmed: bool = False
    new_confirmed: bool = False


class EmailState(msgspec.Struct, frozen=True):
    """`pending` waits for its letters; `revert_until` is set while the latest change can still be taken back."""

    pending: EmailChange | None
    revert_until: datetime | None


class EmailStopped(msgspec.Struct, frozen=True):
    id: str


class EmailConfirmed(msgspec.Struct, frozen=True):
    """`done` when both ends confirmed, and the new address holds."""

    id: str
    done: bool


class EmailReverted(msgspec.Struct, frozen=True):
    id: str


@operation(
    "identity.ask_email_change", by=OWN, needs=[recent_sign_in],
    limits=[Limit(6, 3600, "actor"), Limit(6, 86_400, "email"), Limit(2000, 3600, "all")],
)  # fmt: skip
def ask_email_change(tx: Transaction, ctx: Context, request: AskEmailChange) -> Change[EmailChange]:
    """Ask for another address; it holds once the letters to the old and to the new one are both confirmed."""
    row = lock_account(tx, ctx.actor.id)
    if row is None or row.state != State.ACTIVE:
        raise NotFound()
    wanted, old = clean_email(request.email), str(open_row(tx, model.account, row)["email"])
    if email_index(tx.keys, wanted) == row.email_index:
        raise SameAddress(fields={"email": SameAddress.message})
    end_open_change(tx, ctx, row.id, ChangeState.SUPERSEDED)
    _stop_recovery_of_address(tx, ctx, row.id, "another change was asked for")
    made = EmailChange(ctx.ids.new("eml"), wanted, ctx.now, ctx.now + rules().email_change)
    insert_row(
        tx, email_change,
        {
            "id": made.id, "account": row.id, "session": getattr(ctx.actor, "session", ""), "state": ChangeState.OPEN,
            "old_email": old, "new_email": wanted, "old_index": row.email_index, "asked_at": ctx.now,
            "expires_at": made.expires_at,
        },
    )  # fmt: skip
    for letter in ("identity.email_confirm_old", "identity.email_confirm_new"):
        tx.outbox.add(SendLetter(letter=letter, account=row.id, values={"change": made.id}))
    return Change(None, made)


@operation("identity.email_change", by=OWN)
def show_email_change(tx: ReadTransaction, ctx: Context, request: ShowEmailChange) -> Seen[EmailState]:
    """Whether another address waits for its letters, and how long the latest change can be taken back."""
    pending = open_change(tx, ctx, ctx.actor.id)
    until = select(email_change.c.revert_until).where(
        email_change.c.account == ctx.actor.id, email_change.c.state == ChangeState.EFFECTIVE,
        email_change.c.revert_until > ctx.now,
    ).order_by(email_change.c.revert_until.desc()).limit(1)  # fmt: skip
    shown = None
    if pending is not None:
        shown = EmailChange(
            pending.id, str(open_row(tx, email_change, pending)["new_email"]), pending.asked_at, pending.expires_at,
            pending.old_confirmed_at is not None, pending.new_confirmed_at is not None,
        )  # fmt: skip
    return Seen(EmailState(shown, tx.connection.execute(until).scalar()))


@operation("identity.stop_email_change", by=OWN)
def stop_email_change(tx: Transaction, ctx: Context, request: StopEmailChange) -> Change[EmailStopped]:
    """Stop one's own change of address while it waits."""
    lock_account(tx, ctx.actor.id)
    pending = open_change(tx, ctx, ctx.actor.id)
    if pending is None:
        raise NotFound("No change of your address waits.")
    _stop(tx, ctx, ctx.actor.id, "stopped by the owner")
    return Change(None, EmailStopped(pending.id))


@operation("identity.stop_email_change_by_link", by=[_LINK], idempotent=False, limits=[Limit(60, 3600, "address")])
def stop_email_change_by_link(tx: Transaction, ctx: Context, request: ChangeLink) -> Change[EmailStopped]:
    """Stop a change of address with the link of either letter."""
    linked = use_change_link(tx, ctx, request.token, SIDES)
    lock_account(tx, linked.account)
    pending = open_change(tx, ctx, linked.account)
    if pending is None or pending.id != linked.about:
        raise ChangeOver()
    _stop(tx, ctx, linked.account, "stopped with the letter")
    details = {"by": linked.step.value}
    return Change(None, EmailStopped(pending.id), subject=linked.account, details=details)


@operation("identity.confirm_email_change", by=[_LINK], idempotent=False, limits=[Limit(60, 3600, "address")])
def confirm_email_change(tx: Transaction, ctx: Context, request: ChangeLink) -> Change[EmailConfirmed] | Declined:
    """Confirm a change of address at one end; when both ends have, the new address holds."""
    linked = use_change_link(tx, ctx, request.token, SIDES)
    account = lock_account(tx, linked.account)
    pending = open_change(tx, ctx, linked.account)
    if account is None or account.state != State.ACTIVE or pending is None or pending.id != linked.about:
        raise ChangeOver()
    old = pending.old_confirmed_at or (ctx.now if linked.step == Step.CONFIRM_OLD else None)
    new = pending.new_confirmed_at or (ctx.now if linked.step == Step.CONFIRM_NEW else None)
    confirmed = {"old_confirmed_at": old, "new_confirmed_at": new}
    tx.connection.execute(update(email_change).where(email_change.c.id == pending.id).values(confirmed))
    details = {"by": linked.step.value, "done": bool(old and new)}
    if old and new and not take_effect(tx, ctx, pending):
        return Declined(AddressTaken(), object=pending.id, subject=linked.account, details=details)
    return Change(None, EmailConfirmed(pending.id, bool(old and new)), subject=linked.account, details=details)


@operation("identity.revert_email_change", by=[_LINK], idempotent=False, limits=[Limit(60, 3600, "address")])
def revert_email_change(tx: Transaction, ctx: Context, request: ChangeLink) -> Change[EmailReverted]:
    """Put the old address back with the link of its letter: everybody is signed out and a new password is due."""
    linked = use_change_link(tx, ctx, request.token, (Step.REVERT,))
    account = lock_account(tx, linked.account)
    row = tx.connection.execute(select(email_change).where(email_change.c.id == linked.about)).one()
    if account is None or account.state != State.ACTIVE:
        raise LinkInvalid()
    if row.state != ChangeState.EFFECTIVE:
        raise ChangeOver()
    if row.revert_until <= ctx.now:
        raise LinkExpired()
    take_back(tx, ctx, row)
    return Change(None, EmailReverted(row.id), subject=account.id, details={"security": True})


@operation(
    "identity.issue_change_link", by=[SystemOnly("letters mint their link when they are sent")], idempotent=False
)  # fmt: skip
def issue_change_link(tx: Transaction, ctx: Context, request: IssueChangeLink) -> Change[IssuedLink]:
    """Mint the link of a letter about a change or a recovery; only its digest is kept."""
    account, until = _due(tx, ctx, request)
    identifier, token = add_change_link(tx, ctx, account, request.about, request.step, until)
    return Change(None, IssuedLink(identifier, token), subject=account, details={"purpose": request.step.value})


def take_back(tx: Transaction, ctx: Context, row: Row[Any]) -> None:
    """Put the old address back, refuse the new one, and lock everybody out. Raises AddressTaken."""
    move_address(tx, ctx, row.account, str(open_row(tx, email_change, row)["old_email"]))
    mine = update(email_change).where(email_change.c.id == row.id)
    tx.connection.execute(mine.values(state=ChangeState.REVERTED, ended_at=ctx.now))
    # what was changed after it goes too, and with it the ways back to the address that is refused here
    later = update(email_change).where(
        email_change.c.account == row.account, email_change.c.asked_at > row.asked_at,
        email_change.c.state.in_((ChangeState.OPEN, ChangeState.EFFECTIVE)),
    )  # fmt: skip
    tx.connection.execute(later.values(state=ChangeState.SUPERSEDED, ended_at=ctx.now))
    end_open_change(tx, ctx, row.account, ChangeState.SUPERSEDED)
    end_change_links(tx, ctx, row.id)
    stop_recoveries(tx, ctx, row.account, "address taken back")
    lock_everybody_out(tx, ctx, row.account, "address taken back")
    tx.outbox.add(SendLetter(letter="identity.choose_password", account=row.account))


def open_change(tx: ReadTransaction, ctx: Context, account: str) -> Row[Any] | None:
    """The account's change that waits for confirmation and still may."""
    return tx.connection.execute(
        select(email_change).where(
            email_change.c.account == account, email_change.c.state == ChangeState.OPEN,
            email_change.c.expires_at > ctx.now,
        )
    ).one_or_none()  # fmt: skip


def take_effect(tx: Transaction, ctx: Context, row: Row[Any]) -> bool:
    """Move the account to the new address; False, and the change is over, where that got an account meanwhile."""
    mine = update(email_change).where(email_change.c.id == row.id)
    end_change_links(tx, ctx, row.id)
    wanted = str(open_row(tx, email_change, row)["new_email"])
    if is_taken(tx, ctx, wanted, row.account):
        tx.connection.execute(mine.values(state=ChangeState.TAKEN, ended_at=ctx.now))
        stop_recoveries(tx, ctx, row.account, "the address was taken")
        return False
    move_address(tx, ctx, row.account, wanted)
    values = {"state": ChangeState.EFFECTIVE, "took_effect_at": ctx.now, "revert_until": ctx.now + rules().email_revert}
    tx.connection.execute(mine.values(values))
    stop_recoveries(tx, ctx, row.account, "address changed")
    end_sessions(tx, ctx, row.account, "address changed", model.session.c.id != row.session)
    end_challenges(tx, ctx, row.account)
    end_all_links(tx, ctx, row.account)
    for letter in ("identity.email_changed", "identity.email_is_new"):
        tx.outbox.add(SendLetter(letter=letter, account=row.account, values={"change": row.id}))
    return True


def _stop(tx: Transaction, ctx: Context, account: str, reason: str) -> None:
    end_open_change(tx, ctx, account, ChangeState.STOPPED)
    _stop_recovery_of_address(tx, ctx, account, reason)


def _stop_recovery_of_address(tx: Transaction, ctx: Context, account: str, reason: str) -> None:
    stop_recoveries(tx, ctx, account, reason, Lost.ADDRESS)


def _due(tx: Transaction, ctx: Context, request: IssueChangeLink) -> tuple[str, datetime]:
    """Whose link it is and until when it works. Raises NotFound where there is no reason for it now."""
    if request.step == Step.RECOVER:
        return request.about, ctx.now + rules().reset
    table = email_change if request.step in (*SIDES, Step.REVERT) else recovery
    row = tx.connection.execute(select(table).where(table.c.id == request.about)).one_or_none()
    if row is None:
        raise NotFound()
    if request.step in SIDES and row.state == ChangeState.OPEN:
        return row.account, row.expires_at
    if request.step == Step.REVERT and row.state == ChangeState.EFFECTIVE:
        return row.account, row.revert_until
    if request.step == Step.STOP and row.state in (*LIVE, RecoveryState.USED):
        return row.account, row.expires_at
    if request.step == Step.FINISH and row.state == RecoveryState.APPROVED and row.wait_until <= ctx.now:
        return row.account, min(row.expires_at, ctx.now + rules().link)
    raise NotFound()
