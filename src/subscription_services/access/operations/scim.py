"""What the directory of the team's organisation may do over SCIM 2.0 (RFC 7644), as a service account with scopes.

Each request is an operation like any other. The directory invites, renames and deactivates; roles are given by
administrators, and nobody comes back by it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from subscription_services.access import accounts, directory, leavers
from subscription_services.access.directory import DirectoryUser
from subscription_services.access.errors import AlreadyLeft, NoWayBack, UserNameFixed
from subscription_services.kernel.actors import ServiceAccount
from subscription_services.kernel.context import Context
from subscription_services.kernel.events import Detail
from subscription_services.kernel.operations import Change, Limit, Seen, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction

from .people import Email, Id, Name

MOST = 200
"""Users in one answer."""
LIMITS = [Limit(600, 60, "actor")]
ExternalId = Annotated[str, Meta(max_length=200)]


class ListUsers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`user_name` or `external_id` picks one; `start` counts from 1."""

    user_name: Annotated[str, Meta(max_length=254)] = ""
    external_id: ExternalId = ""
    start: Annotated[int, Meta(ge=1)] = 1
    count: Annotated[int, Meta(ge=0, le=MOST)] = 100


class Users(msgspec.Struct, frozen=True):
    """`total` are those that fit, of which `users` are a part."""

    users: list[DirectoryUser]
    total: int
    start: int


class OneUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id


class CreateUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    user_name: Email
    name: Name
    external_id: ExternalId = ""


class UpdateUser(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is None stays as it is; an empty `external_id` removes it."""

    id: Id
    active: bool | None = None
    user_name: Annotated[str, Meta(max_length=254)] | None = None
    name: Name | None = None
    external_id: ExternalId | None = None


@operation("access.scim_users", by=[ServiceAccount.scoped], limits=LIMITS)
def scim_users(tx: ReadTransaction, ctx: Context, request: ListUsers) -> Seen[Users]:
    """The people of the team as the directory sees them, or the one with this userName or externalId."""
    found = directory.users(tx, user_name=request.user_name, external_id=request.external_id)
    part = found[request.start - 1 : request.start - 1 + request.count]
    return Seen(Users(part, len(found), request.start), details={"people": len(part)})


@operation("access.scim_user", by=[ServiceAccount.scoped], limits=LIMITS)
def scim_user(tx: ReadTransaction, ctx: Context, request: OneUser) -> Seen[DirectoryUser]:
    """One person of the team as the directory sees them."""
    found = directory.one_user(tx, request.id)
    return Seen(found, object=found.id, subject=found.id)


@operation("access.scim_create_user", by=[ServiceAccount.scoped], limits=LIMITS)
def scim_create_user(tx: Transaction, ctx: Context, request: CreateUser) -> Change[DirectoryUser]:
    """Invite somebody to the team, without any role: those are given by administrators."""
    account = accounts.create(tx, ctx, request.user_name, request.name)
    if request.external_id:
        directory.set_external_id(tx, account, request.external_id)
    accounts.send_enrolment(tx, account)
    return Change(None, directory.one_user(tx, account), subject=account)


@operation("access.scim_update_user", by=[ServiceAccount.scoped], limits=LIMITS)
def scim_update_user(tx: Transaction, ctx: Context, request: UpdateUser) -> Change[DirectoryUser]:
    """Rename somebody, or deactivate them with all that this ends; nobody is activated again."""
    before = directory.one_user(tx, request.id)
    details: dict[str, Detail] = {}
    if request.active is False:
        # whatever else came along: that somebody leaves never waits for it
        try:
            details = {"deactivated": True, **leavers.deactivate(tx, ctx, before.id).details}
        except AlreadyLeft:
            details = {"deactivated": False}
        return Change(before, directory.one_user(tx, before.id), subject=before.id, details=details)
    if not before.active:
        if request.active:
            raise NoWayBack()
        return Change(before, before, subject=before.id)
    if request.user_name is not None and request.user_name.casefold() != before.user_name.casefold():
        raise UserNameFixed(fields={"userName": UserNameFixed.message})
    if request.name is not None:
        accounts.rename(tx, before.id, request.name)
    if request.external_id is not None:
        directory.set_external_id(tx, before.id, request.external_id)
    return Change(before, directory.one_user(tx, before.id), subject=before.id)


@operation("access.scim_delete_user", by=[ServiceAccount.scoped], limits=LIMITS)
def scim_delete_user(tx: Transaction, ctx: Context, request: OneUser) -> Change[DirectoryUser]:
    """Deactivate somebody with all that this ends, and show them to the directory no more."""
    before = directory.one_user(tx, request.id)
    details: dict[str, Detail] = {}
    if before.active:
        details = leavers.deactivate(tx, ctx, before.id).details
    after = directory.one_user(tx, before.id)
    directory.remove(tx, ctx, before.id)
    return Change(before, after, subject=before.id, details=details)
