"""One's own sessions: where one is signed in, and ending it from afar."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import select, update

from subscription_services.identity import model
from subscription_services.identity.configured import rules
from subscription_services.identity.fields import Id
from subscription_services.identity.places import near
from subscription_services.identity.queries import longest_of
from subscription_services.identity.sessions import end_sessions, idle_of_account, owner_of_session
from subscription_services.kernel.actors import Subscriber, TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import Invalid
from subscription_services.kernel.needs import recent_sign_in
from subscription_services.kernel.operations import Change, Seen, operation
from subscription_services.kernel.personal import FreeText, NetworkAddress
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.kernel.words import words
from subscription_services.storage import open_row

from .sign_in import Ended

OWN = (Subscriber.own, TeamMember.own)


class ListDevices(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class EndSession(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id


class EndOtherSessions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class ChooseIdle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    minutes: Annotated[int, Meta(ge=1, le=1440)]


class ChooseHours(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    hours: Annotated[int, Meta(ge=1, le=720)]


class Hours(msgspec.Struct, frozen=True):
    hours: int


class Idle(msgspec.Struct, frozen=True):
    minutes: int


class Device(msgspec.Struct, frozen=True):
    """`browser` is what the browser said of itself; `here` marks the session that asks;
    `binding` is device, script, network or program: what a copy of its cookies would lack; `place` is approximate."""

    id: str
    browser: FreeText
    address: NetworkAddress
    second_factor: bool
    signed_in_at: datetime
    last_used_at: datetime
    ends_at: datetime
    here: bool
    binding: str
    place: str


def _good(ctx: Context) -> tuple[Any, ...]:
    """One's own sessions that are open; one that ran out must not come back because a longer time is chosen."""
    mine = model.session.c
    return (
        mine.account == ctx.actor.id, mine.ended_at.is_(None), mine.ends_at > ctx.now,
        mine.last_used_at > ctx.now - rules().idle, mine.idle_until > ctx.now,
    )  # fmt: skip


@operation("identity.devices", by=OWN)
def devices(tx: ReadTransaction, ctx: Context, request: ListDevices) -> Seen[list[Device]]:
    """Every open session of one's account, the newest use first."""
    open_ones = select(model.session, model.binding.c.held).join(
        model.binding, model.binding.c.session == model.session.c.id
    ).where(*_good(ctx))  # fmt: skip
    found = []
    for row in tx.connection.execute(open_ones.order_by(model.session.c.last_used_at.desc()).limit(200)):
        opened = open_row(tx, model.session, row)
        found.append(
            Device(
                opened["id"], opened["user_agent"], opened["address"], opened["second_factor"], opened["signed_in_at"],
                opened["last_used_at"], opened["ends_at"], opened["id"] == getattr(ctx.actor, "session", ""),
                row.held, near(opened["address"]),
            )
        )  # fmt: skip
    return Seen(found)


@operation("identity.end_session", by=OWN, subject=owner_of_session)
def end_session(tx: Transaction, ctx: Context, request: EndSession) -> Change[Ended]:
    """End one of one's own sessions."""
    ended = end_sessions(tx, ctx, ctx.actor.id, "ended by owner", model.session.c.id == request.id)
    return Change(None, Ended(ended), object=request.id)


@operation("identity.end_other_sessions", by=OWN)
def end_other_sessions(tx: Transaction, ctx: Context, request: EndOtherSessions) -> Change[Ended]:
    """End every session of one's own but this one."""
    mine = getattr(ctx.actor, "session", "")
    ended = end_sessions(tx, ctx, ctx.actor.id, "ended by owner", model.session.c.id != mine)
    return Change(None, Ended(ended), details={"ended": ended})


@operation("identity.choose_idle", by=OWN, needs=[recent_sign_in])
def choose_idle(tx: Transaction, ctx: Context, request: ChooseIdle) -> Change[Idle]:
    """Choose after how many minutes without use one's sessions end; the operators' time is the longest."""
    longest = int(rules().idle.total_seconds() // 60)
    if request.minutes > longest:
        text = words("Choose %(longest)s minutes or less.", longest=longest)
        raise Invalid(text, fields={"minutes": text})
    values = {"idle_minutes": request.minutes}
    tx.connection.execute(update(model.account).where(model.account.c.id == ctx.actor.id).values(values))
    mine = select(model.session.c.id, model.session.c.last_used_at, model.binding.c.held).join(
        model.binding, model.binding.c.session == model.session.c.id
    ).where(*_good(ctx))  # fmt: skip
    for row in tx.connection.execute(mine).all():
        until = {"idle_until": row.last_used_at + idle_of_account(tx, ctx.actor.id, row.held)}
        tx.connection.execute(update(model.session).where(model.session.c.id == row.id).values(until))
    return Change(None, Idle(request.minutes), details={"minutes": request.minutes})


@operation("identity.choose_hours", by=OWN, needs=[recent_sign_in])
def choose_hours(tx: Transaction, ctx: Context, request: ChooseHours) -> Change[Hours]:
    """Choose after how many hours one's sessions end in any case; the operators' time is the longest."""
    longest = int(rules().absolute.total_seconds() // 3600)
    if request.hours > longest:
        text = f"Choose {longest} hours or less."
        raise Invalid(text, fields={"hours": text})
    values = {"session_hours": request.hours}
    tx.connection.execute(update(model.account).where(model.account.c.id == ctx.actor.id).values(values))
    mine = select(model.session.c.id, model.session.c.created_at).where(*_good(ctx))
    for row in tx.connection.execute(mine).all():
        until = {"ends_at": row.created_at + longest_of(request.hours)}
        tx.connection.execute(update(model.session).where(model.session.c.id == row.id).values(until))
    return Change(None, Hours(request.hours), details={"hours": request.hours})
