"""Webhooks: signed, every event, again until taken, and late, twice or out of order when asked."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import stripe

from tests.sandbox.processes import Certificate, Processor, Receiver, eventually, processor_process, receiver


@dataclass(frozen=True)
class Wired:
    """A processor whose webhooks arrive at a receiver."""

    processor: Processor
    receiver: Receiver
    secret: str

    def types(self) -> list[str]:
        """The events that arrived, each verified, in order of arrival."""
        return [event.type for event in self.receiver.events(self.secret)]


@pytest.fixture
def wired(processor: Processor) -> Iterator[Wired]:
    with receiver() as taking:
        endpoint = processor.sdk.v1.webhook_endpoints.create({"url": taking.url, "enabled_events": ["*"]})
        assert endpoint.secret is not None
        yield Wired(processor, taking, endpoint.secret)
        processor.sdk.v1.webhook_endpoints.delete(endpoint.id)


def test_every_step_of_a_payment_is_told(wired: Wired) -> None:
    sdk = wired.processor.sdk
    customer = sdk.v1.customers.create().id
    paid = sdk.v1.payment_intents.create(
        {
            "amount": 900,
            "currency": "eur",
            "customer": customer,
            "payment_method": "pm_card_visa",
            "confirm": True,
            "setup_future_usage": "off_session",
        }
    )
    sdk.v1.refunds.create({"payment_intent": paid.id})
    sdk.v1.payment_methods.detach(str(paid.payment_method))
    with pytest.raises(stripe.CardError):
        sdk.v1.payment_intents.create(
            {
                "amount": 900,
                "currency": "eur",
                "payment_method": "pm_card_visa_chargeDeclined",
                "confirm": True,
            }
        )
    eventually(lambda: len(wired.receiver.got) == 11)
    assert wired.types() == [
        "customer.created",
        "payment_intent.created",
        "payment_method.attached",
        "charge.succeeded",
        "payment_intent.succeeded",
        "refund.created",
        "charge.refunded",
        "payment_method.detached",
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
    ]
    event = wired.receiver.events(wired.secret)[4]
    assert event.data.object["id"] == paid.id and event.id.startswith("evt_")
    assert sdk.v1.events.retrieve(event.id).data.object["status"] == "succeeded"
    listed = sdk.v1.events.list({"type": "charge.refunded", "limit": 1})
    assert listed.data[0].type == "charge.refunded"


def test_a_wrong_secret_or_changed_body_does_not_verify(wired: Wired) -> None:
    wired.processor.sdk.v1.customers.create()
    eventually(lambda: len(wired.receiver.got) == 1)
    headers, body = wired.receiver.got[0]
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body, headers["stripe-signature"], "whsec_other")
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(body + b" ", headers["stripe-signature"], wired.secret)


def test_a_failed_delivery_comes_again(wired: Wired) -> None:
    wired.receiver.answers[:] = [500, 503, 302]
    wired.processor.sdk.v1.customers.create()
    eventually(lambda: len(wired.receiver.got) == 4)
    events = wired.receiver.events(wired.secret)
    assert len({event.id for event in events}) == 1
    time.sleep(0.3)
    assert len(wired.receiver.got) == 4


def test_duplicates(wired: Wired) -> None:
    wired.processor.behave(webhook_duplicate=3)
    wired.processor.sdk.v1.customers.create()
    eventually(lambda: len(wired.receiver.got) == 3)
    assert len({event.id for event in wired.receiver.events(wired.secret)}) == 1


def test_late(wired: Wired) -> None:
    wired.processor.behave(webhook_delay_seconds=0.6)
    began = time.monotonic()
    wired.processor.sdk.v1.customers.create()
    eventually(lambda: len(wired.receiver.got) == 1)
    assert time.monotonic() - began >= 0.6


def test_out_of_order(wired: Wired) -> None:
    wired.processor.behave(webhook_shuffle=3)
    wired.processor.sdk.v1.payment_intents.create(
        {"amount": 900, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True}
    )
    eventually(lambda: len(wired.receiver.got) == 3)
    assert wired.types() == ["payment_intent.succeeded", "charge.succeeded", "payment_intent.created"]


def test_what_is_held_back_comes_when_the_good_day_returns(wired: Wired) -> None:
    wired.processor.behave(webhook_shuffle=10)
    wired.processor.sdk.v1.customers.create()
    time.sleep(0.2)
    assert wired.receiver.got == []
    wired.processor.behave()
    eventually(lambda: len(wired.receiver.got) == 1)


def test_an_endpoint_gets_only_what_it_asked_for(processor: Processor) -> None:
    with receiver() as taking:
        endpoint = processor.sdk.v1.webhook_endpoints.create(
            {"url": taking.url, "enabled_events": ["payment_intent.canceled"]}
        )
        intent = processor.sdk.v1.payment_intents.create({"amount": 900, "currency": "eur"})
        processor.sdk.v1.payment_intents.cancel(intent.id)
        eventually(lambda: len(taking.got) == 1)
        assert [event.type for event in taking.events(str(endpoint.secret))] == ["payment_intent.canceled"]
        listed = processor.sdk.v1.webhook_endpoints.list().data
        assert [found.id for found in listed] == [endpoint.id]
        assert "secret" not in listed[0].to_dict()
        processor.sdk.v1.webhook_endpoints.delete(endpoint.id)


def test_an_endpoint_elsewhere_is_refused(processor: Processor) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        processor.sdk.v1.webhook_endpoints.create({"url": "https://shop.example/", "enabled_events": ["*"]})
    assert caught.value.code == "url_invalid"


def test_https_with_a_certificate_of_our_own_and_an_endpoint_from_the_start(certificate: Certificate) -> None:
    with receiver(certificate.server()) as taking:
        wired = ("--webhook-url", taking.url, "--webhook-secret", "whsec_known", "--ca", str(certificate.cert))
        with processor_process(*wired) as processor:
            processor.sdk.v1.customers.create()
            eventually(lambda: len(taking.got) == 1)
        assert [event.type for event in taking.events("whsec_known")] == ["customer.created"]
        assert taking.got[0][0]["host"].startswith("shop.localhost:")
