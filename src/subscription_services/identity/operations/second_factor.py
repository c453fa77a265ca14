"""The second factor: TOTP (RFC 6238) and recovery codes."""

from __future__ import annotations

import base64
from datetime import datetime

import msgspec
import pyotp
from sqlalchemy import delete, func, select, update

from subscription_services.identity import codes, model
from subscription_services.identity.errors import AlreadyOn, Compulsory, NotStarted, WrongCode
from subscription_services.identity.fields import Code
from subscription_services.identity.queries import contact_of
from subscription_services.identity.sessions import end_sessions, renew_session
from subscription_services.kernel.actors import Subscriber, TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.needs import recent_sign_in
from subscription_services.kernel.operations import Change, Declined, Limit, Seen, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.kernel.words import words
from subscription_services.mail import SendLetter
from subscription_services.storage import insert_row, open_row

ISSUER = "Subscription Services"
OWN = (Subscriber.own, TeamMember.own)


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class ConfirmTotp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: Code


class TotpSecret(msgspec.Struct, frozen=True):
    """`secret` in base32 for typing, `uri` (Key Uri Format) for the QR code. Secrets, shown while setting up."""

    id: str
    secret: str
    uri: str


class RecoveryCodes(msgspec.Struct, frozen=True):
    """`codes` are shown once. `token` is the session's new token where it changed."""

    id: str
    codes: list[str]
    token: str = ""


class SecondFactor(msgspec.Struct, frozen=True):
    on: bool
    since: datetime | None
    recovery_codes_left: int
    pending: bool


class Removed(msgspec.Struct, frozen=True):
    id: str


@operation("identity.second_factor", by=OWN)
def second_factor(tx: ReadTransaction, ctx: Context, request: Nothing) -> Seen[SecondFactor]:
    """Whether two-factor sign-in is on, and how many recovery codes are left."""
    row = tx.connection.execute(select(model.totp).where(model.totp.c.account == ctx.actor.id)).one_or_none()
    left = tx.connection.execute(
        select(func.count()).where(
            model.recovery_code.c.account == ctx.actor.id, model.recovery_code.c.used_at.is_(None)
        )
    ).scalar_one()
    on = row is not None and row.confirmed_at is not None
    return Seen(SecondFactor(on, row.confirmed_at if row else None, left, row is not None and not on))


@operation("identity.pending_totp", by=OWN, needs=[recent_sign_in])
def pending_totp(tx: ReadTransaction, ctx: Context, request: Nothing) -> Seen[TotpSecret]:
    """The secret that is being set up, until its first code is confirmed."""
    row = tx.connection.execute(select(model.totp).where(model.totp.c.account == ctx.actor.id)).one_or_none()
    if row is None:
        raise NotStarted()
    if row.confirmed_at is not None:
        raise AlreadyOn()
    return Seen(_shown(tx, ctx, row.id, open_row(tx, model.totp, row)["secret"]), object=row.id)


@operation("identity.start_totp", by=OWN, needs=[recent_sign_in], idempotent=False)
def start_totp(tx: Transaction, ctx: Context, request: Nothing) -> Change[TotpSecret]:
    """Begin setting up two-factor sign-in; asked again before it is confirmed, the same secret is shown."""
    row = tx.connection.execute(select(model.totp).where(model.totp.c.account == ctx.actor.id)).one_or_none()
    if row is not None and row.confirmed_at is not None:
        raise AlreadyOn()
    if row is not None:
        return Change(None, _shown(tx, ctx, row.id, open_row(tx, model.totp, row)["secret"]))
    identifier = ctx.ids.new("tot")
    secret = _base32(ctx.random(20))
    insert_row(
        tx, model.totp,
        {"id": identifier, "account": ctx.actor.id, "secret": secret, "last_step": 0, "created_at": ctx.now},
    )  # fmt: skip
    return Change(None, _shown(tx, ctx, identifier, secret))


@operation("identity.confirm_totp", by=OWN, needs=[recent_sign_in], idempotent=False, limits=[Limit(20, 900, "actor")])
def confirm_totp(tx: Transaction, ctx: Context, request: ConfirmTotp) -> Change[RecoveryCodes] | Declined:
    """Turn two-factor sign-in on with a first code; answers with recovery codes, once. Other sessions end."""
    row = tx.connection.execute(
        select(model.totp).where(model.totp.c.account == ctx.actor.id).with_for_update()
    ).one_or_none()
    if row is None:
        raise NotStarted()
    if row.confirmed_at is not None:
        raise AlreadyOn()
    secret = open_row(tx, model.totp, row)["secret"]
    step = codes.matching_step(secret, request.code, ctx.now, row.last_step)
    if step is None:
        text = _why_wrong(secret, request.code, ctx.now)
        return Declined(WrongCode(text, fields={"code": text}), object=row.id)
    values = {"confirmed_at": ctx.now, "last_step": step}
    tx.connection.execute(update(model.totp).where(model.totp.c.id == row.id).values(values))
    session = getattr(ctx.actor, "session", "")
    end_sessions(tx, ctx, ctx.actor.id, "second factor", model.session.c.id != session)
    token = renew_session(tx, ctx, session, second_factor=True)
    tx.outbox.add(SendLetter(letter="identity.second_factor_on", account=ctx.actor.id))
    return Change(None, RecoveryCodes(row.id, codes.replace_recovery_codes(tx, ctx, ctx.actor.id), token))


@operation("identity.new_recovery_codes", by=OWN, needs=[recent_sign_in], idempotent=False)
def new_recovery_codes(tx: Transaction, ctx: Context, request: Nothing) -> Change[RecoveryCodes]:
    """Replace all recovery codes; the old ones stop working."""
    identifier = _confirmed(tx, ctx)
    return Change(None, RecoveryCodes(identifier, codes.replace_recovery_codes(tx, ctx, ctx.actor.id)))


@operation("identity.remove_totp", by=OWN, needs=[recent_sign_in])
def remove_totp(tx: Transaction, ctx: Context, request: Nothing) -> Change[Removed]:
    """Turn two-factor sign-in off; team members may not."""
    if isinstance(ctx.actor, TeamMember):
        raise Compulsory()
    identifier = _confirmed(tx, ctx)
    tx.connection.execute(delete(model.recovery_code).where(model.recovery_code.c.account == ctx.actor.id))
    tx.connection.execute(delete(model.totp).where(model.totp.c.id == identifier))
    tx.outbox.add(SendLetter(letter="identity.second_factor_off", account=ctx.actor.id))
    return Change(None, Removed(identifier))


def _confirmed(tx: Transaction, ctx: Context) -> str:
    found = select(model.totp.c.id).where(
        model.totp.c.account == ctx.actor.id, model.totp.c.confirmed_at.is_not(None)
    )  # fmt: skip
    identifier = tx.connection.execute(found).scalar()
    if identifier is None:
        raise NotStarted()
    return str(identifier)


def _why_wrong(secret: str, code: str, now: datetime) -> str:
    """In words; a clock that is off is the usual reason."""
    off = codes.hours_off(secret, code, now)
    if off is None:
        return words("That code is not right. Type the newest one that your app shows for this account.")
    minutes = round(abs(off).total_seconds() / 60)
    time = f"{now:%H:%M}"
    if off.total_seconds() > 0:
        return words(
            "Your device's clock is about %(minutes)s minutes ahead: here it is %(time)s UTC. Let the device set its "
            "time automatically, then type the next code.", minutes=minutes, time=time,
        )  # fmt: skip
    return words(
        "Your device's clock is about %(minutes)s minutes behind: here it is %(time)s UTC. Let the device set its "
        "time automatically, then type the next code.", minutes=minutes, time=time,
    )  # fmt: skip


def _shown(tx: ReadTransaction, ctx: Context, identifier: str, secret: str) -> TotpSecret:
    contact = contact_of(tx, ctx.actor.id)
    if contact is None:
        raise NotFound()
    return TotpSecret(identifier, secret, pyotp.TOTP(secret).provisioning_uri(name=contact[0], issuer_name=ISSUER))


def _base32(raw: bytes) -> str:
    return base64.b32encode(raw).decode()
