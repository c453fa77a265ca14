"""A forgotten password: a link to the proved address, once and for a short time, and a new password with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from sqlalchemy import update

from subscription_services.identity import model, passwords
from subscription_services.identity.configured import rules
from subscription_services.identity.errors import LinkInvalid, LinkUsed
from subscription_services.identity.fields import Email, Secret, Token
from subscription_services.identity.known import LETTERS_AN_HOUR, new_device
from subscription_services.identity.model import Purpose, State
from subscription_services.identity.queries import account_by_id
from subscription_services.identity.sessions import end_challenges, end_sessions
from subscription_services.kernel.context import Context
from subscription_services.kernel.events import Detail
from subscription_services.kernel.operations import Change, Limit, Prepared, Public, operation
from subscription_services.kernel.transaction import Reading, Transaction
from subscription_services.mail import SendLetter
from subscription_services.storage import open_row

from .sign_up import Accepted, check_strength, end_links, look_at_link, use_link, write_to


class AskReset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: Email


class ResetPassword(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`token` is what stands behind the equals sign of the link in the letter."""

    token: Token
    password: Secret


class PasswordSet(msgspec.Struct, frozen=True):
    """`device` is for the next sign-in of this browser, which is one that the account knows from now on."""

    id: str
    device: str


@dataclass(frozen=True, slots=True)
class ChosenPassword:
    account: str
    verifier: bytes
    looked: Mapping[str, Detail]
    email: str


@operation(
    "identity.ask_reset", by=[Public("who forgot the password cannot sign in")],
    limits=[Limit(20, 3600, "address"), LETTERS_AN_HOUR, Limit(2000, 3600, "all")],
)  # fmt: skip
def ask_reset(tx: Transaction, ctx: Context, request: AskReset) -> Change[Accepted]:
    """Send a link for a new password to a proved address; answer and work are the same for any address."""
    return write_to(tx, request.email, State.ACTIVE, "identity.reset_password")


def hash_chosen(reading: Reading, ctx: Context, request: ResetPassword) -> ChosenPassword:
    """Refuse a link that would not work before any costly work. Raises LinkInvalid, ..., WeakPassword."""
    with reading() as tx:
        identifier = look_at_link(tx, ctx, request.token, Purpose.RESET)
        row = account_by_id(tx, identifier)
        if row is None or row.state != State.ACTIVE:
            raise LinkInvalid()
        opened = open_row(tx, model.account, row)
        pepper = tx.keys.secret("identity.password", 48)
    looked = check_strength(request.password, opened["name"], opened["email"])
    verifier = passwords.make_verifier(pepper, request.password, rules().cost)
    return ChosenPassword(identifier, verifier, looked, opened["email"])


@operation(
    "identity.reset_password", by=[Public("the link proves who may")], idempotent=False,
    prepare=Prepared(hash_chosen, "bcrypt"), limits=[Limit(60, 3600, "address")],
)  # fmt: skip
def reset_password(
    tx: Transaction, ctx: Context, request: ResetPassword, chosen: ChosenPassword
) -> Change[PasswordSet]:  # fmt: skip
    """Set a new password with the link of the letter; every session ends, the second factor stays."""
    identifier = use_link(tx, ctx, request.token, Purpose.RESET)
    values = {"verifier": chosen.verifier, "password_at": ctx.now}
    active = update(model.account).where(model.account.c.id == identifier, model.account.c.state == State.ACTIVE)
    if identifier != chosen.account or tx.connection.execute(active.values(values)).rowcount != 1:
        raise LinkUsed()
    end_links(tx, ctx, identifier, Purpose.RESET)
    end_sessions(tx, ctx, identifier, "password reset")
    end_challenges(tx, ctx, identifier)
    tx.outbox.add(SendLetter(letter="identity.password_changed", account=identifier))
    # whoever was held for stuffing, behind the address of others, gets in again from here
    device = new_device(tx.keys, ctx.random, chosen.email, now=ctx.now)
    return Change(None, PasswordSet(identifier, device), subject=identifier, details=chosen.looked)
