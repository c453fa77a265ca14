"""The team: the first administrator, invitations, roles given and ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from subscription_services.access import accounts, catalogue, model, policy, queries
from subscription_services.access.authority import HouseAuthority
from subscription_services.access.errors import AlreadyBootstrapped, GrantEnded, NotATeamMember, RoleHeld
from subscription_services.access.review_policy import stands_until
from subscription_services.kernel import authorise
from subscription_services.kernel.actors import Role, ServiceAccount, Subscriber, TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import Refusal, SecondFactorNeeded
from subscription_services.kernel.needs import recent_sign_in
from subscription_services.kernel.operations import Change, Seen, SystemOnly, operation
from subscription_services.kernel.personal import FieldKind, Personal
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.storage.rows import insert_row

Email = Annotated[str, Meta(min_length=3, max_length=254), Personal(FieldKind.COLLEAGUE_EMAIL)]
Name = Annotated[str, Meta(min_length=1, max_length=120), Personal(FieldKind.COLLEAGUE_NAME)]
Reason = Annotated[str, Meta(min_length=3, max_length=500), Personal(FieldKind.TEXT)]
Id = Annotated[str, Meta(min_length=1, max_length=48)]
GrantDays = Annotated[int, Meta(ge=1, le=90)]


class Bootstrap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: Email
    name: Name


class Enrolment(msgspec.Struct, frozen=True):
    """`token` is the secret of the enrolment link; it is shown once and not kept."""

    account: str
    token: str


class Invite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: Email
    name: Name
    role: Role
    reason: Reason
    days: GrantDays | None = None


class GrantRole(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`days` is how long the role is held; without it for as long as reviews keep it."""

    account: Id
    role: Role
    reason: Reason
    days: GrantDays | None = None


class EndGrant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id
    reason: Reason


class People(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class MyPermissions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Permitted(msgspec.Struct, frozen=True):
    operation: str
    summary: str


class Permissions(msgspec.Struct, frozen=True):
    """What the asker may do now, needs such as a recent sign-in aside."""

    actor: str
    roles: list[Role]
    operations: list[Permitted]


@operation(
    "access.bootstrap",
    by=[SystemOnly("somebody has to be the first; works once ever")],
    idempotent=False,
)
def bootstrap(tx: Transaction, ctx: Context, request: Bootstrap) -> Change[Enrolment]:
    """Make the first administrator, once ever. The answer is the secret of their enrolment link."""
    if tx.connection.execute(select(model.bootstrap.c.place)).first() is not None:
        raise AlreadyBootstrapped()
    try:
        tx.connection.execute(insert(model.bootstrap), {"place": 1, "at": ctx.now})
    except IntegrityError as error:
        raise AlreadyBootstrapped() from error
    account = accounts.create(tx, ctx, request.email, request.name)
    _insert_grant(tx, ctx, account, Role.ADMINISTRATOR, "The first administrator.", None)
    made = Enrolment(account, accounts.enrolment_token(tx, ctx, account))
    return Change(None, made, object=account, subject=account, details={"role": Role.ADMINISTRATOR.value})


@operation("access.invite", by=[Role.ADMINISTRATOR], needs=[recent_sign_in])
def invite(tx: Transaction, ctx: Context, request: Invite) -> Change[queries.Grant]:
    """Make an account for a new team member with one role and write them the enrolment letter."""
    account = accounts.create(tx, ctx, request.email, request.name)
    grant = _insert_grant(tx, ctx, account, request.role, request.reason, request.days)
    accounts.send_enrolment(tx, account)
    return _granted(grant)


@operation("access.grant_role", by=[Role.ADMINISTRATOR], needs=[recent_sign_in])
def grant_role(tx: Transaction, ctx: Context, request: GrantRole) -> Change[queries.Grant]:
    """Give a team member a role, for as long as reviews keep it or for some days. Nobody gives one to themselves."""
    policy.check_grant(ctx.actor.id, request.account)
    found = accounts.people(tx, [request.account])
    if not found or not found[0].open or not found[0].team:
        raise NotATeamMember()
    _end_lapsed(tx, ctx, request.account, request.role)
    return _granted(_insert_grant(tx, ctx, request.account, request.role, request.reason, request.days))


@operation("access.end_grant", by=[Role.ADMINISTRATOR], needs=[recent_sign_in])
def end_grant(tx: Transaction, ctx: Context, request: EndGrant) -> Change[queries.Grant]:
    """End a role at once, in every open session. The last administrator stays."""
    administrators = queries.lock_standing_administrators(tx, ctx.now)
    before = queries.one_grant(tx, request.id)
    policy.check_stays_managed(before.role, before.account, administrators)
    statement = update(model.grant).where(model.grant.c.id == before.id, model.grant.c.ended_at.is_(None))
    ended = tx.connection.execute(statement.values(ended_at=ctx.now, ended_by=ctx.actor.id)).rowcount
    if not ended:
        raise GrantEnded()
    after = msgspec.structs.replace(before, ended_at=ctx.now)
    details = {"role": before.role.value, "account": before.account}
    return Change(before, after, subject=before.account, details=details, personal={"reason": request.reason})


@operation("access.people", by=[Role.ADMINISTRATOR, Role.AUDITOR, Role.SECURITY])
def people(tx: ReadTransaction, ctx: Context, request: People) -> Seen[queries.Team]:
    """Everybody on the team, with the roles they hold now and who gave them."""
    found = queries.team(tx, ctx.now)
    return Seen(found, details={"people": len(found.people)})


@operation("access.my_permissions", by=[Subscriber.own, TeamMember.own, ServiceAccount.scoped])
def my_permissions(tx: ReadTransaction, ctx: Context, request: MyPermissions) -> Seen[Permissions]:
    """What the asker may do: their roles and every operation that these or their account allow."""
    standing = HouseAuthority(tx.keys).standing(tx.connection, ctx.actor, ctx.now)
    allowed = []
    for item in catalogue.operations():
        try:
            authorise.permit(item, ctx, standing)
        except SecondFactorNeeded:
            pass  # theirs as soon as two-factor sign-in is on
        except Refusal:
            continue
        allowed.append(Permitted(item.name, item.summary))
    allowed.sort(key=lambda item: item.operation)
    return Seen(Permissions(ctx.actor.id, sorted(standing.roles), allowed))


def _insert_grant(
    tx: Transaction, ctx: Context, account: str, role: Role, reason: str, days: int | None
) -> queries.Grant:
    made = queries.Grant(
        id=ctx.ids.new("grt"), account=account, role=role, granted_by=ctx.actor.id, granted_at=ctx.now,
        ends_at=stands_until(role, ctx.now) if days is None else ctx.now + timedelta(days=days), ended_at=None,
        reason=reason, standing=days is None,
    )  # fmt: skip
    tx.keys.ensure_subject(account)
    try:
        insert_row(tx, model.grant, {**msgspec.structs.asdict(made), "role": role.value})
    except IntegrityError as error:
        raise RoleHeld() from error
    return made


def _granted(grant: queries.Grant) -> Change[queries.Grant]:
    details = {"role": grant.role.value, "account": grant.account}
    return Change(None, grant, subject=grant.account, details=details)


def _end_lapsed(tx: Transaction, ctx: Context, account: str, role: Role) -> None:
    """A grant whose time is up makes room for a new one."""
    lapsed = update(model.grant).where(
        model.grant.c.account == account,
        model.grant.c.role == role,
        model.grant.c.ended_at.is_(None),
        model.grant.c.ends_at <= ctx.now,
    )
    tx.connection.execute(lapsed.values(ended_at=model.grant.c.ends_at, ended_by="time"))
