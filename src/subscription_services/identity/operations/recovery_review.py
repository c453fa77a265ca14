"""The team's part of a recovery: look at the facts, approve or refuse with a reason, never for one's own account."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import Row, select, update

from subscription_services.identity import model
from subscription_services.identity.errors import OtherRecovery, OwnRecovery, RecoveryOver
from subscription_services.identity.fields import Id
from subscription_services.identity.model import Kind
from subscription_services.identity.queries import account_by_id
from subscription_services.identity.recoveries import end_recovery, lock_account
from subscription_services.identity.recovery_model import LIVE, RecoveryState, recovery
from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound, SubjectErased
from subscription_services.kernel.needs import recent_sign_in
from subscription_services.kernel.operations import Change, Seen, operation
from subscription_services.kernel.personal import Email, NetworkAddress, NotPersonal
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.mail import SendLetter
from subscription_services.storage import open_row, update_row

from .recovery import send_if_ready

Browser = Annotated[str, NotPersonal("says little of a person, and a reviewer compares it with earlier ones")]
SHOWN = 5
"""Sessions before the request that a reviewer sees."""


class ListRecoveries(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class ShowRecovery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id


class DecideRecovery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id
    reason: Annotated[str, Meta(min_length=3, max_length=500)]


class WaitingRecovery(msgspec.Struct, frozen=True):
    """`team` marks an account of the team, about which an administrator decides."""

    id: str
    account: str
    email: Email
    team: bool
    lost: str
    state: str
    asked_at: datetime
    wait_until: datetime


class WaitingRecoveries(msgspec.Struct, frozen=True):
    waiting: list[WaitingRecovery]


class EarlierSignIn(msgspec.Struct, frozen=True):
    at: datetime
    address: NetworkAddress
    browser: Browser
    second_factor: bool


class RecoveryFacts(msgspec.Struct, frozen=True):
    """What a reviewer sees; `sign_ins` are the account's last ones."""

    id: str
    account: str
    email: Email
    team: bool
    lost: str
    state: str
    proved_by: str
    asked_at: datetime
    wait_until: datetime
    expires_at: datetime
    address: NetworkAddress
    browser: Browser
    account_since: datetime
    sign_ins: list[EarlierSignIn]


class RecoveryDecided(msgspec.Struct, frozen=True):
    id: str
    state: str


def account_of_recovery(tx: ReadTransaction, ctx: Context, request: Any) -> str:
    """Whose recovery it is, or "" when there is none."""
    return str(tx.connection.execute(select(recovery.c.account).where(recovery.c.id == request.id)).scalar() or "")


@operation("identity.recoveries", by=[Role.SUPPORT, Role.SECURITY, Role.ADMINISTRATOR])
def recoveries(tx: ReadTransaction, ctx: Context, request: ListRecoveries) -> Seen[WaitingRecoveries]:
    """Recoveries that wait for a decision or for their time, the oldest first."""
    live = select(recovery).where(recovery.c.state.in_(LIVE), recovery.c.expires_at > ctx.now)
    found = []
    for row in tx.connection.execute(live.order_by(recovery.c.asked_at).limit(200)):
        email, team = _whose(tx, row.account)
        found.append(
            WaitingRecovery(row.id, row.account, email, team, row.lost, row.state, row.asked_at, row.wait_until)
        )  # fmt: skip
    return Seen(WaitingRecoveries(found), details={"waiting": len(found)})


@operation(
    "identity.recovery", by=[Role.SUPPORT, Role.SECURITY, Role.ADMINISTRATOR], needs=[recent_sign_in],
    subject=account_of_recovery,
)  # fmt: skip
def show_recovery(tx: ReadTransaction, ctx: Context, request: ShowRecovery) -> Seen[RecoveryFacts]:
    """The facts of one recovery: when and from where it was asked for, and the last sign-ins before it."""
    row = _one(tx, request.id)
    opened = open_row(tx, recovery, row)
    account = account_by_id(tx, row.account)
    assert account is not None
    email, team = _whose(tx, row.account)
    facts = RecoveryFacts(
        row.id, row.account, email, team, row.lost, row.state, row.proved_by, row.asked_at, row.wait_until,
        row.expires_at, opened["address"], opened["user_agent"], account.created_at,
        _sign_ins(tx, row),
    )  # fmt: skip
    return Seen(facts, object=row.id)


@operation(
    "identity.approve_recovery", by=[Role.SUPPORT, Role.SECURITY], needs=[recent_sign_in], subject=account_of_recovery
)  # fmt: skip
def approve_recovery(tx: Transaction, ctx: Context, request: DecideRecovery) -> Change[RecoveryDecided]:
    """Approve the recovery of a subscriber's account; it works only after the waiting time as well."""
    return _decide(tx, ctx, request, RecoveryState.APPROVED, Kind.SUBSCRIBER)


@operation(
    "identity.refuse_recovery", by=[Role.SUPPORT, Role.SECURITY], needs=[recent_sign_in], subject=account_of_recovery
)  # fmt: skip
def refuse_recovery(tx: Transaction, ctx: Context, request: DecideRecovery) -> Change[RecoveryDecided]:
    """Refuse the recovery of a subscriber's account, which ends it."""
    return _decide(tx, ctx, request, RecoveryState.REFUSED, Kind.SUBSCRIBER)


@operation(
    "identity.approve_team_recovery", by=[Role.ADMINISTRATOR], needs=[recent_sign_in], subject=account_of_recovery
)  # fmt: skip
def approve_team_recovery(tx: Transaction, ctx: Context, request: DecideRecovery) -> Change[RecoveryDecided]:
    """Approve the recovery of a team member's account: another administrator's decision."""
    return _decide(tx, ctx, request, RecoveryState.APPROVED, Kind.TEAM)


@operation(
    "identity.refuse_team_recovery", by=[Role.ADMINISTRATOR], needs=[recent_sign_in], subject=account_of_recovery
)  # fmt: skip
def refuse_team_recovery(tx: Transaction, ctx: Context, request: DecideRecovery) -> Change[RecoveryDecided]:
    """Refuse the recovery of a team member's account, which ends it."""
    return _decide(tx, ctx, request, RecoveryState.REFUSED, Kind.TEAM)


def _decide(
    tx: Transaction, ctx: Context, request: DecideRecovery, state: RecoveryState, kind: Kind
) -> Change[RecoveryDecided]:
    account = lock_account(tx, account_of_recovery(tx, ctx, request))
    if account is None:
        raise NotFound()
    if account.id == ctx.actor.id:
        raise OwnRecovery()
    if account.kind != kind:
        raise OtherRecovery()
    row = _one(tx, request.id)
    if row.state != RecoveryState.OPEN or row.expires_at <= ctx.now:
        raise RecoveryOver()
    tx.connection.execute(
        update(recovery).where(recovery.c.id == row.id).values(decided_at=ctx.now, decided_by=ctx.actor.id)
    )
    update_row(tx, recovery, {"id": row.id, "account": account.id}, {"reason": request.reason})
    if state == RecoveryState.REFUSED:
        end_recovery(tx, ctx, row.id, state, "refused")
        tx.outbox.add(SendLetter(letter="identity.recovery_refused", account=account.id))
    else:
        open_one = update(recovery).where(recovery.c.id == row.id, recovery.c.state == RecoveryState.OPEN)
        if tx.connection.execute(open_one.values(state=state)).rowcount != 1:
            raise RecoveryOver()
        send_if_ready(tx, ctx, _one(tx, row.id))
    details = {"security": True, "lost": row.lost, "early": row.wait_until > ctx.now}
    return Change(
        None, RecoveryDecided(row.id, state.value), subject=account.id, details=details,
        personal={"reason": request.reason},
    )  # fmt: skip


def _one(tx: ReadTransaction, identifier: str) -> Row[Any]:
    row = tx.connection.execute(select(recovery).where(recovery.c.id == identifier)).one_or_none()
    if row is None:
        raise NotFound()
    return row


def _whose(tx: ReadTransaction, account: str) -> tuple[str, bool]:
    row = account_by_id(tx, account)
    assert row is not None
    try:
        return str(open_row(tx, model.account, row)["email"]), row.kind == Kind.TEAM
    except SubjectErased:
        return "erased", row.kind == Kind.TEAM


def _sign_ins(tx: ReadTransaction, row: Row[Any]) -> list[EarlierSignIn]:
    lately = select(model.session).where(model.session.c.account == row.account)
    found = []
    for item in tx.connection.execute(lately.order_by(model.session.c.created_at.desc()).limit(SHOWN)):
        opened = open_row(tx, model.session, item)
        found.append(
            EarlierSignIn(item.created_at, opened["address"], opened["user_agent"], item.second_factor)
        )  # fmt: skip
    return found
