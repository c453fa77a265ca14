"""A lock on somebody else's tries never keeps the owner out: a letter makes their browser one that is known."""

from __future__ import annotations

import msgspec

from subscription_services.identity import model
from subscription_services.identity.errors import LinkInvalid
from subscription_services.identity.fields import Email, Token
from subscription_services.identity.known import LETTERS_AN_HOUR, new_device
from subscription_services.identity.model import Purpose, State
from subscription_services.identity.queries import account_by_id
from subscription_services.kernel.context import Context
from subscription_services.kernel.operations import Change, Limit, Public, operation
from subscription_services.kernel.transaction import Transaction
from subscription_services.storage import open_row

from .sign_up import Accepted, use_link, write_to


class AskUnlock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: Email


class Unlock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    token: Token


class Unlocked(msgspec.Struct, frozen=True):
    """`device` is for the next sign-in of this browser: its tries are counted apart from everybody else's."""

    id: str
    device: str


@operation(
    "identity.ask_unlock", by=[Public("whoever is locked out cannot sign in")],
    limits=[Limit(20, 3600, "address"), LETTERS_AN_HOUR, Limit(2000, 3600, "all")],
)  # fmt: skip
def ask_unlock(tx: Transaction, ctx: Context, request: AskUnlock) -> Change[Accepted]:
    """Send a link that lifts the lock; answer and work are the same for any address."""
    return write_to(tx, request.email, State.ACTIVE, "identity.unlock")


@operation(
    "identity.unlock", by=[Public("the link proves who may")], idempotent=False, limits=[Limit(60, 3600, "address")]
)
def unlock(tx: Transaction, ctx: Context, request: Unlock) -> Change[Unlocked]:
    """Make this browser one that the account knows; the password is still needed."""
    identifier = use_link(tx, ctx, request.token, Purpose.UNLOCK)
    row = account_by_id(tx, identifier)
    if row is None or row.state != State.ACTIVE:
        raise LinkInvalid()
    email = open_row(tx, model.account, row)["email"]
    return Change(None, Unlocked(identifier, new_device(tx.keys, ctx.random, email, now=ctx.now)), subject=identifier)
