"""Webhooks: signed, each handled once, harmless in any order; the truth is read from the processor."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import time

import pytest

from subscription_services.billing import requests as asks
from subscription_services.billing.errors import BadSignature
from subscription_services.billing.model import PaymentState
from subscription_services.billing.processor import StripeProcessor
from subscription_services.billing.settings import BillingSettings
from subscription_services.kernel.actors import System
from subscription_services.kernel.errors import Refusal
from tests.billing.shop import WEBHOOK_SECRET, Shop

PROCESSOR = System("processor")


def events_of(shop: Shop, payment: str) -> list[asks.ReceiveEvent]:
    """Every event of the processor about a payment, as the endpoint would hand them on."""
    intent = shop.payment(payment).intent
    listed = shop.processor.sdk.v1.events.list({"limit": 100}).data
    about = [item for item in listed if item.data.object["id"] == intent]
    return [asks.ReceiveEvent(item.id, item.type, str(intent), str(intent)) for item in about]


def test_duplicates_in_any_order_settle_once(shop: Shop) -> None:
    me = shop.person()
    started = shop.checkout(me)
    payment = str(started.payment)
    shop.customer_pays(payment, "pm_card_visa_chargeDeclined")
    shop.customer_pays(payment)
    found = events_of(shop, payment)
    assert {item.kind for item in found} >= {"payment_intent.payment_failed", "payment_intent.succeeded"}
    orders = list(itertools.permutations(found))
    for event in (*orders[0], *orders[-1], *orders[len(orders) // 2]):
        shop.world.do("billing.receive_event", PROCESSOR, event)
        shop.world.run_jobs(2)
    assert shop.payment(payment).state is PaymentState.PAID
    paid = [event for event in shop.world.events("billing.settle_payment") if event.details["status"] == "succeeded"]
    assert len(paid) == 1
    assert len(shop.charges(payment)) == 1


def test_an_event_is_kept_once(shop: Shop) -> None:
    event = asks.ReceiveEvent("evt_1", "payment_intent.succeeded", "pi_unknown", "pi_unknown")
    assert [shop.world.do("billing.receive_event", PROCESSOR, event).again for _ in range(2)] == [False, True]
    with pytest.raises(Refusal):
        shop.world.do("billing.receive_event", shop.person(), event)


def sign(body: bytes, secret: str, moment: int) -> str:
    mac = hmac.new(secret.encode(), f"{moment}.".encode() + body, hashlib.sha256)
    return f"t={moment},v1={mac.hexdigest()}"


def test_only_the_signed_body_is_believed() -> None:
    processor = StripeProcessor(BillingSettings(secret_key="sk_test_x", webhook_secret=WEBHOOK_SECRET))
    shown = {"id": "pi_1", "object": "payment_intent"}
    body = json.dumps(
        {"id": "evt_1", "object": "event", "type": "payment_intent.succeeded", "data": {"object": shown}}
    ).encode()
    now = int(time.time())
    event = processor.read_event(body, sign(body, WEBHOOK_SECRET, now))
    assert (event.id, event.kind, event.payment) == ("evt_1", "payment_intent.succeeded", "pi_1")
    for wrong_body, signature in (
        (body, ""),
        (body, sign(body, "whsec_other", now)),
        (body + b" ", sign(body, WEBHOOK_SECRET, now)),
        (body, sign(body, WEBHOOK_SECRET, now - 3600)),
        (b"\xff", sign(b"\xff", WEBHOOK_SECRET, now)),
        (b"{}", sign(b"{}", WEBHOOK_SECRET, now)),
        (b"[]", sign(b"[]", WEBHOOK_SECRET, now)),
    ):
        with pytest.raises(BadSignature):
            processor.read_event(wrong_body, signature)
