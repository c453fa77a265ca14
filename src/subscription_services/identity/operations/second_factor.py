"""Second factors of an account; authenticator apps (TOTP, RFC 6238) and recovery codes."""

from __future__ import annotations

import base64
from datetime import datetime
from typing import Any

import msgspec
import pyotp
from sqlalchemy import Row, func, select

from subscription_services.identity import codes, factors, model
from subscription_services.identity.errors import NotStarted, WrongCode
from subscription_services.identity.fields import Code, FactorName, Id, clean_name
from subscription_services.identity.queries import contact_of, has_second_factor
from subscription_services.kernel.actors import Subscriber, TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.needs import recent_sign_in
from subscription_services.kernel.operations import Change, Declined, Limit, Seen, operation
from subscription_services.kernel.personal import FreeText
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.kernel.words import words
from subscription_services.mail import SendLetter
from subscription_services.storage import fetch, insert_row, open_row, update_row

ISSUER = "Subscription Services"
AUTHENTICATOR = "Authenticator app"
OWN = (Subscriber.own, TeamMember.own)


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class ConfirmTotp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`name` is what its owner calls the authenticator."""

    code: Code
    name: FactorName = AUTHENTICATOR


class RenameFactor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id
    name: FactorName


class RemoveFactor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id


class TotpSecret(msgspec.Struct, frozen=True):
    """`secret` in base32 for typing, `uri` (Key Uri Format) for the QR code. Secrets, shown while setting up."""

    id: str
    secret: str
    uri: str


class RecoveryCodes(msgspec.Struct, frozen=True):
    """`codes` are shown once; none where the account has some already. `token` is the session's where it changed."""

    id: str
    codes: list[str]
    token: str = ""


class Factor(msgspec.Struct, frozen=True):
    """`kind` is authenticator or passkey; `synced` says that its maker may copy a passkey to other devices."""

    id: str
    kind: str
    name: FreeText
    added_at: datetime
    last_used_at: datetime | None
    synced: bool = False


class SecondFactor(msgspec.Struct, frozen=True):
    """`pending`: an authenticator app waits for its first code."""

    on: bool
    since: datetime | None
    recovery_codes_left: int
    pending: bool
    factors: list[Factor]


class Removed(msgspec.Struct, frozen=True):
    """`on`: two-factor sign-in is still on."""

    id: str
    on: bool


class Renamed(msgspec.Struct, frozen=True):
    id: str


def owner_of_totp(tx: ReadTransaction, ctx: Context, request: RenameFactor | RemoveFactor) -> str:
    """The account that the authenticator belongs to."""
    return factors.owner_of(tx, model.totp, request.id)


@operation("identity.second_factor", by=OWN)
def second_factor(tx: ReadTransaction, ctx: Context, request: Nothing) -> Seen[SecondFactor]:
    """Whether two-factor sign-in is on, with which factors, and how many recovery codes are left."""
    apps = fetch(tx, model.totp, model.totp.c.account == ctx.actor.id, order_by=model.totp.c.created_at)
    keys = fetch(tx, model.passkey, model.passkey.c.account == ctx.actor.id, order_by=model.passkey.c.created_at)
    left = tx.connection.execute(
        select(func.count()).where(
            model.recovery_code.c.account == ctx.actor.id, model.recovery_code.c.used_at.is_(None)
        )
    ).scalar_one()
    found = [
        Factor(
            row["id"], "authenticator", row["name"] or AUTHENTICATOR, row["confirmed_at"],
            codes.used_at(row["last_step"]),
        )
        for row in apps if row["confirmed_at"] is not None
    ] + [
        Factor(row["id"], "passkey", row["name"], row["created_at"], row["last_used_at"], row["backup_eligible"])
        for row in keys
    ]  # fmt: skip
    since = min((item.added_at for item in found), default=None)
    pending = any(row["confirmed_at"] is None for row in apps)
    return Seen(SecondFactor(bool(found), since, left, pending, found))


@operation("identity.pending_totp", by=OWN, needs=[recent_sign_in])
def pending_totp(tx: ReadTransaction, ctx: Context, request: Nothing) -> Seen[TotpSecret]:
    """The secret that is being set up, until its first code is confirmed."""
    row = _pending(tx, ctx)
    if row is None:
        raise NotStarted()
    return Seen(_shown(tx, ctx, row.id, open_row(tx, model.totp, row)["secret"]), object=row.id)


@operation("identity.start_totp", by=OWN, needs=[recent_sign_in], idempotent=False)
def start_totp(tx: Transaction, ctx: Context, request: Nothing) -> Change[TotpSecret]:
    """Begin adding an authenticator app; asked again before it is confirmed, the same secret is shown."""
    factors.lock(tx, ctx)
    row = _pending(tx, ctx)
    if row is not None:
        return Change(None, _shown(tx, ctx, row.id, open_row(tx, model.totp, row)["secret"]))
    factors.check_room(tx, model.totp, ctx.actor.id)
    identifier = ctx.ids.new("tot")
    secret = _base32(ctx.random(20))
    insert_row(
        tx, model.totp,
        {"id": identifier, "account": ctx.actor.id, "secret": secret, "last_step": 0, "created_at": ctx.now},
    )  # fmt: skip
    return Change(None, _shown(tx, ctx, identifier, secret))


@operation("identity.confirm_totp", by=OWN, needs=[recent_sign_in], idempotent=False, limits=[Limit(20, 900, "actor")])
def confirm_totp(tx: Transaction, ctx: Context, request: ConfirmTotp) -> Change[RecoveryCodes] | Declined:
    """Add an authenticator app with its first code. With the first factor other sessions end, and the answer holds
    recovery codes, once."""
    factors.lock(tx, ctx)
    row = _pending(tx, ctx)
    if row is None:
        raise NotStarted()
    secret = open_row(tx, model.totp, row)["secret"]
    step = codes.matching_step(secret, request.code, ctx.now, row.last_step)
    if step is None:
        text = _why_wrong(secret, request.code, ctx.now)
        return Declined(WrongCode(text, fields={"code": text}), object=row.id)
    first = not has_second_factor(tx.connection, ctx.actor.id)
    name = clean_name(request.name) or AUTHENTICATOR
    update_row(tx, model.totp, row._asdict(), {"confirmed_at": ctx.now, "last_step": step, "name": name})
    made, token = factors.turn_on(tx, ctx, first=first)
    return Change(None, RecoveryCodes(row.id, made, token), details={"first": first})


@operation("identity.new_recovery_codes", by=OWN, needs=[recent_sign_in], idempotent=False)
def new_recovery_codes(tx: Transaction, ctx: Context, request: Nothing) -> Change[RecoveryCodes]:
    """Replace all recovery codes; the old ones stop working."""
    if not has_second_factor(tx.connection, ctx.actor.id):
        raise NotStarted()
    tx.outbox.add(SendLetter(letter="identity.new_recovery_codes", account=ctx.actor.id))
    return Change(None, RecoveryCodes(ctx.actor.id, codes.replace_recovery_codes(tx, ctx, ctx.actor.id)))


@operation("identity.rename_totp", by=OWN, subject=owner_of_totp)
def rename_totp(tx: Transaction, ctx: Context, request: RenameFactor) -> Change[Renamed]:
    """Give an authenticator app another name."""
    factors.rename(tx, ctx, model.totp, request.id, request.name)
    return Change(None, Renamed(request.id), object=request.id)


@operation("identity.remove_totp", by=OWN, needs=[recent_sign_in], subject=owner_of_totp)
def remove_totp(tx: Transaction, ctx: Context, request: RemoveFactor) -> Change[Removed]:
    """Remove an authenticator app. The last factor turns two-factor sign-in off; team members keep one."""
    off = factors.remove(tx, ctx, model.totp, request.id)
    return Change(None, Removed(request.id, not off), object=request.id, details={"off": off})


def _pending(tx: ReadTransaction, ctx: Context) -> Row[Any] | None:
    mine = select(model.totp).where(model.totp.c.account == ctx.actor.id, model.totp.c.confirmed_at.is_(None))
    return tx.connection.execute(mine).one_or_none()


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
