"""Break glass: the sealed second way for when nobody else is there. It is loud, short, and has to be reviewed."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import insert, select

from subscription_services.access import accounts, catalogue, row_codes
from subscription_services.access.authority import roles_of
from subscription_services.access.errors import (
    GlassClosed,
    GlassReviewOpen,
    GlassStillBroken,
    NotIndependent,
    WrongGlassCode,
)
from subscription_services.access.glass import (
    BREAKERS,
    REVIEWERS,
    Broken,
    GlassState,
    breaker_of,
    broken_of,
    change_seal,
    digest_of,
    done_meanwhile,
    glass_row,
    is_code,
    live_seal,
    may_not_close,
    new_code,
    reviewers,
    state_of_glass,
    unreviewed,
)
from subscription_services.access.glass_model import GlassVerdict, SealEnd, glass, seal
from subscription_services.access.letter_parts import SECURITY_CONTACT
from subscription_services.access.settings import in_force
from subscription_services.access.task_model import task
from subscription_services.access.tasks import About
from subscription_services.kernel.actors import Role, TeamMember
from subscription_services.kernel.context import Context
from subscription_services.kernel.needs import RecentSignIn, approvals, recent_sign_in
from subscription_services.kernel.operations import Change, Declined, Limit, Seen, SystemOnly, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.mail import SendLetter
from subscription_services.storage.rows import insert_row, update_row

from .log import LogEntry, entry_of
from .people import Id
from .tasks import Name, check_asked

LONGEST_MINUTES = 60
JUST_NOW = RecentSignIn(5)
"""Password and second factor, shown again for this: a session that was left open breaks nothing."""
Code = Annotated[str, Meta(min_length=8, max_length=60)]


class SealGlass(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class SealedCode(msgspec.Struct, frozen=True):
    """`code` is shown this once and not kept."""

    id: str
    code: str


class TryGlass(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: Code


class Tested(msgspec.Struct, frozen=True):
    id: str


class BreakGlass(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`code` is what was in the envelope; the rest is as with a task: what has to be done, about what, with which
    operations of which role, for how many minutes."""

    code: Code
    title: Annotated[str, Meta(min_length=10, max_length=200)]
    about_kind: About
    about: Annotated[str, Meta(max_length=80, pattern=r"^[A-Za-z0-9_.:-]*$")]
    role: Role
    minutes: Annotated[int, Meta(ge=5, le=LONGEST_MINUTES)]
    operations: Annotated[list[Name], Meta(max_length=100)] = []


class OneGlass(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id


class CloseGlassReview(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`verdict` says whether it was right to break it and to do what was done; `findings` are kept with it."""

    id: Id
    verdict: GlassVerdict
    findings: Annotated[str, Meta(min_length=20, max_length=2000)]


class LookAtGlass(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class RemindOfGlassReviews(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Reminded(msgspec.Struct, frozen=True):
    """`open` reviews, and how many of them are `late`."""

    open: int
    late: int


class GlassRecord(msgspec.Struct, frozen=True):
    """All that the person did meanwhile, by whatever right, oldest first; `under` are the ids of those entries that
    hang on the broken glass. `whole` is false where there is more than is listed."""

    broken: Broken
    entries: list[LogEntry]
    under: list[str]
    whole: bool


@operation(
    "access.seal_glass", by=REVIEWERS, needs=[recent_sign_in, approvals(1, REVIEWERS)], idempotent=False,
    limits=[Limit(10, 86400, "actor")],
)  # fmt: skip
def seal_glass(tx: Transaction, ctx: Context, request: SealGlass) -> Change[SealedCode]:
    """Make a new sealed code; an earlier one opens nothing any more. Takes two, since who reads it has power."""
    earlier = select(seal).where(seal.c.ended_at.is_(None)).with_for_update()
    replaced = tx.connection.execute(earlier).one_or_none()
    if replaced is not None:
        change_seal(tx, replaced, {"ended_at": ctx.now, "ended_by": ctx.actor.id, "outcome": SealEnd.REPLACED})
    code, identifier = new_code(ctx.random), ctx.ids.new("gls")
    values: dict[str, Any] = {
        "id": identifier, "digest": digest_of(tx.keys, identifier, code), "sealed_by": ctx.actor.id,
        "sealed_at": ctx.now,
    }  # fmt: skip
    mac = row_codes.code_of(tx.keys, seal.name, row_codes.SEAL, values)
    tx.connection.execute(insert(seal), {**values, "place": 1, "mac": mac})
    _tell(tx, "access.glass_sealed", {"seal": identifier}, REVIEWERS, ctx)
    return Change(None, SealedCode(identifier, code), object=identifier, details={"replaced": replaced is not None})


@operation("access.try_glass", by=REVIEWERS, needs=[recent_sign_in], limits=[Limit(5, 3600, "actor")])
def try_glass(tx: Transaction, ctx: Context, request: TryGlass) -> Change[Tested] | Declined:
    """See whether the code in the envelope is the sealed one, without using it up."""
    row = live_seal(tx, held=True)
    if not is_code(tx, row, request.code):
        return _wrong(tx, ctx, row.id)
    change_seal(tx, row, {"tested_at": ctx.now, "tested_by": ctx.actor.id})
    _tell(tx, "access.glass_tested", {"seal": row.id}, REVIEWERS, ctx)
    return Change(None, Tested(row.id), object=row.id)


@operation("access.break_glass", by=BREAKERS, needs=[JUST_NOW], limits=[Limit(5, 3600, "actor")])
def break_glass(tx: Transaction, ctx: Context, request: BreakGlass) -> Change[Broken] | Declined:
    """Be lent operations at once, for an hour at most, with the sealed code: when nobody is there who could grant it.

    Everybody is told, the code is used up, and somebody else has to review what was done."""
    check_asked(request, catalogue.lends_by_glass(request.role), LONGEST_MINUTES)
    row = live_seal(tx, held=True)
    if not is_code(tx, row, request.code):
        return _wrong(tx, ctx, row.id)
    if unreviewed(tx, ctx.actor.id):
        raise GlassReviewOpen()
    change_seal(tx, row, {"ended_at": ctx.now, "ended_by": ctx.actor.id, "outcome": SealEnd.BROKEN})
    values: dict[str, Any] = {
        "id": ctx.ids.new("glb"), "account": ctx.actor.id, "seal": row.id, "task": ctx.ids.new("tsk"),
        "started_at": ctx.now, "ends_at": ctx.now + timedelta(minutes=request.minutes),
        "due_at": ctx.now + timedelta(days=in_force().glass_review_days),
        "others": len(reviewers(tx, ctx.actor.id, ctx.now)),
    }  # fmt: skip
    mac = row_codes.code_of(tx.keys, glass.name, row_codes.GLASS, values)
    tx.connection.execute(insert(glass), {**values, "mac": mac})
    _lend(tx, ctx, request, values)
    told = _tell(tx, "access.glass_broken", {"glass": values["id"]}, (), ctx)
    broken = broken_of(tx, ctx, glass_row(tx, values["id"]))
    details = {
        "severity": "critical", "seal": row.id, "task": values["task"], "role": request.role.value,
        "operations": broken.task.operations, "about": request.about, "about_kind": request.about_kind.value,
        "ends_at": broken.ends_at.isoformat(), "review_due": broken.due_at.isoformat(), "told": told,
    }  # fmt: skip
    return Change(None, broken, object=broken.id, subject=ctx.actor.id, details=details)


@operation("access.close_glass_review", by=REVIEWERS, needs=[recent_sign_in], subject=breaker_of)
def close_glass_review(tx: Transaction, ctx: Context, request: CloseGlassReview) -> Change[Broken]:
    """Close the review of what somebody else did when they broke the glass, with what was found."""
    row = glass_row(tx, request.id, held=True)
    if row.closed_at is not None:
        raise GlassClosed()
    if objection := may_not_close(tx, ctx, row):
        raise NotIndependent(objection)
    before = broken_of(tx, ctx, row)
    if before.open:
        raise GlassStillBroken()
    changes = {"closed_at": ctx.now, "closed_by": ctx.actor.id, "verdict": request.verdict.value}
    mac = row_codes.code_of(tx.keys, glass.name, row_codes.GLASS, {**row._mapping, **changes})
    update_row(tx, glass, dict(row._mapping), {**changes, "findings": request.findings, "mac": mac})
    _tell(tx, "access.glass_closed", {"glass": row.id}, (), ctx)
    details = {"verdict": request.verdict.value, "alone": ctx.actor.id == row.account, "task": before.task.id}
    personal = {"findings": request.findings}
    after = broken_of(tx, ctx, glass_row(tx, row.id))
    return Change(before, after, subject=row.account, details=details, personal=personal)


@operation("access.glass", by=[*Role])
def glass_state(tx: ReadTransaction, ctx: Context, request: LookAtGlass) -> Seen[GlassState]:
    """Whether there is a sealed code, since when, and each time that the glass was broken."""
    full = bool(roles_of(tx.connection, ctx.actor.id, ctx.now) & {*REVIEWERS, Role.AUDITOR})
    found = state_of_glass(tx, ctx, full=full)
    return Seen(found, details={"sealed": found.seal is not None, "broken": len(found.broken)})


@operation("access.glass_record", by=[*REVIEWERS, Role.AUDITOR, TeamMember.own], subject=breaker_of)
def glass_record(tx: ReadTransaction, ctx: Context, request: OneGlass) -> Seen[GlassRecord]:
    """What was done while the glass was broken, from the log."""
    row = glass_row(tx, request.id)
    found, whole = done_meanwhile(tx.connection, row, ctx.now)
    entries = [entry_of(item.event, item.log_index) for item in found]
    under = [item.event.id for item in found if item.event.details.get("task") == row.task]
    answer = GlassRecord(broken_of(tx, ctx, row), entries, under, whole)
    return Seen(answer, object=row.id, subject=row.account, details={"entries": len(entries)})


@operation("access.remind_of_glass", by=[SystemOnly("scheduled every day")])
def remind_of_glass(tx: Transaction, ctx: Context, request: RemindOfGlassReviews) -> Change[Reminded]:
    """Write to those who can close a review that is open; to everybody once it is late, or where nobody could."""
    waiting = select(glass).where(glass.c.closed_at.is_(None), glass.c.ends_at <= ctx.now).order_by(glass.c.id)
    rows = tx.connection.execute(waiting).all()
    late = [row for row in rows if row.due_at <= ctx.now]
    for row in rows:
        values = {"glass": row.id}
        asked = [] if row in late else reviewers(tx, row.account, ctx.now)
        for person in asked:
            _write(tx, "access.glass_review_waits", person.id, values)
        if not asked:
            _tell(tx, "access.glass_review_waits", values, (), ctx)
    return Change(None, Reminded(len(rows), len(late)), details={"open": len(rows), "late": len(late)})


def _lend(tx: Transaction, ctx: Context, request: BreakGlass, broken: dict[str, Any]) -> None:
    """A task like any other, with an hour at most, that nobody granted: its `granted_by` is the broken glass."""
    values: dict[str, Any] = {
        "id": broken["task"], "account": ctx.actor.id, "about_kind": request.about_kind.value, "about": request.about,
        "role": request.role.value, "operations": msgspec.json.encode(sorted(set(request.operations))).decode(),
        "asked_at": ctx.now, "ends_at": broken["ends_at"], "granted_at": ctx.now, "granted_by": broken["id"],
    }  # fmt: skip
    code = row_codes.code_of(tx.keys, task.name, row_codes.TASK, values)
    tx.keys.ensure_subject(ctx.actor.id)
    insert_row(tx, task, {**values, "title": request.title, "mac": code})


def _wrong(tx: Transaction, ctx: Context, identifier: str) -> Declined:
    """Somebody who is signed in tried a code: that is an alarm of its own, and stays although it is refused."""
    _tell(tx, "access.glass_wrong_code", {"who": ctx.actor.id}, REVIEWERS, ctx)
    error = WrongGlassCode(fields={"code": WrongGlassCode.message})
    return Declined(error, object=identifier, subject=ctx.actor.id, details={"severity": "high"})


def _tell(tx: Transaction, letter: str, values: dict[str, str], roles: tuple[Role, ...], ctx: Context) -> int:
    """Write to everybody active who holds one of these roles (without roles: to the whole team), and to the security
    contact. In this very transaction, so that it cannot happen without. Returns how many letters."""
    found = [person for person in accounts.team(tx) if person.state == "active"]
    if roles:
        found = [person for person in found if roles_of(tx.connection, person.id, ctx.now) & set(roles)]
    for person in found:
        _write(tx, letter, person.id, values)
    _write(tx, letter, SECURITY_CONTACT, values)
    return len(found) + 1


def _write(tx: Transaction, letter: str, account: str, values: dict[str, str]) -> None:
    tx.outbox.add(SendLetter(letter=letter, account=account, values=values))
