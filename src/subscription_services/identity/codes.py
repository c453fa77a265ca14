"""Codes of the second factor: TOTP (RFC 6238, 6 digits, 30 seconds, SHA-1) and recovery codes. Each works once."""

from __future__ import annotations

import hmac
from datetime import UTC, datetime, timedelta

import pyotp
from sqlalchemy import delete, select, update

from subscription_services.kernel.context import Context
from subscription_services.kernel.ports import Keys
from subscription_services.kernel.transaction import Transaction
from subscription_services.storage import open_row

from . import model
from .tokens import new_recovery_code, plain_recovery_code

STEP = 30
HOUR = 3600 // STEP
DRIFT = 1
"""Time steps that a device's clock may be off, either way."""
RECOVERY_CODES = 10


def matching_step(secret: str, code: str, now: datetime, after: int) -> int | None:
    """The time step whose code this is, newer than `after` and within the drift; None when there is none."""
    plain = "".join(code.split())
    if len(plain) != 6 or not plain.isascii() or not plain.isdigit():
        return None
    present = int(now.timestamp()) // STEP
    totp = pyotp.TOTP(secret)
    for step in range(max(0, present - DRIFT), present + DRIFT + 1):
        if hmac.compare_digest(totp.at(step * STEP), plain) and step > after:
            return step
    return None


def hours_off(secret: str, code: str, now: datetime) -> timedelta | None:
    """How far a device's clock must be off to show this code: up to an hour and a half, or by whole hours as with a
    wrong time zone; None when neither fits.

    Only for the person who is setting the secret up: to a stranger it would tell codes of the future.
    """
    present = int(now.timestamp()) // STEP
    totp = pyotp.TOTP(secret)
    plain = "".join(code.split())
    near = range(DRIFT + 1, 90 * 60 // STEP + 1)
    zones = (hour * HOUR + off for hour in range(2, 15) for off in range(-DRIFT, DRIFT + 1))
    for distance in (*near, *zones):
        for step in (present + distance, max(0, present - distance)):
            if hmac.compare_digest(totp.at(step * STEP).encode(), plain.encode("utf-8", "replace")):
                return timedelta(seconds=(step - present) * STEP)
    return None


def used_at(step: int) -> datetime | None:
    """When the newest code was shown, to half a minute."""
    return datetime.fromtimestamp(step * STEP, UTC) if step else None


def use_code(tx: Transaction, ctx: Context, account: str, code: str) -> str | None:
    """Use up a code of the account; says which kind it was, or None when it is not right."""
    mine = select(model.totp).where(model.totp.c.account == account, model.totp.c.confirmed_at.is_not(None))
    for row in tx.connection.execute(mine.order_by(model.totp.c.id).with_for_update()).all():
        step = matching_step(open_row(tx, model.totp, row)["secret"], code, ctx.now, row.last_step)
        if step is not None:
            # conditional, so that of two requests at once only one uses the code
            used = update(model.totp).where(model.totp.c.id == row.id, model.totp.c.last_step < step)
            return "totp" if tx.connection.execute(used.values(last_step=step)).rowcount == 1 else None
    mac = recovery_mac(tx.keys, account, code)
    spent = update(model.recovery_code).where(
        model.recovery_code.c.account == account, model.recovery_code.c.mac == mac,
        model.recovery_code.c.used_at.is_(None),
    )  # fmt: skip
    return "recovery code" if tx.connection.execute(spent.values(used_at=ctx.now)).rowcount == 1 else None


def replace_recovery_codes(tx: Transaction, ctx: Context, account: str) -> list[str]:
    """New recovery codes in place of the old ones; they are not kept, only a keyed digest of each."""
    tx.connection.execute(delete(model.recovery_code).where(model.recovery_code.c.account == account))
    made = [new_recovery_code(ctx.random) for _ in range(RECOVERY_CODES)]
    for code in made:
        values = {"id": ctx.ids.new("rec"), "account": account, "mac": recovery_mac(tx.keys, account, code)}
        tx.connection.execute(model.recovery_code.insert().values(values))
    return made


def recovery_mac(keys: Keys, account: str, code: str) -> bytes:
    return keys.mac("identity.recovery", f"{account}\n{plain_recovery_code(code)}".encode())
