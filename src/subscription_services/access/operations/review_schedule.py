"""What the service does by itself about reviews: open, remind, end what lapsed, close. Time decides; these write it down."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta
from sqlalchemy import select, update

from subscription_services.access import model, queries
from subscription_services.access.authority import last_resort
from subscription_services.access.errors import NotDueYet, ReviewOver
from subscription_services.access.model import ServiceAccountState
from subscription_services.access.review_facts import Kind, write_review
from subscription_services.access.review_model import Outcome
from subscription_services.access.review_people import reviewers, somebody_can
from subscription_services.access.review_policy import WARNED_DAYS, Scope, reminder
from subscription_services.access.reviewing import close, is_due, open_review, review_row, undecided, would_ask
from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.operations import Change, SystemOnly, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.mail import SendLetter

from .approvals import SECURITY_CONTACT
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
    if before.role is Role.ADMINISTRATOR and not administrators - {before.account}:
        raise NotDueYet()
    if last_resort(tx.connection, ctx.now) == before.id:
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
    """Write to the last administrator, and to the security contact, that a role lapsed which still has to count."""
    if last_resort(tx.connection, ctx.now) != request.id:
        raise NotFound()
    held = queries.one_grant(tx, request.id)
    for addressee in (held.account, SECURITY_CONTACT):
        tx.outbox.add(SendLetter("access.last_administrator", addressee, {"grant": held.id}))
    return Change(None, held, subject=held.account, details={"account": held.account})


def can_open(tx: ReadTransaction, scope: Scope, now: datetime) -> bool:
    """Whether a review is due and there is somebody who could decide anything in it."""
    return is_due(tx, scope, now) and somebody_can(tx, would_ask(tx, scope, now), now)


def lapsed(tx: ReadTransaction, now: datetime) -> tuple[list[str], list[str]]:
    """Grants and service accounts that no review kept and that are not written down as ended."""
    grant, account = model.grant.c, model.service_account.c
    grants = select(grant.id).where(grant.standing, grant.ended_at.is_(None), grant.ends_at <= now)
    accounts = select(account.id).where(account.state == ServiceAccountState.ACTIVE, account.confirmed_until <= now)
    return list(tx.connection.execute(grants).scalars()), list(tx.connection.execute(accounts).scalars())
