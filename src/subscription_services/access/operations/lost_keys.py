"""Putting keys back where the key store is lost: nothing can be served then, so two people agree at the terminal.

Where the present store opens, `keys.restore` takes the approval of anything that takes two people. Where it does not,
no page can be shown and no passkey can sign. What stands in for that: the second person signs in at the same terminal,
with password and second factor, and everything that makes them independent is held against them here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec import Meta

from subscription_services.access import accounts
from subscription_services.access.errors import NotIndependent
from subscription_services.access.independence import can_decide, eligible, why_not
from subscription_services.access.letter_parts import SECURITY_CONTACT
from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import ApprovalNeeded, Refusal
from subscription_services.kernel.needs import recent_sign_in
from subscription_services.kernel.operations import Change, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.ledger import queries as ledger
from subscription_services.mail import SendLetter

from .people import Id

KEEPERS = (Role.SECURITY, Role.OPERATIONS, Role.ADMINISTRATOR)
IN_TIME = timedelta(hours=1)
SERVED = frozenset({"api", "page"})
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class AgreeToRestore(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`digest` is the SHA-256 of the copy's file, in hexadecimal; `account` whom one agrees with."""

    digest: Digest
    account: Id


class RestoreLostKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`agreed_by` is empty where there is nobody else who could have agreed."""

    digest: Digest
    made_at: datetime
    agreed_by: Annotated[str, Meta(max_length=48)] = ""


@operation("access.agree_to_restore", by=KEEPERS, needs=[recent_sign_in])
def agree_to_restore(tx: Transaction, ctx: Context, request: AgreeToRestore) -> Change[AgreeToRestore]:
    """Agree, at the terminal, that somebody else puts this copy of the wrapped keys in the place of a lost store."""
    _check_terminal(ctx)
    _check_independent(tx, ctx, request.account, ctx.actor.id)
    return Change(None, request, object=request.digest, details={"with": request.account})


@operation("access.restore_lost_keys", by=KEEPERS, needs=[recent_sign_in])
def restore_lost_keys(tx: Transaction, ctx: Context, request: RestoreLostKeys) -> Change[RestoreLostKeys]:
    """Allow, at the terminal, a copy of the wrapped keys to take the place of a store that does not open any more."""
    _check_terminal(ctx)
    if request.agreed_by:
        _check_independent(tx, ctx, ctx.actor.id, request.agreed_by)
        _check_agreed(tx, ctx, request)
    else:
        if eligible(tx, KEEPERS, ctx.actor.id, (), ctx.now):
            raise ApprovalNeeded("Somebody else could agree: a restore takes two people.")
        # there is no service that could wait: everybody learns of it as soon as there is one
        for account in (*(person.id for person in accounts.team(tx) if person.state == "active"), SECURITY_CONTACT):
            tx.outbox.add(SendLetter(letter="access.restored_alone", account=account, values={"by": ctx.actor.id}))
    details = {"made_at": request.made_at.isoformat(), "agreed_by": request.agreed_by}
    return Change(None, request, object=request.digest, details=details)


def _check_terminal(ctx: Context) -> None:
    """It is for where nothing is running: over the API or a page it could only be a way around the approval."""
    if ctx.origin.channel in SERVED:
        raise Refusal("This is for `subs keys restore` at the terminal of the keys.")


def _check_independent(tx: ReadTransaction, ctx: Context, first: str, second: str) -> None:
    found = accounts.people(tx, [second])
    if not found or not can_decide(tx, KEEPERS, found[0], ctx.now):
        raise Refusal()
    if objection := why_not(tx, first, found[0]):
        raise NotIndependent(objection)


def _check_agreed(tx: ReadTransaction, ctx: Context, request: RestoreLostKeys) -> None:
    """That the other agreed to this copy within the hour, and that this was not used before. Raises ApprovalNeeded."""
    agreed = ledger.Search(
        actor=request.agreed_by, action=agree_to_restore.name, object=request.digest, outcome="success",
        since=ctx.now - IN_TIME,
    )  # fmt: skip
    times = [
        item.event.at for item in ledger.search(tx.connection, agreed, limit=ledger.LARGEST_PAGE).found
        if item.event.details.get("with") == ctx.actor.id
    ]  # fmt: skip
    if not times:
        raise ApprovalNeeded()
    used = ledger.Search(action="access.restore_lost_keys", object=request.digest, outcome="success", since=max(times))
    if ledger.search(tx.connection, used, limit=1).found:
        raise ApprovalNeeded()
