"""Renewals with the saved card, and what happens when the card no longer works."""

from __future__ import annotations

import pytest

from subscription_services.billing import requests as asks
from subscription_services.billing.errors import MethodInUse
from subscription_services.billing.model import InvoiceStatus, PaymentState
from subscription_services.jobs import recent_jobs
from subscription_services.kernel.actors import Role
from subscription_services.kernel.errors import SubjectErased
from subscription_services.subscriptions import Status
from subscription_services.subscriptions import requests as sub_asks
from tests.billing.shop import Shop

ATTACHES_THEN_DECLINES = "pm_card_chargeCustomerFail"


def letters(shop: Shop, kind: str) -> int:
    """How many letters of a kind are on their way."""
    with shop.world.house.store.reading() as connection:
        jobs = recent_jobs(connection, "mail.")
    return sum(1 for job in jobs if job.kind) if not kind else len(_payloads(shop, kind))


def _payloads(shop: Shop, kind: str) -> list[str]:
    from sqlalchemy import select

    from subscription_services.jobs.model import job

    with shop.world.house.store.reading() as connection:
        rows = connection.execute(select(job.c.payload)).scalars()
        return [text for row in rows if (text := bytes(row).decode()) and f'"{kind}"' in text]


def broken_card(shop: Shop, account: str) -> None:
    """From now on the default card is declined."""
    facts = shop.processor.sdk.v1.customers.list({"limit": 100}).data
    customer = next(item for item in facts if getattr(item.metadata, "account", "") == account)
    shop.processor.sdk.v1.payment_methods.attach(ATTACHES_THEN_DECLINES, {"customer": customer.id})
    methods = shop.processor.sdk.v1.payment_methods.list({"customer": customer.id, "type": "card"}).data
    bad = next(item for item in methods if item.card and item.card.last4 == "0341")
    from subscription_services.billing.paying import keep_card

    shop.world.run(_keep(shop, account, bad.id, keep_card))


async def _keep(shop: Shop, account: str, token: str, keep_card: object) -> None:
    from subscription_services.kernel.actors import System
    from subscription_services.kernel.ports import Writer
    from subscription_services.kernel.transaction import BoundOutbox, Transaction

    kernel = shop.world.house.kernel
    ctx = kernel.context(System("test"))

    def work(connection: object) -> None:
        outbox = BoundOutbox(connection, kernel.outbox, ctx.now)  # type: ignore[arg-type]
        tx = Transaction(connection, kernel.keys.for_caller("billing"), outbox)  # type: ignore[arg-type]
        keep_card(tx, ctx, account, asks.CardFacts(token, "visa", "0341", "2031-12"))  # type: ignore[operator]

    await kernel.store.write(Writer.MIGRATIONS, work)


def test_each_month_one_invoice_and_one_charge(shop: Shop) -> None:
    me = shop.person()
    started = shop.subscribed(me)
    for _ in range(3):
        shop.world.clock.advance(days=31)
        shop.renew()
        shop.renew()
    numbers = [(item.number, item.status) for item in shop.invoices(me)]
    assert numbers == [(f"INV-2026-00000{n}", InvoiceStatus.PAID) for n in (4, 3, 2, 1)]
    found = shop.subscription(me, started.subscription)
    assert (found.status, found.period) == (Status.ACTIVE, 3)
    assert (found.period_start.day, found.period_start.month) == (2, 6)


def test_a_lost_answer_while_charging_charges_once(shop: Shop) -> None:
    me = shop.person()
    shop.subscribed(me)
    shop.world.clock.advance(days=32)
    shop.processor.behave(lose_answers={"count": 1, "path": "/v1/payment_intents/*/confirm", "how": "close"})
    shop.renew()
    for _ in range(3):
        shop.world.clock.advance(minutes=1)
        shop.world.run_jobs(2)
    newest = shop.invoices(me)[0]
    assert newest.status is InvoiceStatus.PAID
    document = shop.world.do("billing.invoice", shop.signed_in(me.id), asks.OneInvoice(newest.id))
    assert len(shop.charges(document.payment)) == 1


def test_a_failing_card_is_tried_on_schedule_and_then_the_subscription_ends(shop: Shop) -> None:
    me = shop.person()
    started = shop.subscribed(me)
    broken_card(shop, me.id)
    shop.world.clock.advance(days=32)
    shop.renew()
    assert shop.subscription(me, started.subscription).status is Status.PAST_DUE
    newest = shop.invoices(me)[0]
    payment = shop.world.do("billing.invoice", shop.signed_in(me.id), asks.OneInvoice(newest.id)).payment
    assert (shop.payment(payment).attempt, shop.payment(payment).failure) == (1, "generic_decline")
    for days, attempt in ((3, 2), (5, 3), (7, 4)):
        shop.world.clock.advance(days=days, seconds=1)
        shop.world.run_jobs(3)
        assert shop.payment(payment).attempt == attempt
    shop.world.run_jobs(3)
    assert shop.payment(payment).state is PaymentState.CANCELLED
    assert shop.invoices(me)[0].status is InvoiceStatus.UNCOLLECTIBLE
    assert shop.subscription(me, started.subscription).status is Status.ENDED
    assert (letters(shop, "billing.payment_failed"), letters(shop, "billing.ended_unpaid")) == (3, 1)
    assert shop.charges(payment) == []


def test_paying_by_hand_ends_the_dunning(shop: Shop) -> None:
    me = shop.person()
    started = shop.subscribed(me)
    broken_card(shop, me.id)
    shop.world.clock.advance(days=32)
    shop.renew()
    waiting = shop.world.do("billing.open_payment", shop.signed_in(me.id), asks.OneSubscription(started.subscription))
    shop.customer_pays(waiting.id)
    shop.look(waiting.id)
    assert shop.subscription(me, started.subscription).status is Status.ACTIVE
    shop.world.clock.advance(days=4)
    shop.world.run_jobs(3)
    assert len(shop.charges(waiting.id)) == 1


def test_a_trial_without_card_asks_for_one_when_it_is_over(shop: Shop) -> None:
    me = shop.person()
    started = shop.checkout(me, "Large")
    shop.world.clock.advance(days=14, seconds=1)
    shop.renew()
    assert shop.subscription(me, started.subscription).status is Status.PAST_DUE
    waiting = shop.world.do("billing.open_payment", shop.signed_in(me.id), asks.OneSubscription(started.subscription))
    assert (waiting.failure, waiting.state) == ("no_saved_card", PaymentState.OPEN)
    assert letters(shop, "billing.payment_failed") == 1


def test_a_cancelled_subscription_is_not_billed_and_ends(shop: Shop) -> None:
    from subscription_services.subscriptions.jobs import EndDue, end_due

    me = shop.person()
    started = shop.subscribed(me)
    shop.world.do("subscriptions.cancel", me, sub_asks.OneSubscription(started.subscription))
    shop.world.clock.advance(days=32)
    shop.renew()
    assert len(shop.invoices(me)) == 1
    shop.world.run(end_due(shop.world.house.kernel, EndDue()))
    assert shop.subscription(me, started.subscription).status is Status.ENDED


def test_the_last_card_stays_while_a_subscription_needs_it(shop: Shop) -> None:
    me = shop.person()
    started = shop.subscribed(me)
    (card,) = shop.world.do("billing.payment_methods", me, asks.Nothing()).methods
    with pytest.raises(MethodInUse):
        shop.world.do("billing.remove_payment_method", me, asks.OneMethod(card.id))
    shop.world.do("subscriptions.cancel", me, sub_asks.OneSubscription(started.subscription))
    shop.world.do("billing.remove_payment_method", me, asks.OneMethod(card.id))
    shop.world.run_jobs(3)
    assert shop.world.do("billing.payment_methods", me, asks.Nothing()).methods == ()
    customers = shop.processor.sdk.v1.customers.list({"limit": 100}).data
    mine = next(item for item in customers if getattr(item.metadata, "account", "") == me.id)
    assert shop.processor.sdk.v1.payment_methods.list({"customer": mine.id, "type": "card"}).data == []


def test_an_erased_person_is_billed_no_more_and_their_invoice_stays_readable(shop: Shop) -> None:
    me = shop.person()
    started = shop.subscribed(me)
    (invoice,) = shop.invoices(me)
    shop.world.house.kernel.keys.for_caller("privacy").destroy_subject(me.id, "asked for")
    shop.world.clock.advance(days=32)
    shop.renew()
    clerk = shop.member(Role.BILLING)
    found = shop.world.do("subscriptions.show", clerk, sub_asks.OneSubscription(started.subscription))
    assert found.status is Status.ENDED
    document = shop.world.do("billing.invoice", clerk, asks.OneInvoice(invoice.id))
    assert document.buyer == "Ada Łukasiewicz\na…@e….org", "masked for billing as ever; the paper kept holds all of it"
    with pytest.raises(SubjectErased):
        shop.world.do("billing.of_person", clerk, asks.OfPerson(me.id))


def test_a_charge_for_an_erased_person_is_taken_back(shop: Shop) -> None:
    me = shop.person()
    started = shop.subscribed(me)
    shop.world.clock.advance(days=32)
    shop.processor.behave(fail_next={"count": 2, "path": "/v1/*", "method": "POST", "status": 503})
    shop.renew()
    shop.world.house.kernel.keys.for_caller("privacy").destroy_subject(me.id, "asked for")
    clerk = shop.member(Role.BILLING)
    for _ in range(4):
        shop.world.clock.advance(seconds=40)
        shop.world.run_jobs(3)
    found = shop.world.do("subscriptions.show", clerk, sub_asks.OneSubscription(started.subscription))
    assert found.status is Status.ENDED
