"""Showing what is masked: one person, named fields, a reason that the person can read."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from subscription_services.access import accounts
from subscription_services.access.authority import HouseAuthority
from subscription_services.access.errors import NothingToUnmask, UnmaskingRefused
from subscription_services.access.unmasking import FIELDS, Unmasked, may_unmask, values_of
from subscription_services.kernel.actors import Role, ServiceAccount
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.needs import recent_sign_in
from subscription_services.kernel.operations import Change, Limit, operation
from subscription_services.kernel.personal import FieldKind, Personal
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.kernel.words import table, words
from subscription_services.mail import SendLetter

AN_HOUR = 30
"""As many people as somebody helps in an hour; who reads out a list is stopped, and stands in the log."""
KIND_WORDS = table({FieldKind.EMAIL: "e-mail", FieldKind.NAME: "name", FieldKind.ADDRESS: "billing address"})


class Unmask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`account` is a subscriber's. The person reads `reason` among what happened with their account."""

    account: Annotated[str, Meta(min_length=1, max_length=48)]
    reason: Annotated[str, Meta(min_length=3, max_length=300), Personal(FieldKind.TEXT)]
    email: bool = False
    name: bool = False
    address: bool = False


def named_account(tx: ReadTransaction, ctx: Context, request: Any) -> str:
    """The account that the request names."""
    return str(request.account)


@operation(
    "access.unmask", by=[Role.SUPPORT, Role.BILLING, Role.SECURITY, ServiceAccount.scoped], needs=[recent_sign_in],
    limits=[Limit(AN_HOUR, 3600, "actor")], subject=named_account, idempotent=False,
)  # fmt: skip
def unmask(tx: Transaction, ctx: Context, request: Unmask) -> Change[Unmasked]:
    """Show masked fields of one subscriber, once, with a reason; the person is told and can read it."""
    wanted = [name for name in FIELDS if getattr(request, name)]
    if not wanted:
        raise NothingToUnmask(fields={"email": NothingToUnmask.message})
    standing = HouseAuthority(tx.keys).standing(tx.connection, ctx.actor, ctx.now)
    allowed, task = may_unmask(standing, ctx.actor, unmask.name, request.account)
    if refused := [FIELDS[name] for name in wanted if FIELDS[name] not in allowed]:
        raise UnmaskingRefused(words("Your role does not need this: %(what)s.", what=KIND_WORDS[refused[0]]))
    found = [person for person in accounts.people(tx, [request.account]) if not person.team]
    if not found:
        raise NotFound()
    shown = values_of(tx, found[0], wanted)
    day = f"{ctx.now:%Y-%m-%d}"
    tx.outbox.add(SendLetter(letter="access.unmasked", account=found[0].id), key=f"unmasked:{found[0].id}:{day}")
    details: dict[str, Any] = {"shown": [FIELDS[name].value for name in wanted]}
    if task:
        details["task"] = task
    return Change(
        None, shown, object=found[0].id, subject=found[0].id, details=details,
        personal={"reason": request.reason}, for_subject=True,
    )  # fmt: skip
