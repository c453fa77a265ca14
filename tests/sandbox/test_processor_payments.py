"""Every test card, and what the real SDK reads of each outcome."""

from typing import Any

import httpx
import pytest
import stripe

from tests.sandbox.processes import EMBEDDER, Processor


def _pay(processor: Processor, card: str, **more: Any) -> stripe.PaymentIntent:
    asked = {"amount": 1200, "currency": "eur", "payment_method": card, "confirm": True, **more}
    return processor.sdk.v1.payment_intents.create(asked)  # type: ignore[arg-type]


def test_a_good_card_is_charged(processor: Processor) -> None:
    paid = _pay(processor, "pm_card_visa", expand=["latest_charge", "payment_method"])
    assert (paid.status, paid.amount_received, paid.id[:3]) == ("succeeded", 1200, "pi_")
    assert isinstance(paid.latest_charge, stripe.Charge) and paid.latest_charge.paid
    assert isinstance(paid.payment_method, stripe.PaymentMethod)
    assert paid.payment_method.card is not None
    assert (paid.payment_method.card.last4, paid.payment_method.card.brand) == ("4242", "visa")


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc"),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error"),
        ("pm_card_chargeCustomerFail", "card_declined", "generic_decline"),
    ],
)
def test_a_decline_says_why_and_stays_on_the_intent(
    processor: Processor, card: str, code: str, decline_code: str
) -> None:
    with pytest.raises(stripe.CardError) as caught:
        _pay(processor, card)
    error = caught.value
    assert (error.http_status, error.code) == (402, code)
    assert error.error is not None and error.error.payment_intent is not None
    assert error.error.decline_code == decline_code
    intent = processor.sdk.v1.payment_intents.retrieve(error.error.payment_intent.id)
    assert (intent.status, intent.payment_method) == ("requires_payment_method", None)
    assert intent.last_payment_error is not None and intent.last_payment_error.code == code
    charge = processor.sdk.v1.charges.retrieve(str(intent.latest_charge))
    assert (charge.status, charge.paid, charge.failure_code) == ("failed", False, code)


@pytest.mark.parametrize("card", ["pm_card_authenticationRequired", "pm_card_authenticationRequiredOnSetup"])
def test_a_card_that_needs_authentication_waits_for_it(processor: Processor, card: str) -> None:
    waiting = _pay(processor, card, return_url=f"{EMBEDDER}/back")
    assert waiting.status == "requires_action"
    assert waiting.next_action is not None and waiting.next_action.redirect_to_url is not None
    assert str(waiting.next_action.redirect_to_url.url).startswith(f"{processor.url}/frame/payment?")
    assert processor.sdk.v1.payment_intents.cancel(waiting.id).status == "canceled"


def _saved(processor: Processor, card: str) -> tuple[str, str]:
    """Customer and payment method after a setup intent, authenticated when the bank asks."""
    customer = processor.sdk.v1.customers.create({"metadata": {"account": "acc_1"}}).id
    setup = processor.sdk.v1.setup_intents.create(
        {
            "customer": customer,
            "payment_method": card,
            "confirm": True,
            "return_url": f"{EMBEDDER}/back",
            "automatic_payment_methods": {"enabled": True},
        }
    )
    if setup.status == "requires_action":
        form = {
            "client_secret": setup.client_secret,
            "return_url": f"{EMBEDDER}/back",
            "publishable_key": "pk_test_sandbox",
            "answer": "complete",
        }
        httpx.post(f"{processor.url}/frame/setup", data=form)
        setup = processor.sdk.v1.setup_intents.retrieve(setup.id)
    assert setup.status == "succeeded"
    return customer, str(setup.payment_method)


@pytest.mark.parametrize("card", ["pm_card_visa", "pm_card_authenticationRequiredOnSetup"])
def test_a_saved_card_is_charged_while_the_customer_is_away(processor: Processor, card: str) -> None:
    customer, method = _saved(processor, card)
    listed = processor.sdk.v1.payment_methods.list({"customer": customer, "type": "card"})
    assert [found.id for found in listed.data] == [method]
    assert _pay(processor, method, customer=customer, off_session=True).status == "succeeded"
    paid = processor.sdk.v1.payment_intents.list({"customer": customer})
    assert [intent.status for intent in paid.data] == ["succeeded"]


def test_a_bank_that_always_asks_declines_while_the_customer_is_away(processor: Processor) -> None:
    customer, method = _saved(processor, "pm_card_authenticationRequired")
    with pytest.raises(stripe.CardError) as caught:
        _pay(processor, method, customer=customer, off_session=True)
    assert caught.value.code == "authentication_required"


def test_the_card_that_attaches_declines_when_charged(processor: Processor) -> None:
    customer, method = _saved(processor, "pm_card_chargeCustomerFail")
    with pytest.raises(stripe.CardError):
        _pay(processor, method, customer=customer, off_session=True)
    kept = processor.sdk.v1.payment_methods.retrieve(method)
    assert kept.customer == customer


def test_a_declining_card_cannot_be_saved(processor: Processor) -> None:
    customer = processor.sdk.v1.customers.create().id
    with pytest.raises(stripe.CardError) as caught:
        processor.sdk.v1.setup_intents.create(
            {"customer": customer, "payment_method": "pm_card_visa_chargeDeclined", "confirm": True}
        )
    assert caught.value.error is not None and caught.value.error.setup_intent is not None
    with pytest.raises(stripe.CardError):
        processor.sdk.v1.payment_methods.attach("pm_card_visa_chargeDeclined", {"customer": customer})


def test_a_method_of_one_customer_is_not_another_s(processor: Processor) -> None:
    _, method = _saved(processor, "pm_card_visa")
    other = processor.sdk.v1.customers.create().id
    with pytest.raises(stripe.InvalidRequestError):
        _pay(processor, method, customer=other, off_session=True)


def test_a_detached_method_is_never_used_again(processor: Processor) -> None:
    customer, method = _saved(processor, "pm_card_visa")
    assert processor.sdk.v1.payment_methods.detach(method).customer is None
    with pytest.raises(stripe.InvalidRequestError):
        _pay(processor, method, customer=customer)
    with pytest.raises(stripe.InvalidRequestError):
        processor.sdk.v1.payment_methods.attach(method, {"customer": customer})


def test_what_was_paid_cannot_be_confirmed_or_cancelled_again(processor: Processor) -> None:
    paid = _pay(processor, "pm_card_visa")
    for again in (processor.sdk.v1.payment_intents.confirm, processor.sdk.v1.payment_intents.cancel):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            again(paid.id)
        assert caught.value.code == "payment_intent_unexpected_state"


@pytest.mark.parametrize(
    ("change", "param", "code"),
    [
        ({"amount": 49}, "amount", "amount_too_small"),
        ({"amount": 100_000_000}, "amount", "amount_too_large"),
        ({"amount": -5}, "amount", "parameter_invalid_integer"),
        ({"amount": "12.5"}, "amount", "parameter_invalid_integer"),
        ({"amount": ""}, "amount", "parameter_missing"),
        ({"currency": "xyz"}, "currency", None),
        ({"currency": "kwd", "amount": 1234}, "amount", None),
        ({"customer": "cus_nobody"}, "customer", "resource_missing"),
        ({"card": "pm_nothing"}, "payment_method", "resource_missing"),
        ({"payment_method_data": {"card": {"number": "4242424242424242"}}}, "payment_method_data", "parameter_unknown"),
        ({"return_url": "https://elsewhere.example/"}, "return_url", None),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_named(processor: Processor, change: dict[str, Any], param: str, code: str | None) -> None:
    before = len(processor.sdk.v1.payment_intents.list({"limit": 100}).data)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        _pay(processor, **{"card": "pm_card_visa", **change})
    assert (caught.value.http_status, caught.value.param, caught.value.code) == (400, param, code)
    assert len(processor.sdk.v1.payment_intents.list({"limit": 100}).data) == before


def test_an_unknown_id_and_a_wrong_key(processor: Processor) -> None:
    with pytest.raises(stripe.InvalidRequestError) as caught:
        processor.sdk.v1.payment_intents.retrieve("pi_none")
    assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")
    stranger = stripe.StripeClient("sk_test_other", base_addresses={"api": processor.url})
    with pytest.raises(stripe.AuthenticationError):
        stranger.v1.customers.create()


def test_customers_change_and_go(processor: Processor) -> None:
    sdk = processor.sdk
    customer = sdk.v1.customers.create({"email": "ann@example.org", "metadata": {"account": "1", "old": "x"}})
    changed = sdk.v1.customers.update(customer.id, {"name": "Ann", "metadata": {"old": "", "new": "y"}})
    assert (changed.name, changed.email) == ("Ann", "ann@example.org")
    assert changed.metadata is not None and changed.metadata.to_dict() == {"account": "1", "new": "y"}
    assert sdk.v1.customers.delete(customer.id).deleted is True
    gone = sdk.v1.customers.retrieve(customer.id)
    assert gone.deleted is True and not hasattr(gone, "email")
    with pytest.raises(stripe.InvalidRequestError):
        _pay(processor, "pm_card_visa", customer=customer.id)


def test_lists_are_paged(processor: Processor) -> None:
    customer = processor.sdk.v1.customers.create().id
    made = [_pay(processor, "pm_card_visa", customer=customer).id for _ in range(5)]
    first = processor.sdk.v1.payment_intents.list({"customer": customer, "limit": 2})
    assert [intent.id for intent in first.auto_paging_iter()] == made[::-1]
    assert first.has_more is True


def test_refunds_stop_at_what_was_paid(processor: Processor) -> None:
    sdk = processor.sdk
    paid = _pay(processor, "pm_card_visa")
    part = sdk.v1.refunds.create({"payment_intent": paid.id, "amount": 500, "reason": "requested_by_customer"})
    assert (part.status, part.amount, part.id[:3]) == ("succeeded", 500, "re_")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sdk.v1.refunds.create({"payment_intent": paid.id, "amount": 701})
    assert (caught.value.http_status, caught.value.param) == (400, "amount")
    assert sdk.v1.refunds.create({"charge": str(paid.latest_charge)}).amount == 700
    with pytest.raises(stripe.InvalidRequestError) as caught:
        sdk.v1.refunds.create({"payment_intent": paid.id})
    assert caught.value.code == "charge_already_refunded"
    charge = sdk.v1.charges.retrieve(str(paid.latest_charge))
    assert (charge.amount_refunded, charge.refunded) == (1200, True)


def test_what_was_not_paid_is_not_refunded(processor: Processor) -> None:
    intent = processor.sdk.v1.payment_intents.create({"amount": 900, "currency": "usd"})
    with pytest.raises(stripe.InvalidRequestError):
        processor.sdk.v1.refunds.create({"payment_intent": intent.id})
