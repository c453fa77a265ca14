"""Money back: bounded by what was paid, once, with a credit note."""

from __future__ import annotations

from datetime import timedelta

import pytest

from subscription_services.billing import requests as asks
from subscription_services.billing.errors import NotPaid, RefundTooLarge
from subscription_services.billing.model import RefundState
from subscription_services.kernel.actors import Role
from subscription_services.kernel.errors import Refusal, StepUpNeeded
from tests.billing.shop import Shop


def given_back(shop: Shop, payment: str) -> list[int]:
    """What the processor gave back of a payment, in minor units."""
    intent = str(shop.payment(payment).intent)
    return sorted(item.amount for item in shop.processor.sdk.v1.refunds.list({"payment_intent": intent}).data)


def test_parts_up_to_all_and_not_a_cent_more(shop: Shop) -> None:
    me, clerk = shop.person(), shop.member(Role.BILLING)
    shop.subscribed(me)
    (invoice,) = shop.invoices(me)
    first = shop.world.do("billing.refund", clerk, asks.GiveRefund(invoice.id, 300))
    assert first.number == "CN-2026-000001"
    with pytest.raises(RefundTooLarge):
        shop.world.do("billing.refund", clerk, asks.GiveRefund(invoice.id, 601))
    shop.world.do("billing.refund", clerk, asks.GiveRefund(invoice.id, 600))
    with pytest.raises(RefundTooLarge):
        shop.world.do("billing.refund", clerk, asks.GiveRefund(invoice.id, 1))
    shop.world.run_jobs(3)
    document = shop.world.do("billing.invoice", me, asks.OneInvoice(invoice.id))
    assert [(note.amount.amount, note.state) for note in document.credits] == [
        (300, RefundState.DONE), (600, RefundState.DONE),
    ]  # fmt: skip
    assert document.invoice.refunded == invoice.total
    assert given_back(shop, document.payment) == [300, 600]


def test_a_lost_answer_refunds_once(shop: Shop) -> None:
    me, clerk = shop.person(), shop.member(Role.BILLING)
    started = shop.subscribed(me)
    (invoice,) = shop.invoices(me)
    shop.processor.behave(lose_answers={"count": 2, "path": "/v1/refunds", "how": "500"})
    ask = asks.GiveRefund(invoice.id, 500)
    given = shop.world.do("billing.refund", clerk, ask, idempotency_key="r1")
    assert shop.world.do("billing.refund", clerk, ask, idempotency_key="r1") == given
    for _ in range(4):
        shop.world.run_jobs(2)
        shop.world.clock.advance(seconds=30)
    assert given_back(shop, str(started.payment)) == [500]


def test_what_the_processor_refuses_counts_as_paid_again(shop: Shop) -> None:
    me, clerk = shop.person(), shop.member(Role.BILLING)
    started = shop.subscribed(me)
    (invoice,) = shop.invoices(me)
    intent = str(shop.payment(str(started.payment)).intent)
    shop.processor.sdk.v1.refunds.create({"payment_intent": intent, "amount": 800})
    shop.world.do("billing.refund", clerk, asks.GiveRefund(invoice.id, 500))
    shop.world.run_jobs(3)
    document = shop.world.do("billing.invoice", me, asks.OneInvoice(invoice.id))
    assert (document.credits, document.invoice.refunded.amount) == ((), 0)
    assert [event.details["failure"] != "" for event in shop.world.events("billing.record_refund")] == [True]


def test_only_billing_that_just_signed_in_and_only_what_was_paid(shop: Shop) -> None:
    me = shop.person()
    shop.checkout(me)
    (invoice,) = shop.invoices(me)
    with pytest.raises(NotPaid):
        shop.world.do("billing.refund", shop.member(Role.BILLING), asks.GiveRefund(invoice.id, 1))
    for role in (Role.SUPPORT, Role.ADMINISTRATOR):
        with pytest.raises(Refusal):
            shop.world.do("billing.refund", shop.member(role), asks.GiveRefund(invoice.id, 1))
    clerk = shop.member(Role.BILLING)
    shop.world.clock.advance(**{"minutes": timedelta(minutes=16).seconds / 60})
    with pytest.raises(StepUpNeeded):
        shop.world.do("billing.refund", clerk, asks.GiveRefund(invoice.id, 1))
