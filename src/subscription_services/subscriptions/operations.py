"""Every change of plans and subscriptions, and every look at somebody's."""

from __future__ import annotations

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from subscription_services.kernel.actors import Role, ServiceAccount, Subscriber
from subscription_services.kernel.context import Context
from subscription_services.kernel.operations import Change, Public, Seen, SystemOnly, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction

from . import lifecycle, policy
from .errors import PlanExists
from .model import Moment, Plan, Subscription, plan
from .queries import find, find_plan, history_of, of_account, offered_plans
from .requests import (
    CreatePlan,
    History,
    ListOwn,
    ListPlans,
    OfPerson,
    OneSubscription,
    Plans,
    RetirePlan,
    SeedCatalogue,
    Subscribe,
    Subscriptions,
)
from .starter import STARTER


def owner_of_subscription(tx: ReadTransaction, ctx: Context, request: OneSubscription) -> str:
    """Whose subscription it is. Raises NotFound."""
    return find(tx, request.id).account


def named_person(tx: ReadTransaction, ctx: Context, request: OfPerson) -> str:
    """The account that the request names."""
    return request.account


@operation("subscriptions.plans", by=[Public("prices are public")], audited=False)
def list_plans(tx: ReadTransaction, ctx: Context, request: ListPlans) -> Seen[Plans]:
    """Plans that can be subscribed to."""
    return Seen(Plans(offered_plans(tx.connection)))


@operation("subscriptions.seed_catalogue", by=[SystemOnly("an empty sandbox gets plans to try")])
def seed_catalogue(tx: Transaction, ctx: Context, request: SeedCatalogue) -> Change[Plans]:
    """Create the starter plans where there is none at all; else nothing changes."""
    if not tx.connection.execute(select(func.count()).select_from(plan)).scalar_one():
        for item in STARTER:
            _insert_plan(tx, ctx, item)
    return Change(None, Plans(offered_plans(tx.connection)))


@operation("subscriptions.create_plan", by=[Role.BILLING])
def create_plan(tx: Transaction, ctx: Context, request: CreatePlan) -> Change[Plan]:
    """Offer a new plan; its price never changes, a new price is a new plan."""
    return Change(None, find_plan(tx, _insert_plan(tx, ctx, request)))


@operation("subscriptions.retire_plan", by=[Role.BILLING])
def retire_plan(tx: Transaction, ctx: Context, request: RetirePlan) -> Change[Plan]:
    """Offer a plan no longer; those who have it keep it."""
    before = find_plan(tx, request.id)
    tx.connection.execute(update(plan).where(plan.c.id == request.id).values(active=False))
    return Change(before, find_plan(tx, request.id, offered=False))


@operation("subscriptions.subscribe", by=[Subscriber.own])
def subscribe(tx: Transaction, ctx: Context, request: Subscribe) -> Change[Subscription]:
    """Start a subscription; one that costs something now stays incomplete until billing.start_checkout is paid."""
    after, _ = lifecycle.open_subscription(tx, ctx, ctx.actor.id, request.plan)
    return Change(None, after)


@operation("subscriptions.cancel", by=[Subscriber.own, Role.SUPPORT], subject=owner_of_subscription)
def cancel(tx: Transaction, ctx: Context, request: OneSubscription) -> Change[Subscription]:
    """End the subscription with the period already paid for."""
    before = find(tx, request.id, lock=True)
    policy.check_can_cancel(before)
    return Change(before, lifecycle.change(tx, ctx, before, Moment.CANCELLED, ends_at=before.period_end))


@operation("subscriptions.resume", by=[Subscriber.own, Role.SUPPORT], subject=owner_of_subscription)
def resume(tx: Transaction, ctx: Context, request: OneSubscription) -> Change[Subscription]:
    """Take back a cancellation before the period is over."""
    before = find(tx, request.id, lock=True)
    policy.check_can_resume(before, ctx.now)
    return Change(before, lifecycle.change(tx, ctx, before, Moment.RESUMED, ends_at=None))


@operation("subscriptions.finish", by=[SystemOnly("the last period of a cancelled subscription is over")])
def finish(tx: Transaction, ctx: Context, request: OneSubscription) -> Change[Subscription]:
    """End a cancelled subscription whose last period is over; too early it stays as it is."""
    before = find(tx, request.id, lock=True)
    due = before.ends_at is not None and before.ends_at <= ctx.now
    after = lifecycle.end(tx, ctx, request.id, "cancelled before") if due else before
    return Change(before, after, subject=before.account)


@operation("subscriptions.list_own", by=[Subscriber.own])
def list_own(tx: ReadTransaction, ctx: Context, request: ListOwn) -> Seen[Subscriptions]:
    """One's own subscriptions, newest first."""
    return Seen(Subscriptions(of_account(tx, ctx.actor.id)))


@operation(
    "subscriptions.show",
    by=[Subscriber.own, Role.SUPPORT, Role.BILLING, ServiceAccount.scoped],
    subject=owner_of_subscription,
)
def show(tx: ReadTransaction, ctx: Context, request: OneSubscription) -> Seen[Subscription]:
    """One subscription."""
    return Seen(find(tx, request.id), object=request.id)


@operation("subscriptions.history", by=[Subscriber.own, Role.SUPPORT, Role.BILLING], subject=owner_of_subscription)
def show_history(tx: ReadTransaction, ctx: Context, request: OneSubscription) -> Seen[History]:
    """What happened to a subscription, oldest first."""
    return Seen(History(history_of(tx, request.id)), object=request.id)


@operation("subscriptions.of_person", by=[Role.SUPPORT, Role.BILLING], subject=named_person)
def of_person(tx: ReadTransaction, ctx: Context, request: OfPerson) -> Seen[Subscriptions]:
    """The subscriptions of a person, for those who help them."""
    return Seen(Subscriptions(of_account(tx, request.account)))


def _insert_plan(tx: Transaction, ctx: Context, item: CreatePlan) -> str:
    identifier = ctx.ids.new("pln")
    values = {
        "id": identifier, "name": item.name, "description": item.description, "features": "\n".join(item.features),
        "amount": item.amount, "currency": item.currency, "interval": item.interval,
        "trial_days": item.trial_days, "active": True, "created_at": ctx.now,
    }  # fmt: skip
    try:
        with tx.connection.begin_nested():
            tx.connection.execute(insert(plan).values(values))
    except IntegrityError as error:
        raise PlanExists() from error
    return identifier
