"""What the service does about reviews by itself: open, remind, close, and write down what time has ended."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import select, update

from subscription_services.access import model, queries
from subscription_services.access.authority import last_resort
from subscription_services.access.errors import NotDueYet, ReviewOver
from subscription_services.access.letter_parts import SECURITY_CONTACT
from subscription_services.access.model import ServiceAccountState
from subscription_services.access.review_facts import Kind, write_review
from subscription_services.access.review_model import Outcome
from subscription_services.access.review_people import reviewers, somebody_can
from subscription_services.access.review_policy import WARNED_DAYS, Scope, opens, reminder
from subscription_services.access.reviewing import (
    close,
    is_due,
    open_review,
    open_row_of,
    review_row,
    standing,
    undecided,
    would_ask,
)
from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.operations import Change, SystemOnly, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.mail import SendLetter

from .people import Id
from .reviews import OneReview, end_program

BY_JOB = SystemOnly("the job that tends reviews, once an hour")
HOLDERS_WARNED = WARNED_DAYS[-2]


class OpenReview(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    scope: Scope


class RemindReviewers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`days` before the due date."""

    id: Id
    days: Annotated[int, Meta(ge=1, le=14)]


class OneLapsed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A grant or a service account."""

    id: Id


class Tended(msgspec.Struct, frozen=True):
    """`items` that are asked about, were not decided, or ended."""

    id: str
    items: int


@operation("access.open_review", by=[BY_JOB])
def open_due_review(tx: Transaction, ctx: Context, request: OpenReview) -> Change[Tended]:
    """Open an access review that is due: until it is decided, everything that it asks about ends on its due date."""
    if not can_open(tx, request.scope, ctx.now):
        raise NotDueYet()
    identifier, asked = open_review(tx, ctx, request.scope)
    for person in reviewers(tx, ctx.now):
        tx.outbox.add(SendLetter("access.review_opened", person.id, {"review": identifier}))
    details = {"scope": request.scope.value, "about": [facts.object for facts in asked]}
    return Change(None, Tended(identifier, len(asked)), object=identifier, details=details)


@operation("access.remind_reviewers", by=[BY_JOB])
def remind_reviewers(tx: Transaction, ctx: Context, request: RemindReviewers) -> Change[Tended]:
    """Write to the reviewers before what nobody decided lapses, and in the end to those whom it would hit."""
    row = review_row(tx, request.id, held=True)
    if row.closed_at is not None or row.due_at <= ctx.now:
        raise ReviewOver()
    if request.days >= row.warned or reminder(row.due_at, ctx.now) != request.days:
        raise NotDueYet()
    write_review(tx, {**row._mapping, "warned": request.days})
    open_items = undecided(tx, row, ctx.now)
    for person in reviewers(tx, ctx.now):
        tx.outbox.add(SendLetter("access.review_due", person.id, {"review": row.id}))
    if request.days <= HOLDERS_WARNED:
        for _, facts in open_items:
            if not facts.decoy:
                key = "grant" if facts.kind is Kind.PERSON else "program"
                tx.outbox.add(SendLetter(f"access.{key}_lapses", facts.account, {key: facts.object}))
    details = {"days": request.days, "undecided": len(open_items)}
    return Change(None, Tended(row.id, len(open_items)), object=row.id, details=details)


@operation("access.close_review", by=[BY_JOB])
def close_review(tx: Transaction, ctx: Context, request: OneReview) -> Change[Tended]:
    """Close a review on its due date. What nobody decided lapsed with it."""
    row = review_row(tx, request.id, held=True)
    if row.closed_at is not None:
        raise ReviewOver()
    if row.due_at > ctx.now:
        raise NotDueYet()
    left = undecided(tx, row, row.opened_at)
    outcome = Outcome.LAPSED if left else Outcome.CLOSED
    digest = close(tx, ctx, row, outcome)
    details = {"outcome": outcome.value, "record": digest.hex(), "undecided": len(left)}
    return Change(None, Tended(row.id, len(left)), object=row.id, details=details)


@operation("access.end_lapsed_grant", by=[BY_JOB])
def end_lapsed_grant(tx: Transaction, ctx: Context, request: OneLapsed) -> Change[queries.Grant]:
    """Write down that a role ended because no review kept it. It had no effect any more already.

    The last administrator's stays open, since it counts until there is another one."""
    administrators = queries.lock_standing_administrators(tx, ctx.now)
    before = queries.one_grant(tx, request.id)
    if before.ended_at is not None or not before.standing or before.ends_at > ctx.now:
        raise NotDueYet()
    if _is_needed(tx, before.id, before.role, before.account, administrators, ctx.now):
        raise NotDueYet()
    statement = update(model.grant).where(model.grant.c.id == before.id, model.grant.c.ended_at.is_(None))
    tx.connection.execute(statement.values(ended_at=before.ends_at, ended_by="review"))
    tx.outbox.add(SendLetter("access.grant_lapsed", before.account, {"grant": before.id}))
    after = msgspec.structs.replace(before, ended_at=before.ends_at)
    details = {"role": before.role.value, "account": before.account}
    return Change(before, after, subject=before.account, details=details)


@operation("access.end_lapsed_service_account", by=[BY_JOB])
def end_lapsed_service_account(tx: Transaction, ctx: Context, request: OneLapsed) -> Change[queries.ServiceAccountRow]:
    """End a service account that no review kept, with its tokens. They had no effect any more already."""
    before = queries.one_service_account(tx, request.id)
    if before.state is not ServiceAccountState.ACTIVE or before.confirmed_until > ctx.now:
        raise NotDueYet()
    end_program(tx, ctx, before.id)
    tx.outbox.add(SendLetter("access.program_lapsed", before.owner, {"program": before.id}))
    return Change(before, queries.one_service_account(tx, before.id), details={"owner": before.owner})


@operation("access.warn_last_administrator", by=[BY_JOB])
def warn_last_administrator(tx: Transaction, ctx: Context, request: OneLapsed) -> Change[queries.Grant]:
    """Write to the only administrator, and to the security contact, that nobody else can confirm the role.

    It counts beyond its end while there is no other one."""
    if request.id not in unconfirmable(tx, ctx.now):
        raise NotFound()
    held = queries.one_grant(tx, request.id)
    for addressee in (held.account, SECURITY_CONTACT):
        tx.outbox.add(SendLetter("access.last_administrator", addressee, {"grant": held.id}))
    return Change(None, held, subject=held.account, details={"account": held.account})


def can_open(tx: ReadTransaction, scope: Scope, now: datetime) -> bool:
    """Whether a review is due and there is somebody who could decide anything in it."""
    return is_due(tx, scope, now) and somebody_can(tx, would_ask(tx, scope, now), now)


def unconfirmable(tx: ReadTransaction, now: datetime) -> list[str]:
    """Administrators' grants that end soon, or count beyond their end, and that nobody else could decide about."""
    due = [row for row in standing(tx, Scope.ELEVATED, now) if opens(row.ends_at, now)]
    if open_row_of(tx, Scope.ELEVATED) is not None or can_open(tx, Scope.ELEVATED, now):
        return []
    return [str(row.id) for row in due if row.role == Role.ADMINISTRATOR]


def lapsed(tx: ReadTransaction, now: datetime) -> tuple[list[str], list[str]]:
    """Grants and service accounts that no review kept and that are not written down as ended."""
    grant, account = model.grant.c, model.service_account.c
    grants = select(grant.id, grant.role, grant.account).where(
        grant.standing, grant.ended_at.is_(None), grant.ends_at <= now
    )
    accounts = select(account.id).where(account.state == ServiceAccountState.ACTIVE, account.confirmed_until <= now)
    administrators = queries.standing_administrators(tx, now)
    found = [
        str(row.id)
        for row in tx.connection.execute(grants)
        if not _is_needed(tx, row.id, Role(row.role), row.account, administrators, now)
    ]
    return found, list(tx.connection.execute(accounts).scalars())


def _is_needed(
    tx: ReadTransaction, identifier: str, role: Role, account: str, administrators: frozenset[str], now: datetime
) -> bool:
    """Whether there would be nobody left to manage the team for good."""
    if role is not Role.ADMINISTRATOR:
        return False
    return not administrators - {account} or last_resort(tx.connection, now) == identifier
