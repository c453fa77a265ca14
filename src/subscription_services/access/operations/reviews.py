"""Access reviews: read, decide one by one, and the record. There is no operation that decides about several at once."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import Row, select, update
from sqlalchemy.exc import IntegrityError

from subscription_services.access import accounts, model, policy, queries, token_rows
from subscription_services.access.errors import (
    Decided,
    GrantEnded,
    LapsedMeanwhile,
    NotIndependent,
    ReviewOpen,
    ReviewOver,
    ShownOtherwise,
)
from subscription_services.access.review_bundle import ReviewEvidence, evidence_of
from subscription_services.access.review_facts import Facts, Kind, add_decision, facts_of, shown, whose
from subscription_services.access.review_model import Decision, Outcome, decision, item
from subscription_services.access.review_people import objection, reviewers
from subscription_services.access.review_policy import REVIEWERS
from subscription_services.access.review_queries import ReviewPage, Reviews, list_reviews, one_review
from subscription_services.access.reviewing import close, counts_now, keep, review_row, undecided, void
from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.events import Detail
from subscription_services.kernel.needs import recent_sign_in
from subscription_services.kernel.operations import Change, Limit, Seen, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.mail import SendLetter

from .people import Id

READERS = (*REVIEWERS, Role.AUDITOR)


class ListReviews(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class OneReview(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: Id


class DecideItem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`shown` is that of the item as it was read: nobody decides about what they were not shown."""

    id: Id
    decision: Decision
    shown: Annotated[str, Meta(min_length=66, max_length=66, pattern=r"^[0-9a-f]{66}$")]


class DecidedItem(msgspec.Struct, frozen=True):
    """`left` is how many items of the review are not decided. `outcome` is there once it is over, by this decision;
    where it was void `again` is the review that takes its place."""

    id: str
    review: str
    decision: Decision
    left: int
    outcome: Outcome | None = None
    again: str = ""


@operation("access.reviews", by=READERS)
def reviews(tx: ReadTransaction, ctx: Context, request: ListReviews) -> Seen[Reviews]:
    """The access reviews that are open and those that were, the newest first."""
    return Seen(list_reviews(tx))


@operation("access.review", by=READERS)
def one(tx: ReadTransaction, ctx: Context, request: OneReview) -> Seen[ReviewPage]:
    """One access review: each role and program that it asks about, what it was used for, and what was decided."""
    return Seen(one_review(tx, ctx, request.id), object=request.id)


@operation(
    # no faster than somebody can read
    "access.decide_review_item", by=REVIEWERS, needs=[recent_sign_in], limits=[Limit(30, 60, "actor")],
)  # fmt: skip
def decide_review_item(tx: Transaction, ctx: Context, request: DecideItem) -> Change[DecidedItem]:
    """Keep or revoke one role or program that a review asks about. Nobody decides about their own."""
    found = tx.connection.execute(select(item).where(item.c.id == request.id)).one_or_none()
    if found is None:
        raise NotFound()
    row = review_row(tx, found.review, held=True)
    facts = facts_of(tx, found)
    if row.closed_at is not None or row.due_at <= ctx.now:
        raise ReviewOver()
    _check_may(tx, ctx, found, facts, request)
    until = keep(tx, ctx, row, facts) if request.decision is Decision.KEEP else None
    try:
        add_decision(tx, {
            "item": found.id, "whose": bytes(found.whose), "decision": request.decision.value,
            "decided_by": ctx.actor.id, "decider": whose(tx.keys, found.id, ctx.actor.id), "decided_at": ctx.now,
            "shown": bytes.fromhex(request.shown), "until": until,
        })  # fmt: skip
    except IntegrityError:
        raise Decided() from None
    if until is None and not facts.decoy:
        _revoke(tx, ctx, facts)
    # ids of decoys look like any other
    details: dict[str, Detail] = {
        "item": found.id, "decision": request.decision.value, "about": facts.object, "account": facts.account,
    }  # fmt: skip
    done = DecidedItem(found.id, row.id, request.decision, len(undecided(tx, row, ctx.now)))
    if facts.decoy and until is not None:
        again, digest = void(tx, ctx, row)
        done = msgspec.structs.replace(done, outcome=Outcome.VOIDED, again=again)
        details |= {"outcome": Outcome.VOIDED.value, "record": digest.hex(), "again": again}
        for person in reviewers(tx, ctx.now):
            tx.outbox.add(SendLetter("access.review_void", person.id, {"review": again or row.id}))
    elif not done.left:
        digest = close(tx, ctx, row, Outcome.CLOSED)
        done = msgspec.structs.replace(done, outcome=Outcome.CLOSED)
        details |= {"outcome": Outcome.CLOSED.value, "record": digest.hex()}
    return Change(None, done, object=row.id, details=details)


@operation("access.review_record", by=READERS)
def review_record(tx: ReadTransaction, ctx: Context, request: OneReview) -> Seen[ReviewEvidence]:
    """The evidence of a review that is over: its record, whom it is about, and the entries of the log with proofs."""
    row = review_row(tx, request.id)
    if row.closed_at is None:
        raise ReviewOpen()
    return Seen(evidence_of(tx, row), object=row.id)


def _check_may(tx: Transaction, ctx: Context, found: Row[Any], facts: Facts, request: DecideItem) -> None:
    if bytes.fromhex(request.shown) != shown(tx.keys, found.id, facts):
        raise ShownOtherwise()
    me = accounts.people(tx, [ctx.actor.id])
    if not me or (said := objection(tx, facts, me[0])):
        raise NotIndependent(said if me else None)
    if tx.connection.execute(select(decision.c.item).where(decision.c.item == found.id)).first() is not None:
        raise Decided()
    if not counts_now(tx, facts, ctx.now):
        raise LapsedMeanwhile()


def _revoke(tx: Transaction, ctx: Context, facts: Facts) -> None:
    """At once, in every open session. Raises LastAdministrator."""
    if facts.kind is Kind.PERSON:
        administrators = queries.lock_standing_administrators(tx, ctx.now)
        policy.check_stays_managed(Role(facts.role), facts.account, administrators)
        live = update(model.grant).where(model.grant.c.id == facts.object, model.grant.c.ended_at.is_(None))
        if not tx.connection.execute(live.values(ended_at=ctx.now, ended_by=ctx.actor.id)).rowcount:
            raise GrantEnded()
        key = "grant"
    else:
        end_program(tx, ctx, facts.object)
        key = "program"
    tx.outbox.add(SendLetter(f"access.{key}_revoked", facts.account, {key: facts.object}))


def end_program(tx: Transaction, ctx: Context, identifier: str) -> None:
    """End a service account with all its tokens."""
    token_rows.end_accounts(tx, ctx.now, model.service_account.c.id == identifier)
