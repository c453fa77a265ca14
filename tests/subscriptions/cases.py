"""For each operation of the room: somebody who may, and somebody who may not."""

from __future__ import annotations

from collections.abc import Callable

from subscription_services.kernel.actors import Anonymous, Role, Subscriber, System
from subscription_services.subscriptions import Interval, Plan
from subscription_services.subscriptions.requests import (
    CreatePlan,
    ListOwn,
    ListPlans,
    OfPerson,
    OneSubscription,
    RetirePlan,
    SeedCatalogue,
    Subscribe,
)
from subscription_services.testing import Case, World
from subscription_services.testing.cases import Act

NEW = CreatePlan("Tiny", "For trying.", 100, "EUR", Interval.MONTH)
FREE = CreatePlan("Free", "For everybody.", 0, "EUR", Interval.MONTH)


def plan(world: World, wanted: CreatePlan = FREE) -> Plan:
    """A plan on offer."""
    made: Plan = world.do("subscriptions.create_plan", world.team(Role.BILLING), wanted)
    return made


def running(world: World) -> tuple[Subscriber, OneSubscription]:
    """Somebody with a running subscription, and it."""
    person = world.subscriber()
    made = world.do("subscriptions.subscribe", person, Subscribe(plan(world).id))
    return person, OneSubscription(made.id)


def cancelled(world: World) -> tuple[Subscriber, OneSubscription]:
    """Somebody with a subscription that ends with its period, and it."""
    person, one = running(world)
    world.do("subscriptions.cancel", person, one)
    return person, one


def a_stranger_tries(own: Callable[[World], tuple[Subscriber, OneSubscription]]) -> Callable[[World], Act]:
    """The same request from another subscriber."""
    return lambda world: (world.subscriber(), own(world)[1])


def _retire(world: World) -> Act:
    return world.team(Role.BILLING), RetirePlan(plan(world).id)


def _subscribe(world: World) -> Act:
    return world.subscriber(), Subscribe(plan(world).id)


def _subscribe_without_account(world: World) -> Act:
    return Anonymous(), Subscribe(plan(world).id)


def _retire_as_support(world: World) -> Act:
    return world.team(Role.SUPPORT), RetirePlan(plan(world).id)


CASES = [
    Case("subscriptions.plans", lambda w: (Anonymous(), ListPlans()), None),
    Case(
        "subscriptions.seed_catalogue",
        lambda w: (System("test"), SeedCatalogue()),
        lambda w: (w.team(Role.ADMINISTRATOR), SeedCatalogue()),
    ),
    Case(
        "subscriptions.create_plan",
        lambda w: (w.team(Role.BILLING), NEW),
        lambda w: (w.team(Role.SUPPORT), NEW),
    ),
    Case("subscriptions.retire_plan", _retire, _retire_as_support),
    Case("subscriptions.subscribe", _subscribe, _subscribe_without_account),
    Case("subscriptions.cancel", running, a_stranger_tries(running)),
    Case("subscriptions.resume", cancelled, a_stranger_tries(cancelled)),
    Case(
        "subscriptions.finish",
        lambda w: (System("test"), cancelled(w)[1]),
        lambda w: (w.team(Role.SUPPORT), cancelled(w)[1]),
    ),
    Case("subscriptions.list_own", lambda w: (w.subscriber(), ListOwn()), lambda w: (Anonymous(), ListOwn())),
    Case("subscriptions.show", running, a_stranger_tries(running)),
    Case("subscriptions.history", running, a_stranger_tries(running)),
    Case(
        "subscriptions.of_person",
        lambda w: (w.team(Role.SUPPORT), OfPerson(w.subscriber().id)),
        lambda w: (w.team(Role.SECURITY), OfPerson(w.subscriber().id)),
    ),
]
