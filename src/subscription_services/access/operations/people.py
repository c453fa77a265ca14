"""The team: the first administrators, invitations, roles given and ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from subscription_services.access import accounts, catalogue, model, policy, queries
from subscription_services.access.authority import HouseAuthority
from subscription_services.access.errors import (
    AlreadyBootstrapped,
    GrantEnded,
    NotATeamMember,
    NothingToConfirm,
    NotIndependent,
    NotToOneself,
    RoleHeld,
)
from subscription_services.access.independence import eligible, why_not
from subscription_services.access.movers import moves
from subscription_services.kernel import authorise
from subscription_services.kernel.actors import Role, ServiceAccount, Subscriber, TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import Refusal, SecondFactorNeeded
from subscription_services.kernel.events import Detail
from subscription_services.kernel.needs import approvals, recent_sign_in
from subscription_services.kernel.operations import Change, Limit, Seen, SystemOnly, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.mail import SendLetter
from subscription_services.storage.rows import insert_row

Email = Annotated[str, Meta(min_length=3, max_length=254)]
Name = Annotated[str, Meta(min_length=1, max_length=120)]
Reason = Annotated[str, Meta(min_length=3, max_length=500)]
Id = Annotated[str, Meta(min_length=1, max_length=48)]
GrantDays = Annotated[int, Meta(ge=1, le=366)]
MOST_FIRST = 5


class FirstPerson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: Email
    name: Name


class Bootstrap(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everybody who is an administrator from the start. Two or more can approve for each other from the first day."""

    people: Annotated[list[FirstPerson], Meta(min_length=1, max_length=MOST_FIRST)]


class Enrolment(msgspec.Struct, frozen=True):
    """`token` is the secret of the enrolment link; it is shown once and not kept."""

    account: str
    token: str


class FirstPeople(msgspec.Struct, frozen=True):
    """In the order of the request."""

    people: list[Enrolment]


class Invite(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    email: Email
    name: Name


class Invited(msgspec.Struct, frozen=True):
    account: str


class GrantRole(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`days` is how long the role is held; without it until somebody ends it."""

    account: Id
    role: Role
    reason: Reason
    days: GrantDays | None = None


class EndGrant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id
    reason: Reason


class ConfirmRole(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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
def bootstrap(tx: Transaction, ctx: Context, request: Bootstrap) -> Change[FirstPeople]:
    """Make the first administrators, once ever. The answer holds the secrets of their enrolment links."""
    if tx.connection.execute(select(model.bootstrap.c.place)).first() is not None:
        raise AlreadyBootstrapped()
    try:
        tx.connection.execute(insert(model.bootstrap), {"place": 1, "at": ctx.now})
    except IntegrityError as error:
        raise AlreadyBootstrapped() from error
    made = []
    for person in request.people:
        account = accounts.create(tx, ctx, person.email, person.name)
        _insert_grant(tx, ctx, account, Role.ADMINISTRATOR, "One of the first administrators.", None)
        made.append(Enrolment(account, accounts.enrolment_token(tx, ctx, account)))
    first, *others = [item.account for item in made]
    details: dict[str, Detail] = {"role": Role.ADMINISTRATOR.value, "others": others}
    return Change(None, FirstPeople(made), object=first, subject=first, details=details)


@operation("access.invite", by=[Role.ADMINISTRATOR], needs=[recent_sign_in], limits=[Limit(60, 3600, "actor")])
def invite(tx: Transaction, ctx: Context, request: Invite) -> Change[Invited]:
    """Make an account for a new team member, without any role yet, and write them the enrolment letter."""
    account = accounts.create(tx, ctx, request.email, request.name)
    accounts.send_enrolment(tx, account)
    return Change(None, Invited(account), object=account, subject=account)


def _receiver(tx: ReadTransaction, ctx: Context, request: GrantRole) -> str:
    """Who is to hold the role, refused before anybody is asked to approve it. Raises NotToOneself."""
    policy.check_grant(ctx.actor.id, request.account)
    return request.account


def _as_they_stand(tx: ReadTransaction, ctx: Context, request: GrantRole) -> bytes:
    """The account and what it holds now: whatever is approved gives a role to somebody who holds exactly this.

    Raises NotATeamMember, RoleHeld."""
    found = accounts.people(tx, [request.account])
    if not found or not found[0].open or not found[0].team:
        raise NotATeamMember()
    held = queries.held_by(tx, request.account, ctx.now)
    if request.role in {item.role for item in held}:
        raise RoleHeld()
    holds = [[item.id, item.role, item.ends_at] for item in held]
    return msgspec.json.encode([request.account, queries.ended_of(tx, request.account), holds])


def _holder(tx: ReadTransaction, ctx: Context, request: ConfirmRole) -> str:
    """Raises NotFound."""
    return str(queries.grant_row(tx, request.id).account)


@operation(
    "access.grant_role", by=[Role.ADMINISTRATOR], needs=[recent_sign_in, approvals(1)],
    limits=[Limit(60, 3600, "actor")], subject=_receiver, concerns=_as_they_stand,
)  # fmt: skip
def grant_role(tx: Transaction, ctx: Context, request: GrantRole) -> Change[queries.Grant]:
    """Give a team member a role.

    It holds until it is ended, or for a number of days. Nobody gives one to themselves."""
    _end_lapsed(tx, ctx, request.account, request.role)
    made = _insert_grant(tx, ctx, request.account, request.role, request.reason, request.days)
    tx.outbox.add(SendLetter(letter="access.role_given", account=made.account, values={"grant": made.id}))
    return _granted(made, moves(tx, ctx, made))


@operation("access.confirm_role", by=[Role.ADMINISTRATOR], needs=[recent_sign_in], subject=_holder)
def confirm_role(tx: Transaction, ctx: Context, request: ConfirmRole) -> Change[queries.Grant]:
    """Confirm that somebody who got another role keeps this one. Nobody confirms their own."""
    row = tx.connection.execute(select(model.grant).where(model.grant.c.id == request.id).with_for_update()).one()
    before = queries.open_grant(tx, row)
    if row.ended_at is not None or (row.ends_at is not None and row.ends_at <= ctx.now):
        raise GrantEnded()
    if row.moved_at is None:
        raise NothingToConfirm()
    (me,) = accounts.people(tx, [ctx.actor.id])
    if me.id == row.account:
        raise NotToOneself("Nobody confirms their own role. Ask another administrator.")
    if objection := why_not(tx, row.account, me):
        raise NotIndependent(objection)
    kept = update(model.grant).where(model.grant.c.id == row.id)
    tx.connection.execute(kept.values(ends_at=row.ends_before, ends_before=None, moved_at=None))
    tx.outbox.add(SendLetter(letter="access.role_confirmed", account=row.account, values={"grant": row.id}))
    after = msgspec.structs.replace(before, ends_at=row.ends_before, moved_at=None)
    details = {"role": before.role.value, "account": before.account}
    return Change(before, after, object=before.id, subject=before.account, details=details,
                  personal={"reason": request.reason})  # fmt: skip


@operation("access.end_grant", by=[Role.ADMINISTRATOR], needs=[recent_sign_in])
def end_grant(tx: Transaction, ctx: Context, request: EndGrant) -> Change[queries.Grant]:
    """End a role at once, in every open session. The last administrator stays."""
    administrators = queries.lock_standing_administrators(tx)
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
    held = next((person.grants for person in found.people if person.id == ctx.actor.id), [])
    if Role.ADMINISTRATOR in {item.role for item in held}:
        others = eligible(tx, [Role.ADMINISTRATOR], ctx.actor.id, (), ctx.now)
        found = msgspec.structs.replace(found, others=len(others))
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
        ends_at=None if days is None else ctx.now + timedelta(days=days), ended_at=None, reason=reason,
    )  # fmt: skip
    tx.keys.ensure_subject(account)
    try:
        insert_row(tx, model.grant, {**msgspec.structs.asdict(made), "role": role.value})
    except IntegrityError as error:
        raise RoleHeld() from error
    return made


def _granted(grant: queries.Grant, moved: list[str]) -> Change[queries.Grant]:
    details: dict[str, Detail] = {"role": grant.role.value, "account": grant.account}
    if moved:
        details["lapse_unless_confirmed"] = moved
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
