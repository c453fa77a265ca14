"""Asking a passkey to sign and taking its answer, inside an operation's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select, update

from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.transaction import ReadTransaction, Transaction

from . import model
from .configured import relying_party
from .errors import PasskeyCopied, WrongPasskey
from .model import Ceremony
from .passkeys import SECONDS, Answer, Asserted, Known, read_answer, verify_assertion
from .tokens import digest

_KEPT = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Passkey:
    """A passkey that signed rightly just now, and whose it is."""

    id: str
    account: str
    asserted: Asserted


@dataclass(frozen=True, slots=True)
class Refused:
    """An answer that is not accepted: what to tell, and whose passkey it would have been, for the log alone."""

    error: DomainError
    passkey: str = ""
    account: str = ""


def new_challenge(tx: Transaction, ctx: Context, ceremony: Ceremony, account: str = "", held_by: str = "") -> bytes:
    """256 random bits for one ceremony; only their digest is kept, with whom and what they are for."""
    tx.connection.execute(delete(model.passkey_challenge).where(model.passkey_challenge.c.expires_at < ctx.now - _KEPT))
    challenge = ctx.random(32)
    values = {
        "id": ctx.ids.new("pkc"), "digest": _digest(challenge), "ceremony": ceremony, "account": account or None,
        "held_by": held_by or None, "expires_at": ctx.now + timedelta(seconds=SECONDS),
    }  # fmt: skip
    tx.connection.execute(model.passkey_challenge.insert().values(values))
    return challenge


def use_challenge(
    tx: Transaction, ctx: Context, answer: Answer, ceremony: Ceremony, account: str = "", held_by: str = ""
) -> bool:  # fmt: skip
    """Use up the challenge that an answer signs; of two uses at once one fails. Whatever is wrong, it is gone."""
    mine = model.passkey_challenge.c
    used = update(model.passkey_challenge).where(mine.digest == _digest(answer.challenge), mine.used_at.is_(None))
    row = tx.connection.execute(used.values(used_at=ctx.now).returning(model.passkey_challenge)).one_or_none()
    if row is None or row.expires_at <= ctx.now:
        return False
    return (row.ceremony, row.account or "", row.held_by or "") == (ceremony, account, held_by)


def use_passkey(
    tx: Transaction, ctx: Context, credential: str, ceremony: Ceremony, *, account: str = "", held_by: str = "",
    unlocked: bool,
) -> Passkey | Refused:  # fmt: skip
    """The passkey that answered a challenge of ours; without `account` the answer says itself whose it is.

    Its counter, and that it was used, are written down. A refusal keeps what was written: the challenge is used up.
    """
    try:
        answer = read_answer(credential)
    except WrongPasskey as error:
        return Refused(error)
    fresh = use_challenge(tx, ctx, answer, ceremony, account, held_by)
    row = tx.connection.execute(
        select(model.passkey).where(model.passkey.c.credential_id == answer.credential_id).with_for_update()
    ).one_or_none()
    if row is None:
        return Refused(WrongPasskey())
    refused = Refused(WrongPasskey(), row.id, row.account)
    owned = row.account == account if account else is_handle(tx, answer.user_handle, row.account)
    if not fresh or not owned:
        return refused
    if account and answer.user_handle and not is_handle(tx, answer.user_handle, account):
        return refused
    return record_use(tx, ctx, row, answer, answer.challenge, unlocked=unlocked)


def record_use(
    tx: Transaction, ctx: Context, row: Any, answer: Answer, challenge: bytes, *, unlocked: bool
) -> Passkey | Refused:  # fmt: skip
    """Hold an assertion over `challenge` against a locked row of identity_passkey, and write down its use."""
    known = Known(bytes(row.credential_id), bytes(row.public_key), row.sign_count, row.backup_eligible)
    try:
        found = verify_assertion(answer, challenge, known, relying_party(), unlocked=unlocked)
    except (WrongPasskey, PasskeyCopied) as error:
        return Refused(error, row.id, row.account)
    values = {"sign_count": found.sign_count, "backed_up": found.backed_up, "last_used_at": ctx.now}
    tx.connection.execute(update(model.passkey).where(model.passkey.c.id == row.id).values(values))
    return Passkey(row.id, row.account, found)


def passkeys_of(tx: ReadTransaction, account: str) -> Sequence[tuple[bytes, str]]:
    """Credential ids of an account, with the ways to reach them."""
    mine = model.passkey.c
    found = select(mine.credential_id, mine.transports).where(mine.account == account).order_by(mine.created_at)
    return [(bytes(row.credential_id), row.transports) for row in tx.connection.execute(found)]


def handle_of(tx: ReadTransaction, account: str) -> bytes:
    """What passkeys keep in place of the account: it tells nothing by itself (user handle)."""
    return tx.keys.mac(_HANDLE, account.encode())


def is_handle(tx: ReadTransaction, handle: bytes, account: str) -> bool:
    """Whether the handle stands for this account."""
    try:
        tx.keys.verify_mac(_HANDLE, account.encode(), handle)
    except DomainError:
        return False
    return True


_HANDLE = "identity.passkey-owner"


def _digest(challenge: bytes) -> bytes:
    return digest(challenge.hex())
