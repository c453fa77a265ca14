"""A subscription's life through its operations, on both engines."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from subscription_services.kernel.actors import Role, Subscriber
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.perform import perform
from subscription_services.subscriptions import Interval, Status
from subscription_services.subscriptions.errors import (
    AlreadyCancelled,
    AlreadyEnded,
    NotCancelled,
    NotStarted,
    PlanExists,
    PlanNotFound,
)
from subscription_services.subscriptions.jobs import EndDue, end_due
from subscription_services.subscriptions.requests import CreatePlan, ListOwn, OneSubscription, RetirePlan, Subscribe
from subscription_services.testing import World
from tests.subscriptions.cases import NEW, plan, running


def again(world: World, person: Subscriber) -> Subscriber:
    """The same person, signed in now."""
    from subscription_services.testing.people import sign_in_subscriber

    email = next(f"person{n}@example.org" for n in range(1, 20) if _is(world, f"person{n}@example.org", person.id))
    return sign_in_subscriber(world, email)


def _is(world: World, email: str, account: str) -> bool:
    try:
        return world.account(email) == account
    except AssertionError:
        return False


def test_cancel_resume_cancel_and_the_end(world: World) -> None:
    person, one = running(world)
    with pytest.raises(NotCancelled):
        world.do("subscriptions.resume", person, one)
    cancelled = world.do("subscriptions.cancel", person, one)
    assert cancelled.ends_at == cancelled.period_end
    with pytest.raises(AlreadyCancelled):
        world.do("subscriptions.cancel", person, one)
    assert world.do("subscriptions.resume", person, one).ends_at is None
    world.do("subscriptions.cancel", person, one)
    world.run(end_due(world.house.kernel, EndDue()))
    assert world.do("subscriptions.show", person, one).status is Status.ACTIVE
    world.clock.advance(days=32)
    person = again(world, person)
    with pytest.raises(AlreadyEnded):
        world.do("subscriptions.resume", person, one)
    world.run(end_due(world.house.kernel, EndDue()))
    ended = world.do("subscriptions.show", person, one)
    assert (ended.status, ended.ended_at) == (Status.ENDED, world.clock())
    with pytest.raises(AlreadyEnded):
        world.do("subscriptions.cancel", person, one)
    told = [entry.what.value for entry in world.do("subscriptions.history", person, one).entries]
    assert told == [
        "activated", "cancelled at period end", "resumed", "cancelled at period end", "ended",
    ]  # fmt: skip


def test_support_cancels_for_a_person_and_the_log_says_who(world: World) -> None:
    person, one = running(world)
    helper = world.team(Role.SUPPORT)
    world.do("subscriptions.cancel", helper, one)
    (event,) = world.events("subscriptions.cancel")
    assert (event.actor, event.subject, event.object) == (helper.id, person.id, one.id)
    assert event.details["changed"] == ["ends_at"]


def test_an_unpaid_one_is_not_cancelled_and_a_second_ask_finds_it(world: World) -> None:
    person, offered = world.subscriber(), plan(world, NEW)
    first = world.do("subscriptions.subscribe", person, Subscribe(offered.id))
    assert first.status is Status.INCOMPLETE
    assert world.do("subscriptions.subscribe", person, Subscribe(offered.id)).id == first.id
    with pytest.raises(NotStarted):
        world.do("subscriptions.cancel", person, OneSubscription(first.id))


def test_many_asks_at_once_make_one(world: World) -> None:
    person, offered = world.subscriber(), plan(world, NEW)
    kernel = world.house.kernel
    operation = kernel.registry.get("subscriptions.subscribe")
    assert operation is not None

    async def all_at_once() -> set[str]:
        ask = Subscribe(offered.id)
        return {item.id for item in await asyncio.gather(*(perform(kernel, operation, person, ask) for _ in range(6)))}

    assert len(world.run(all_at_once())) == 1
    assert len(world.do("subscriptions.list_own", person, ListOwn()).subscriptions) == 1


def test_the_database_itself_keeps_one_live_subscription(world: World) -> None:
    _, one = running(world)
    copy = text(
        "INSERT INTO subscriptions_subscription (id, account, plan, amount, currency, interval, status, anchor,"
        " period, period_start, period_end, created_at) SELECT 'sub_other', account, plan, amount, currency, interval,"
        " status, anchor, period, period_start, period_end, created_at FROM subscriptions_subscription WHERE id = :id"
    )
    with pytest.raises(IntegrityError):
        world.write(lambda connection: connection.execute(copy, {"id": one.id}))


def test_what_is_somebody_elses_does_not_exist(world: World) -> None:
    _, one = running(world)
    other = world.subscriber()
    for name in ("show", "history", "cancel", "resume"):
        with pytest.raises(NotFound):
            world.do(f"subscriptions.{name}", other, one)
        with pytest.raises(NotFound):
            world.do(f"subscriptions.{name}", other, OneSubscription("sub_" + "0" * 32))


def test_a_retired_plan_is_not_sold_but_goes_on(world: World) -> None:
    person, one = running(world)
    bought = world.do("subscriptions.show", person, one)
    clerk = world.team(Role.BILLING)
    with pytest.raises(PlanExists):
        world.do("subscriptions.create_plan", clerk, CreatePlan("Free", "", 0, "EUR", Interval.MONTH))
    world.do("subscriptions.retire_plan", clerk, RetirePlan(bought.plan))
    with pytest.raises(PlanNotFound):
        world.do("subscriptions.subscribe", world.subscriber(), Subscribe(bought.plan))
    assert world.do("subscriptions.show", person, one).status is Status.ACTIVE
    world.do("subscriptions.create_plan", clerk, CreatePlan("Free", "", 0, "EUR", Interval.YEAR))
