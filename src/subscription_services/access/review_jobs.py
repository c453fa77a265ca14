"""Once an hour: whatever time has made due about reviews, each step as an operation of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, select

from subscription_services.jobs import JobKind, Schedule
from subscription_services.kernel.actors import System
from subscription_services.kernel.errors import Conflict, NotFound
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.perform import Kernel, perform
from subscription_services.kernel.ports import Keys
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.ledger import queries as ledger

from .operations.review_schedule import (
    OneLapsed,
    OpenReview,
    RemindReviewers,
    can_open,
    close_review,
    end_lapsed_grant,
    end_lapsed_service_account,
    lapsed,
    open_due_review,
    remind_reviewers,
    unconfirmable,
    warn_last_administrator,
)
from .operations.reviews import OneReview
from .review_model import review
from .review_policy import Scope, reminder

_Find = Callable[[Connection, Keys, datetime], "list[Due]"]
ACTOR = System("access.reviews")
WARNED_EVERY = timedelta(days=7)


class TendReviews(msgspec.Struct, frozen=True):
    """Open, remind, close, and write down what lapsed."""


@dataclass(frozen=True, slots=True)
class Due:
    """An operation that is due, with its request."""

    operation: Operation
    request: msgspec.Struct


async def tend_reviews(kernel: Kernel, job: TendReviews) -> None:
    """What is due is looked for after each kind of step, since one leads to another: closing, then what lapsed."""
    keys = kernel.keys.for_caller("access")
    for find in (_to_close, _to_end, _to_open, _to_remind, _to_warn):
        now = kernel.clock()

        def look(connection: Connection, find: _Find = find, now: datetime = now) -> list[Due]:
            return find(connection, keys, now)

        for due in await kernel.store.read(look):
            try:
                await perform(kernel, due.operation, ACTOR, due.request)
            except (Conflict, NotFound):
                continue  # somebody was quicker, or it is the last administrator's


REVIEW_KINDS = (JobKind("access.tend_reviews", TendReviews, tend_reviews),)
REVIEW_SCHEDULES = (Schedule("access.tend_reviews", timedelta(hours=1), lambda now: TendReviews()),)


def _to_close(connection: Connection, keys: Keys, now: datetime) -> list[Due]:
    over = select(review.c.id).where(review.c.closed_at.is_(None), review.c.due_at <= now)
    return [Due(close_review, OneReview(found)) for found in connection.execute(over).scalars()]


def _to_end(connection: Connection, keys: Keys, now: datetime) -> list[Due]:
    grants, programs = lapsed(ReadTransaction(connection, keys), now)
    return [
        *(Due(end_lapsed_grant, OneLapsed(found)) for found in grants),
        *(Due(end_lapsed_service_account, OneLapsed(found)) for found in programs),
    ]


def _to_open(connection: Connection, keys: Keys, now: datetime) -> list[Due]:
    tx = ReadTransaction(connection, keys)
    return [Due(open_due_review, OpenReview(scope)) for scope in Scope if can_open(tx, scope, now)]


def _to_remind(connection: Connection, keys: Keys, now: datetime) -> list[Due]:
    rows = connection.execute(select(review).where(review.c.closed_at.is_(None), review.c.due_at > now)).all()
    return [
        Due(remind_reviewers, RemindReviewers(row.id, days))
        for row in rows
        if (days := reminder(row.due_at, now)) and days < row.warned
    ]


def _to_warn(connection: Connection, keys: Keys, now: datetime) -> list[Due]:
    """Once a week, by what the log says of the last time."""
    due = []
    for found in unconfirmable(ReadTransaction(connection, keys), now):
        action, since = warn_last_administrator.name, now - WARNED_EVERY
        wanted = ledger.Search(action=action, object=found, outcome="success", since=since)
        if not ledger.search(connection, wanted, limit=1).found:
            due.append(Due(warn_last_administrator, OneLapsed(found)))
    return due
