"""For each operation of the room: somebody who may, and somebody who may not. No processor is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from subscription_services.billing import requests as asks
from subscription_services.billing.model import Terms
from subscription_services.billing.ports import IntentStatus
from subscription_services.kernel.actors import Actor, Anonymous, Role, Subscriber, System
from subscription_services.kernel.money import Money
from subscription_services.subscriptions.requests import OneSubscription
from subscription_services.testing import Case, World
from subscription_services.testing.cases import Act
from tests.subscriptions.cases import NEW, plan

JOBS = System("test")
PRICE = Money(100, "EUR")
CARD = asks.CardFacts("pm_1", "visa", "4242", "2031-12")


def started(world: World) -> tuple[Subscriber, asks.Started]:
    """Somebody who began a checkout."""
    person = world.subscriber()
    return person, world.do("billing.start_checkout", person, asks.StartCheckout(plan(world, NEW).id))


def told(world: World) -> tuple[Subscriber, asks.Started]:
    """The same once the processor knows of it."""
    person, begun = started(world)
    world.do("billing.record_intent", JOBS, asks.RecordIntent(str(begun.payment), "cus_1", "pi_1", "pi_1_secret_1"))
    return person, begun


def settled(world: World) -> tuple[Subscriber, asks.Started]:
    """The same once it is paid."""
    person, begun = told(world)
    world.do("billing.settle_payment", JOBS, settlement(begun))
    return person, begun


def settlement(begun: asks.Started) -> asks.SettlePayment:
    """What the processor says when the money came."""
    return asks.SettlePayment(str(begun.payment), "pi_1", IntentStatus.SUCCEEDED, PRICE, card=CARD)


def invoice_of(world: World, person: Subscriber) -> asks.OneInvoice:
    """The person's newest invoice."""
    return asks.OneInvoice(world.do("billing.invoices", person, asks.Nothing()).invoices[0].id)


def card_of(world: World, person: Subscriber) -> asks.OneMethod:
    """The person's saved card."""
    return asks.OneMethod(world.do("billing.payment_methods", person, asks.Nothing()).methods[0].id)


def payment(begun: asks.Started) -> asks.OnePayment:
    return asks.OnePayment(str(begun.payment))


def subscription(begun: asks.Started) -> asks.OneSubscription:
    return asks.OneSubscription(begun.subscription)


Begin = Callable[[World], tuple[Subscriber, asks.Started]]
Ask = Callable[[asks.Started], Any]


def own(begin: Begin, ask: Ask) -> Callable[[World], Act]:
    """The person asks about what they began."""

    def act(world: World) -> Act:
        person, begun = begin(world)
        return person, ask(begun)

    return act


def by(actor: Callable[[World], Actor], begin: Begin, ask: Ask) -> Callable[[World], Act]:
    """Somebody else asks about it."""

    def act(world: World) -> Act:
        _, begun = begin(world)
        return actor(world), ask(begun)

    return act


def about_invoice(actor: Callable[[World], Actor] | None) -> Callable[[World], Act]:
    """The person, or somebody else, asks about an invoice."""

    def act(world: World) -> Act:
        person, _ = settled(world)
        return (actor(world) if actor else person), invoice_of(world, person)

    return act


def about_card(actor: Callable[[World], Actor] | None, *, ended: bool = False) -> Callable[[World], Act]:
    """The person, or somebody else, asks about a saved card; `ended` once no subscription needs it."""

    def act(world: World) -> Act:
        person, begun = settled(world)
        card = card_of(world, person)
        if ended:
            world.do("subscriptions.cancel", person, OneSubscription(begun.subscription))
        return (actor(world) if actor else person), card

    return act


def refund(actor: Callable[[World], Actor]) -> Callable[[World], Act]:
    def act(world: World) -> Act:
        person, _ = settled(world)
        return actor(world), asks.GiveRefund(invoice_of(world, person).id, 50)

    return act


def about_refund(actor: Callable[[World], Actor], ask: Callable[[str], Any]) -> Callable[[World], Act]:
    def act(world: World) -> Act:
        clerk, request = refund(_billing)(world)
        made = world.do("billing.refund", clerk, request)
        return actor(world), ask(made.id)

    return act


def removed_card(actor: Callable[[World], Actor]) -> Callable[[World], Act]:
    def act(world: World) -> Act:
        person, card = about_card(None, ended=True)(world)
        world.do("billing.remove_payment_method", person, card)
        return actor(world), card

    return act


def _system(world: World) -> Actor:
    return JOBS


def _stranger(world: World) -> Actor:
    return world.subscriber()


def _billing(world: World) -> Actor:
    return world.team(Role.BILLING)


def _support(world: World) -> Actor:
    return world.team(Role.SUPPORT)


def _administrator(world: World) -> Actor:
    return world.team(Role.ADMINISTRATOR)


def _anonymous(world: World) -> Actor:
    return Anonymous()


def of_person(actor: Callable[[World], Actor]) -> Callable[[World], Act]:
    return lambda world: (actor(world), asks.OfPerson(world.subscriber().id))


def plain(actor: Callable[[World], Actor], request: Any) -> Callable[[World], Act]:
    return lambda world: (actor(world), request)


def choose(actor: Callable[[World], Actor]) -> Callable[[World], Act]:
    return lambda world: (actor(world), asks.StartCheckout(plan(world, NEW).id))


def _intent(begun: asks.Started) -> asks.RecordIntent:
    return asks.RecordIntent(str(begun.payment), "cus_1", "pi_1", "pi_1_secret_1")


EVENT = asks.ReceiveEvent("evt_1", "payment_intent.succeeded", "pi_1", "pi_1")
TERMS = asks.SetTerms(Terms(tax_rate=1900))
DETAILS = asks.SetDetails("Ada GmbH", "Main street 1")

CASES = [
    Case("billing.start_checkout", choose(_stranger), choose(_anonymous)),
    Case("billing.offer", choose(_stranger), choose(_anonymous)),
    Case("billing.cancel_checkout", own(told, payment), by(_stranger, told, payment)),
    Case("billing.checkout", own(told, payment), by(_stranger, told, payment)),
    Case("billing.open_payment", own(told, subscription), by(_stranger, told, subscription)),
    Case("billing.payment_facts", by(_system, told, payment), by(_support, told, payment)),
    Case("billing.record_intent", by(_system, started, _intent), by(_billing, started, _intent)),
    Case("billing.settle_payment", by(_system, told, settlement), own(told, settlement)),
    Case("billing.close_payment", by(_system, told, payment), own(told, payment)),
    Case("billing.open_period", by(_system, settled, subscription), by(_billing, settled, subscription)),
    Case("billing.set_terms", plain(_system, TERMS), plain(_administrator, TERMS)),
    Case("billing.invoices", plain(_stranger, asks.Nothing()), plain(_anonymous, asks.Nothing())),
    Case("billing.invoice", about_invoice(None), about_invoice(_stranger)),
    Case("billing.invoice_pdf", about_invoice(None), about_invoice(_support)),
    Case("billing.letter_facts", by(_system, settled, payment), own(settled, payment)),
    Case("billing.of_person", of_person(_billing), of_person(_administrator)),
    Case("billing.details", plain(_stranger, asks.Nothing()), plain(_anonymous, asks.Nothing())),
    Case("billing.set_details", plain(_stranger, DETAILS), plain(_anonymous, DETAILS)),
    Case("billing.payment_methods", plain(_stranger, asks.Nothing()), plain(_billing, asks.Nothing())),
    Case("billing.set_default_method", about_card(None), about_card(_stranger)),
    Case("billing.remove_payment_method", about_card(None, ended=True), about_card(_stranger, ended=True)),
    Case("billing.method_facts", removed_card(_system), removed_card(_billing)),
    Case("billing.refund", refund(_billing), refund(_support)),
    Case("billing.refund_facts", about_refund(_system, asks.OneRefund), about_refund(_billing, asks.OneRefund)),
    Case("billing.record_refund", about_refund(_system, asks.RecordRefund), about_refund(_billing, asks.RecordRefund)),
    Case("billing.receive_event", plain(_system, EVENT), plain(_anonymous, EVENT)),
]
