"""The pages through the whole application: forms, redirects, what they say when something is wrong."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time

from subscription_services.billing.model import PaymentState
from subscription_services.kernel.events import Outcome
from tests.billing.browsing import browser
from tests.billing.shop import WEBHOOK_SECRET, Shop


def test_from_the_plans_to_the_invoice_and_out_again(shop: Shop) -> None:
    me = shop.person()
    plan = shop.plan("Standard")
    mine = browser(shop, me)
    assert "Choose Standard" in mine.open("/plans")
    shown = mine.open(f"/subscribe?plan={plan.id}")
    assert "€19.90" in shown
    assert "Tax not charged" in shown
    mine.page = None
    mine.open(f"/subscribe?plan={plan.id}")
    waiting = mine.send("/subscribe")
    assert mine.path.startswith("/checkout/pay_")
    assert "Connecting to the payment processor" in waiting
    payment = mine.path.rpartition("/")[2]
    assert json.loads(mine.open(f"/checkout/{payment}/state")).keys() == {"message"}
    shop.world.run_jobs(2)
    assert json.loads(mine.open(f"/checkout/{payment}/state")) == {"next": f"/checkout/{payment}"}
    paying = mine.open(f"/checkout/{payment}")
    assert re.search(rf'<iframe[^>]* src="{re.escape(shop.processor.url)}/frame/payment\?', paying)
    assert mine.page is not None
    policy = mine.page.headers["content-security-policy"]
    assert f"frame-src {shop.processor.url}" in policy
    shop.customer_pays(payment, "pm_card_visa_chargeDeclinedInsufficientFunds")
    declined = mine.open(f"/checkout/{payment}/return?redirect_status=failed")
    assert "does not have enough money" in declined
    assert "You were not charged" in declined
    shop.customer_pays(payment)
    done = mine.open(f"/checkout/{payment}/return?redirect_status=succeeded")
    assert mine.path.startswith("/subscriptions/sub_")
    assert "Your payment arrived" in done
    subscription = mine.path
    listed = mine.open("/invoices")
    assert "INV-2026-000001" in listed
    invoice = re.search(r'href="(/invoices/inv_[0-9a-f]{32})"', listed)
    assert invoice is not None
    assert "Ada Łukasiewicz" in mine.open(invoice[1])
    mine.open(invoice[1] + ".pdf")
    assert mine.page.content.startswith(b"%PDF-1.")
    assert mine.page.headers["content-type"] == "application/pdf"
    mine.open(subscription + "/cancel")
    assert "Nothing more is charged" in mine.send(subscription + "/cancel")
    assert "goes on as before" in mine.send(subscription + "/resume")
    assert "You have this plan already" in _again(mine, plan.id)


def _again(mine: object, plan: str) -> str:
    mine.open(f"/subscribe?plan={plan}")  # type: ignore[attr-defined]
    return str(mine.send("/subscribe"))  # type: ignore[attr-defined]


def test_a_processor_that_is_down_is_said_plainly(shop: Shop) -> None:
    me = shop.person()
    started = shop.checkout(me)
    shop.customer_pays(str(started.payment))
    mine = browser(shop, me)
    shop.processor.behave(fail_next={"count": 1, "path": "/v1/payment_intents/*", "method": "GET", "status": 503})
    shown = mine.open(f"/checkout/{started.payment}/return")
    assert "Confirming your payment" in shown
    assert 'http-equiv="refresh"' in shown
    shop.world.clock.advance(minutes=1)
    shop.processor.behave(fail_next={"count": 1, "path": "/v1/payment_intents/*", "method": "GET", "status": 503})
    assert "nothing is charged twice" in mine.open(f"/checkout/{started.payment}/return")
    mine.open(f"/checkout/{started.payment}/return")
    assert mine.path == f"/subscriptions/{started.subscription}"


def test_other_peoples_pages_do_not_exist(shop: Shop) -> None:
    me = shop.person()
    started = shop.subscribed(me)
    (invoice,) = shop.invoices(me)
    other = browser(shop, shop.person("eve@example.org", "Eve"))
    for path in (
        f"/checkout/{started.payment}", f"/checkout/{started.payment}/return", f"/checkout/{started.payment}/state",
        f"/invoices/{invoice.id}", f"/invoices/{invoice.id}.pdf", f"/subscriptions/{started.subscription}",
        f"/subscriptions/{started.subscription}/cancel",
    ):  # fmt: skip
        other.open(path)
        assert other.page is not None
        assert other.page.status_code == 404, path
    assert "No invoices yet" in other.open("/invoices")
    nobody = browser(shop)
    nobody.open(f"/invoices/{invoice.id}")
    assert nobody.path == "/sign-in"


def test_billing_details_stand_on_the_next_invoice(shop: Shop) -> None:
    me = shop.person()
    mine = browser(shop, me)
    mine.open("/account/payment-methods")
    wrong = mine.send("/account/billing-details", name="x" * 121, address="Main street 1")
    assert "at most 120 characters" in wrong
    assert "Main street 1" in wrong
    mine.send("/account/billing-details", name="Ada GmbH", address="Main street 1\n1010 Wien")
    shop.subscribed(me)
    (invoice,) = shop.invoices(me)
    shown = mine.open(f"/invoices/{invoice.id}")
    assert "Ada GmbH" in shown
    assert "1010 Wien" in shown
    assert "•••• 4242" in mine.open("/account/payment-methods")


def test_the_webhook_settles_and_a_forged_one_is_refused(shop: Shop) -> None:
    me = shop.person()
    started = shop.checkout(me)
    shop.customer_pays(str(started.payment))
    intent = shop.payment(str(started.payment)).intent
    events = shop.processor.sdk.v1.events.list({"limit": 100}).data
    event = next(e for e in events if e.type == "payment_intent.succeeded" and e.data.object["id"] == intent)
    body = json.dumps(event.to_dict()).encode()
    moment = int(time.time())
    good = hmac.new(WEBHOOK_SECRET.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    bad = hmac.new(b"whsec_other", f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
    caller = browser(shop).client

    def deliver(mac: str) -> int:
        headers = {"Stripe-Signature": f"t={moment},v1={mac}", "Content-Type": "application/json"}
        answer = shop.world.run(caller.post("/webhooks/processor", content=body, headers=headers))
        return int(answer.status_code)

    assert deliver(bad) == 400
    shop.world.run_jobs(2)
    assert shop.payment(str(started.payment)).state is PaymentState.OPEN
    assert [deliver(good), deliver(good)] == [200, 200]
    shop.world.run_jobs(2)
    assert shop.payment(str(started.payment)).state is PaymentState.PAID
    outcomes = [event.outcome for event in shop.world.events("billing.receive_event")]
    assert outcomes == [Outcome.FAILED, Outcome.SUCCESS, Outcome.SUCCESS]
