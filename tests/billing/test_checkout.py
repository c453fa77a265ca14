"""From a plan to a paid invoice: exactly once, whatever goes wrong on the way."""

from __future__ import annotations

import asyncio

import pytest

from subscription_services.billing import requests as asks
from subscription_services.billing.errors import AlreadyPaid, Mismatch, ProcessorUnavailable
from subscription_services.billing.model import InvoiceStatus, PaymentState
from subscription_services.billing.ports import IntentStatus
from subscription_services.billing.work import CancelPayment
from subscription_services.kernel.money import Money
from subscription_services.kernel.perform import perform
from subscription_services.subscriptions import Status
from subscription_services.subscriptions.errors import AlreadySubscribed
from tests.billing.shop import JOBS, Shop

DECLINES = {
    "pm_card_visa_chargeDeclined": "generic_decline",
    "pm_card_visa_chargeDeclinedInsufficientFunds": "insufficient_funds",
    "pm_card_chargeDeclinedExpiredCard": "expired_card",
    "pm_card_chargeDeclinedIncorrectCvc": "incorrect_cvc",
    "pm_card_chargeDeclinedProcessingError": "processing_error",
    "pm_card_chargeCustomerFail": "generic_decline",
}


def test_paying_makes_everything_true_at_once(shop: Shop) -> None:
    me = shop.person()
    started = shop.checkout(me)
    assert started.payment is not None
    assert shop.subscription(me, started.subscription).status is Status.INCOMPLETE
    shop.customer_pays(started.payment)
    shop.look(started.payment)
    (invoice,) = shop.invoices(me)
    assert (invoice.number, invoice.status, invoice.total) == ("INV-2026-000001", InvoiceStatus.PAID, Money(900, "EUR"))
    assert shop.subscription(me, started.subscription).status is Status.ACTIVE
    cards = shop.world.do("billing.payment_methods", me, asks.Nothing()).methods
    assert [(card.brand, card.last4, card.is_default) for card in cards] == [("visa", "4242", True)]
    assert len(shop.charges(started.payment)) == 1
    assert [event.outcome for event in shop.world.events("billing.settle_payment")] == ["success"]


@pytest.mark.parametrize("card", DECLINES)
def test_a_declined_card_says_why_and_stays_payable(shop: Shop, card: str) -> None:
    me = shop.person()
    started = shop.checkout(me)
    assert started.payment is not None
    shop.customer_pays(started.payment, card)
    shop.look(started.payment)
    after = shop.payment(started.payment)
    assert (after.state, after.failure) == (PaymentState.OPEN, DECLINES[card])
    shop.customer_pays(started.payment)
    shop.look(started.payment)
    assert shop.payment(started.payment).state is PaymentState.PAID
    assert len(shop.charges(started.payment)) == 1


def test_two_tabs_get_one_payment(shop: Shop) -> None:
    me, plan = shop.person(), shop.plan()
    kernel = shop.world.house.kernel
    operation = kernel.registry.get("billing.start_checkout")
    assert operation is not None

    async def both() -> list[asks.Started]:
        ask = asks.StartCheckout(plan.id)
        return list(await asyncio.gather(*(perform(kernel, operation, me, ask) for _ in range(4))))

    started = shop.world.run(both())
    assert len({(item.subscription, item.payment) for item in started}) == 1
    assert len(shop.invoices(me)) == 1


def test_a_second_subscription_to_the_same_plan_is_refused(shop: Shop) -> None:
    me = shop.person()
    shop.subscribed(me)
    with pytest.raises(AlreadySubscribed):
        shop.world.do("billing.start_checkout", me, asks.StartCheckout(shop.plan().id))
    assert len(shop.invoices(me)) == 1


def test_one_key_is_one_checkout(shop: Shop) -> None:
    me, plan = shop.person(), shop.plan()
    first = shop.world.do("billing.start_checkout", me, asks.StartCheckout(plan.id), idempotency_key="k1")
    again = shop.world.do("billing.start_checkout", me, asks.StartCheckout(plan.id), idempotency_key="k1")
    assert first == again
    assert len(shop.world.events("billing.start_checkout")) == 1


@pytest.mark.parametrize("how", ["500", "close"])
def test_a_lost_answer_is_asked_for_again_and_makes_no_second_intent(shop: Shop, how: str) -> None:
    me = shop.person()
    shop.plan()
    shop.processor.behave(lose_answers={"count": 2, "path": "/v1/*", "how": how})
    started = shop.checkout(me)
    assert started.payment is not None
    assert shop.payment(started.payment).state is PaymentState.WAITING
    for _ in range(3):
        shop.world.clock.advance(seconds=20)
        shop.world.run_jobs(2)
    found = shop.payment(started.payment)
    assert found.state is PaymentState.OPEN
    made = shop.processor.sdk.v1.payment_intents.list({"limit": 100}).data
    assert [item.id for item in made if getattr(item.metadata, "payment", "") == started.payment] == [found.intent]


def test_a_processor_that_is_down_loses_nothing(shop: Shop) -> None:
    me = shop.person()
    shop.plan()
    shop.processor.behave(fail_next={"count": 3, "path": "/v1/*", "method": "*", "status": 503})
    started = shop.checkout(me)
    assert started.payment is not None
    shown = shop.world.do("billing.checkout", me, asks.OnePayment(started.payment))
    assert (shown.payment.state, shown.client_secret) == (PaymentState.WAITING, "")
    for _ in range(4):
        shop.world.clock.advance(seconds=40)
        shop.world.run_jobs(2)
    shop.customer_pays(started.payment)
    shop.processor.behave(fail_next={"count": 1, "path": "/v1/payment_intents/*", "method": "GET", "status": 503})
    with pytest.raises(ProcessorUnavailable):
        shop.look(started.payment)
    assert shop.payment(started.payment).state is PaymentState.OPEN
    shop.look(started.payment)
    assert shop.payment(started.payment).state is PaymentState.PAID
    assert len(shop.charges(started.payment)) == 1


def test_settling_twice_changes_nothing_the_second_time(shop: Shop) -> None:
    me = shop.person()
    started = shop.subscribed(me)
    assert started.payment is not None
    found = shop.payment(started.payment)
    assert found.intent is not None
    again = asks.SettlePayment(found.id, found.intent, IntentStatus.SUCCEEDED, found.amount)
    shop.world.do("billing.settle_payment", JOBS, again)
    late = asks.SettlePayment(found.id, found.intent, IntentStatus.NEEDS_METHOD, Money(0, "EUR"), "generic_decline")
    shop.world.do("billing.settle_payment", JOBS, late)
    assert shop.payment(found.id) == found
    with pytest.raises(AlreadyPaid):
        shop.world.do("billing.cancel_checkout", me, asks.OnePayment(found.id))


def test_another_amount_or_intent_settles_nothing(shop: Shop) -> None:
    me = shop.person()
    started = shop.checkout(me)
    assert started.payment is not None
    found = shop.payment(started.payment)
    assert found.intent is not None
    for intent, received in (
        (found.intent, Money(899, "EUR")),
        (found.intent, Money(900, "USD")),
        ("pi_x", found.amount),
    ):
        with pytest.raises(Mismatch):
            ask = asks.SettlePayment(found.id, intent, IntentStatus.SUCCEEDED, received)
            shop.world.do("billing.settle_payment", JOBS, ask)
    assert shop.payment(found.id).state is PaymentState.OPEN


def test_a_checkout_that_nobody_pays_is_closed_at_the_processor_first(shop: Shop) -> None:
    me = shop.person()
    started = shop.checkout(me)
    assert started.payment is not None
    shop.world.clock.advance(hours=25)
    shop.world.run_jobs(4)
    found = shop.payment(started.payment)
    assert found.state is PaymentState.CANCELLED
    assert shop.processor.sdk.v1.payment_intents.retrieve(str(found.intent)).status == "canceled"
    assert [item.status for item in shop.invoices(me)] == [InvoiceStatus.VOID]
    assert shop.subscription(me, started.subscription).status is Status.ENDED
    assert shop.world.do("billing.start_checkout", shop.signed_in(me.id), asks.StartCheckout(shop.plan().id)).payment


def test_paying_at_the_last_moment_wins_over_the_closing(shop: Shop) -> None:
    me = shop.person()
    started = shop.checkout(me)
    assert started.payment is not None
    shop.customer_pays(started.payment)
    shop.world.run(shop.till.cancel(shop.world.house.kernel, CancelPayment(started.payment)))
    assert shop.payment(started.payment).state is PaymentState.PAID
    assert shop.subscription(me, started.subscription).status is Status.ACTIVE


def test_a_trial_starts_at_once_and_only_once(shop: Shop) -> None:
    me = shop.person()
    started = shop.checkout(me, "Large")
    assert started.payment is None
    assert shop.subscription(me, started.subscription).status is Status.TRIALING
    second = shop.checkout(me, "Light")
    assert second.payment is not None
    assert shop.invoices(me)[0].total == Money(900, "EUR")


def test_tax_is_added_when_the_operators_charge_it(shop: Shop) -> None:
    from subscription_services.billing.jobs import apply_terms
    from subscription_services.billing.model import Terms

    terms = Terms(seller="House", seller_address="Main street 1", tax_rate=1900)
    shop.world.run(apply_terms(shop.world.house.kernel, terms))
    shop.world.run(apply_terms(shop.world.house.kernel, terms))
    assert len(shop.world.events("billing.set_terms")) == 1
    me = shop.person()
    shop.checkout(me)
    (invoice,) = shop.invoices(me)
    assert (invoice.net.amount, invoice.tax.amount, invoice.total.amount) == (900, 171, 1071)
    assert invoice.tax_words == "VAT 19 %"


def test_the_reconciliation_finds_what_no_webhook_told(shop: Shop) -> None:
    from subscription_services.billing.work import Reconcile

    me = shop.person()
    started = shop.checkout(me)
    assert started.payment is not None
    shop.customer_pays(started.payment)
    shop.world.clock.advance(minutes=4)
    shop.world.run(shop.till.reconcile(shop.world.house.kernel, Reconcile()))
    assert shop.payment(started.payment).state is PaymentState.PAID


def test_numbers_have_no_gaps_however_many_come_at_once(shop: Shop) -> None:
    people, plan = [shop.person(f"p{n}@example.org") for n in range(12)], shop.plan()
    kernel = shop.world.house.kernel
    operation = kernel.registry.get("billing.start_checkout")
    assert operation is not None

    async def everybody() -> None:
        ask = asks.StartCheckout(plan.id)
        await asyncio.gather(*(perform(kernel, operation, person, ask) for person in people))

    shop.world.run(everybody())
    numbers = sorted(str(shop.invoices(person)[0].number) for person in people)
    assert numbers == [f"INV-2026-{n:06d}" for n in range(1, 13)]


def test_money_for_a_closed_checkout_is_not_lost_from_sight(shop: Shop) -> None:
    me = shop.person()
    started = shop.checkout(me)
    found = shop.payment(str(started.payment))
    shop.world.do("billing.close_payment", JOBS, asks.OnePayment(found.id))
    shop.customer_pays(found.id)
    shop.look(found.id)
    assert shop.payment(found.id).state is PaymentState.PAID
    assert shop.invoices(me)[0].status is InvoiceStatus.PAID
    assert shop.subscription(me, started.subscription).status is Status.ENDED


def test_one_bad_payment_keeps_no_other_waiting(shop: Shop) -> None:
    from sqlalchemy import text

    from subscription_services.billing.work import Reconcile

    bad, good = shop.person("bad@example.org"), shop.person("good@example.org")
    first, second = shop.checkout(bad), shop.checkout(good)
    for started in (first, second):
        shop.customer_pays(str(started.payment))
    wrong = text("UPDATE billing_payment SET amount = 1 WHERE id = :id")
    shop.world.write(lambda connection: connection.execute(wrong, {"id": first.payment}))
    shop.world.clock.advance(minutes=4)
    shop.world.run(shop.till.reconcile(shop.world.house.kernel, Reconcile()))
    assert shop.payment(str(first.payment)).state is PaymentState.OPEN
    assert shop.payment(str(second.payment)).state is PaymentState.PAID
    assert [event.reason for event in shop.world.events("billing.settle_payment") if event.reason] == [
        "payment-mismatch"
    ]
