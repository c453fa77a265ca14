"""Steps of a subscription's life, as plain functions for the operations of this room and of billing."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from subscription_services.kernel.context import Context
from subscription_services.kernel.transaction import ReadTransaction, Transaction

from . import policy
from .errors import AlreadyEnded, AlreadySubscribed
from .model import Moment, Plan, Status, Subscription, history, subscription
from .queries import find, find_plan, had_before, live_one


def open_subscription(tx: Transaction, ctx: Context, account: str, plan_id: str) -> tuple[Subscription, bool]:
    """The account's unpaid subscription of this plan, or a new one, and whether it is new.

    It runs at once when the plan costs nothing now (free, or the account's first trial), else it is incomplete
    until it is activated. Raises PlanNotFound, AlreadySubscribed.
    """
    standing = _standing(tx, account, plan_id)
    if standing is not None:
        return standing, False
    plan = find_plan(tx, plan_id)
    trial = 0 if had_before(tx, account) else plan.trial_days
    anchor, period, start, end = policy.first_period(ctx.now, plan.interval, trial)
    status = Status.TRIALING if trial else Status.INCOMPLETE if plan.price.amount else Status.ACTIVE
    identifier = ctx.ids.new("sub")
    values = {
        "id": identifier, "account": account, "plan": plan.id, "amount": plan.price.amount,
        "currency": plan.price.currency, "interval": plan.interval, "status": status, "anchor": anchor,
        "period": period, "period_start": start, "period_end": end, "created_at": ctx.now,
    }  # fmt: skip
    try:
        with tx.connection.begin_nested():
            tx.connection.execute(insert(subscription).values(values))
    except IntegrityError as error:  # another transaction was first; the partial unique index holds
        standing = _standing(tx, account, plan_id)
        if standing is None:
            raise AlreadySubscribed() from error
        return standing, False
    first = {Status.TRIALING: Moment.TRIAL_STARTED, Status.ACTIVE: Moment.ACTIVATED}.get(status, Moment.OPENED)
    note(tx, ctx, identifier, first)
    return find(tx, identifier), True


def first_charge(tx: ReadTransaction, ctx: Context, account: str, plan: Plan) -> tuple[bool, datetime]:
    """Whether choosing this plan now costs something at once, and when it is charged (again)."""
    trial = 0 if had_before(tx, account) else plan.trial_days
    _, _, _, end_of_first = policy.first_period(ctx.now, plan.interval, trial)
    return not trial and plan.price.amount > 0, end_of_first


def _standing(tx: Transaction, account: str, plan_id: str) -> Subscription | None:
    found = live_one(tx, account, plan_id)
    if found is not None and found.status is not Status.INCOMPLETE:
        raise AlreadySubscribed()
    return found


def activate(tx: Transaction, ctx: Context, subscription_id: str) -> Subscription:
    """Paid: an incomplete one starts, a past due one recovers; a running or ended one stays as it is."""
    found = find(tx, subscription_id, lock=True)
    if found.status is Status.INCOMPLETE:
        return change(tx, ctx, found, Moment.ACTIVATED, status=Status.ACTIVE)
    if found.status is Status.PAST_DUE:
        return change(tx, ctx, found, Moment.RECOVERED, status=Status.ACTIVE)
    return found


def advance(tx: Transaction, ctx: Context, subscription_id: str) -> Subscription | None:
    """Begin the next period when the running one is over and another follows; None when it is not time."""
    found = find(tx, subscription_id, lock=True)
    due = found.status in (Status.ACTIVE, Status.TRIALING) and found.ends_at is None and found.period_end <= ctx.now
    if not due:
        return None
    number = found.period + 1
    start, end = policy.period_bounds(found.anchor, found.interval, number)
    return change(
        tx, ctx, found, Moment.RENEWED, status=Status.ACTIVE, period=number, period_start=start, period_end=end
    )


def mark_past_due(tx: Transaction, ctx: Context, subscription_id: str) -> Subscription:
    """The running period's payment failed; has no effect unless the subscription is active."""
    found = find(tx, subscription_id, lock=True)
    if found.status is not Status.ACTIVE:
        return found
    return change(tx, ctx, found, Moment.PAST_DUE, status=Status.PAST_DUE)


def end(tx: Transaction, ctx: Context, subscription_id: str, detail: str = "") -> Subscription:
    """End now; one that has ended stays as it is."""
    found = find(tx, subscription_id, lock=True)
    if found.status is Status.ENDED:
        return found
    return change(tx, ctx, found, Moment.ENDED, detail, status=Status.ENDED, ended_at=ctx.now)


def change(
    tx: Transaction, ctx: Context, before: Subscription, what: Moment, detail: str = "", **values: Any
) -> Subscription:
    """Write `values` and an entry of the history. Raises AlreadyEnded when it ended meanwhile."""
    statement = update(subscription).where(subscription.c.id == before.id, subscription.c.status != Status.ENDED)
    if tx.connection.execute(statement.values(**values)).rowcount != 1:
        raise AlreadyEnded()
    note(tx, ctx, before.id, what, detail)
    return find(tx, before.id)


def note(tx: Transaction, ctx: Context, subscription_id: str, what: Moment, detail: str = "") -> None:
    """One entry of the history."""
    before = select(func.count()).where(history.c.subscription == subscription_id).scalar_subquery()
    values: dict[str, Any] = {
        "id": ctx.ids.new("sbh"), "subscription": subscription_id, "position": before, "at": ctx.now,
        "what": what, "by": ctx.actor.kind,
        "detail": detail,
    }  # fmt: skip
    tx.connection.execute(insert(history).values(**values))
