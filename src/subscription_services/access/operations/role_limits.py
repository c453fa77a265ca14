"""Roles made narrower here than code has them, and put back. Narrowing takes one person; widening takes two."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import select

from subscription_services.access import accounts, catalogue, role_limits
from subscription_services.access.errors import LimitRefused
from subscription_services.access.limit_model import role_limit
from subscription_services.access.model import grant
from subscription_services.access.queries import live
from subscription_services.kernel.actors import Role, ServiceAccount
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import SubjectErased
from subscription_services.kernel.events import Detail
from subscription_services.kernel.needs import approvals, recent_sign_in
from subscription_services.kernel.operations import Change, Seen, operation
from subscription_services.kernel.personal import ColleagueName, FreeText
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.kernel.words import words
from subscription_services.mail import SendLetter
from subscription_services.storage.rows import insert_row, open_row

from .people import Reason

Name = Annotated[str, Meta(min_length=3, max_length=120)]
Names = Annotated[list[Name], Meta(min_length=1, max_length=100)]


class NarrowRole(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`operations` are what the role may not do here any more; at once, or from `since` on."""

    role: Role
    operations: Names
    reason: Reason
    since: Annotated[datetime, Meta(tz=True)] | None = None


class WidenRole(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`operations` are what was taken from the role and is given back to it."""

    role: Role
    operations: Names
    reason: Reason


class ResetLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    reason: Reason


class ListLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class RoleLimit(msgspec.Struct, frozen=True):
    """Something that a role may not do here although code allows it, from `since` on."""

    id: str
    role: Role
    operation: str
    summary: str
    since: datetime
    made_by: str
    made_by_name: ColleagueName
    made_at: datetime
    reason: FreeText


class RoleLimits(msgspec.Struct, frozen=True):
    """`sound` is false where the rows are not as this service left them: then roles allow only what puts that right."""

    limits: list[RoleLimit]
    sound: bool


def _state(tx: ReadTransaction, ctx: Context, request: WidenRole | ResetLimits) -> bytes:
    """Approvals hold for the limits as they were when somebody asked."""
    live_rows = select(role_limit.c.id, role_limit.c.role, role_limit.c.operation).where(
        role_limit.c.ended_at.is_(None)
    )
    return msgspec.json.encode(sorted(map(list, tx.connection.execute(live_rows))))


@operation("access.narrow_role", by=[Role.ADMINISTRATOR], needs=[recent_sign_in])
def narrow_role(tx: Transaction, ctx: Context, request: NarrowRole) -> Change[RoleLimits]:
    """Take operations from a role, for everybody who holds it: at once or from a moment on. They are told by letter."""
    found = role_limits.check_sound(tx, ctx.now)
    names = sorted(set(request.operations))
    _check_narrowing(request, names, {(role, name) for _, role, name, _ in found.limits})
    since = max(request.since or ctx.now, ctx.now)
    tx.keys.ensure_subject(ctx.actor.id)
    for name in names:
        insert_row(
            tx, role_limit,
            {"id": ctx.ids.new("rlm"), "role": request.role.value, "operation": name, "since": since,
             "made_by": ctx.actor.id, "made_at": ctx.now, "reason": request.reason},
        )  # fmt: skip
    _tell(tx, ctx, "access.role_narrowed", request.role, names, since)
    return _changed(tx, ctx, {"role": request.role.value, "operations": names, "since": since.isoformat()}, request)


@operation("access.widen_role", by=[Role.ADMINISTRATOR], needs=[recent_sign_in, approvals(1)], concerns=_state)
def widen_role(tx: Transaction, ctx: Context, request: WidenRole) -> Change[RoleLimits]:
    """Give operations back to a role that code allows it and that were taken from it here."""
    found = role_limits.check_sound(tx, ctx.now)
    wanted = set(request.operations)
    taken = {name: key for key, role, name, _ in found.limits if role is request.role}
    if missing := sorted(wanted - set(taken)):
        raise LimitRefused(fields={"operations": words("%(name)s is not taken from this role.", name=missing[0])})
    role_limits.end_rows(tx, ctx.now, ctx.actor.id, [taken[name] for name in wanted])
    _tell(tx, ctx, "access.role_widened", request.role, sorted(wanted), ctx.now)
    return _changed(tx, ctx, {"role": request.role.value, "operations": sorted(wanted)}, request)


@operation("access.reset_role_limits", by=[Role.ADMINISTRATOR], needs=[recent_sign_in, approvals(1)], concerns=_state)
def reset_role_limits(tx: Transaction, ctx: Context, request: ResetLimits) -> Change[RoleLimits]:
    """Take back every limit of every role, whatever is stored: roles are as code has them again."""
    ended = role_limits.end_rows(tx, ctx.now, ctx.actor.id)
    return _changed(tx, ctx, {"ended": ended}, request)


@operation(
    "access.role_limits", by=[Role.ADMINISTRATOR, Role.AUDITOR, Role.SECURITY, ServiceAccount.scoped]
)  # fmt: skip
def list_role_limits(tx: ReadTransaction, ctx: Context, request: ListLimits) -> Seen[RoleLimits]:
    """What roles may not do here although code allows it: since when, by whom and why."""
    found = limits(tx)
    return Seen(found, details={"limits": len(found.limits)})


def limits(tx: ReadTransaction) -> RoleLimits:
    """The limits in force and to come, by role and operation."""
    rows = tx.connection.execute(select(role_limit).where(role_limit.c.ended_at.is_(None))).all()
    names = {item.id: item.name for item in accounts.people(tx, sorted({row.made_by for row in rows}))}
    sound = role_limits.in_force(tx.connection, tx.keys).sound
    shown = [_shown(row, names, _reason(tx, row) if sound else "") for row in rows]
    return RoleLimits(sorted(shown, key=lambda item: (item.role, item.operation)), sound)


def _shown(row: Any, names: dict[str, str], reason: str) -> RoleLimit:
    item = catalogue.named(row.operation)
    return RoleLimit(
        row.id, Role(row.role), row.operation, item.summary if item else "", row.since, row.made_by,
        names.get(row.made_by, row.made_by), row.made_at, reason,
    )  # fmt: skip


def _reason(tx: ReadTransaction, row: Any) -> str:
    try:
        return str(open_row(tx, role_limit, row)["reason"])
    except SubjectErased:
        return ""


def _check_narrowing(request: NarrowRole, names: Sequence[str], taken: set[tuple[Role, str]]) -> None:
    for name in names:
        item = catalogue.named(name)
        if item is None or request.role not in item.by:
            text = words("Code does not allow %(name)s to this role.", name=name)
        elif request.role is Role.ADMINISTRATOR and name in role_limits.KEPT:
            text = words("Administrators keep %(name)s, or nobody could take a limit back.", name=name)
        elif (request.role, name) in taken:
            text = words("%(name)s is taken from this role already.", name=name)
        else:
            continue
        raise LimitRefused(fields={"operations": text})


def _changed(
    tx: Transaction, ctx: Context, details: dict[str, Detail], request: NarrowRole | WidenRole | ResetLimits
) -> Change[RoleLimits]:
    """Sealed, with an event whose object and time the seal is held against."""
    role_limits.seal(tx, ctx.now)
    return Change(
        None, limits(tx), object=role_limits.OBJECT, details=details,
        personal={"reason": request.reason},
    )  # fmt: skip


def _tell(tx: Transaction, ctx: Context, letter: str, role: Role, names: Sequence[str], since: datetime) -> None:
    """Everybody who holds the role."""
    holders = select(grant.c.account).where(grant.c.role == role, live(ctx.now)).order_by(grant.c.account)
    values = {"role": role.value, "operations": " ".join(names), "since": since.isoformat(), "by": ctx.actor.id}
    for account in tx.connection.execute(holders).scalars().all():
        tx.outbox.add(SendLetter(letter=letter, account=account, values=values))
