"""Stripe, through its own SDK: the one place that speaks to the processor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import stripe

from subscription_services.kernel.money import Money

from .errors import BadSignature, ProcessorRefused, ProcessorUnavailable
from .ports import Card, Intent, IntentStatus, ProcessorEvent
from .settings import BillingSettings

T = TypeVar("T")
# what means: the answer is not known, ask again with the same key
_AGAIN = (stripe.APIConnectionError, stripe.RateLimitError, stripe.APIError)
EXPAND = ["payment_method"]


class StripeProcessor:
    """See `ports.Processor`."""

    def __init__(self, settings: BillingSettings) -> None:
        self._webhook_secret = settings.webhook_secret
        if settings.ca_file:
            stripe.ca_bundle_path = settings.ca_file  # the SDK has no other place for it
        # retries are ours (jobs, with the same key), so that each failure is seen and recorded
        self._client = stripe.StripeClient(
            settings.secret_key,
            base_addresses={"api": settings.processor_url} if settings.processor_url else None,
            http_client=stripe.RequestsClient(timeout=settings.timeout),
            max_network_retries=0,
        )

    def create_customer(self, account: str, key: str) -> str:
        # the account's id is all that the processor learns from us
        answer = self._ask(lambda: self._v1.customers.create({"metadata": {"account": account}}, _once(key)))
        return str(answer.id)

    def create_intent(self, payment: str, amount: Money, customer: str, key: str) -> Intent:
        wanted = {
            "amount": amount.amount, "currency": amount.currency.lower(), "customer": customer,
            "setup_future_usage": "off_session", "metadata": {"payment": payment},
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "always"}, "expand": EXPAND,
        }  # fmt: skip
        return self._intent(lambda: self._v1.payment_intents.create(wanted, _once(key)))

    def retrieve_intent(self, intent: str) -> Intent:
        return self._intent(lambda: self._v1.payment_intents.retrieve(intent, {"expand": EXPAND}))

    def charge_saved(self, intent: str, token: str, key: str) -> Intent:
        wanted = {"payment_method": token, "off_session": True, "expand": EXPAND}
        try:
            return self._intent(lambda: self._v1.payment_intents.confirm(intent, wanted, _once(key)))
        except ProcessorRefused as error:
            after = self.retrieve_intent(intent)
            if after.status is IntentStatus.SUCCEEDED or after.failure:
                return after
            return _failed(after, error.reason)

    def cancel_intent(self, intent: str, key: str) -> Intent:
        try:
            return self._intent(lambda: self._v1.payment_intents.cancel(intent, {"expand": EXPAND}, _once(key)))
        except ProcessorRefused:
            return self.retrieve_intent(intent)

    def refund(self, intent: str, amount: Money, reason: str, refund: str, key: str) -> str:
        wanted = {
            "payment_intent": intent, "amount": amount.amount, "reason": reason, "metadata": {"refund": refund},
        }  # fmt: skip
        return str(self._ask(lambda: self._v1.refunds.create(wanted, _once(key))).id)

    def detach(self, token: str, key: str) -> None:
        self._ask(lambda: self._v1.payment_methods.detach(token, {}, _once(key)))

    def read_event(self, body: bytes, signature: str) -> ProcessorEvent:
        try:
            found: Any = stripe.Webhook.construct_event(body, signature, self._webhook_secret)
            shown = found.data.object
            name = shown.id if shown.object == "payment_intent" else getattr(shown, "payment_intent", None)
            return ProcessorEvent(str(found.id), str(found.type), str(shown.id), str(name or ""))
        except (ValueError, AttributeError, stripe.SignatureVerificationError) as error:
            raise BadSignature() from error

    @property
    def _v1(self) -> Any:
        return self._client.v1

    def _intent(self, call: Callable[[], Any]) -> Intent:
        return intent_of(self._ask(call))

    def _ask(self, call: Callable[[], T]) -> T:
        try:
            return call()
        except (stripe.CardError, stripe.InvalidRequestError) as error:
            raise ProcessorRefused(error.code or "refused") from error
        except _AGAIN as error:
            raise ProcessorUnavailable() from error
        except stripe.StripeError as error:
            # wrong keys, missing permissions, a key used for something else: ours to repair, nothing is lost
            raise ProcessorUnavailable("The payment processor does not accept our request.") from error


def intent_of(found: Any) -> Intent:
    """Stripe's payment intent as ours."""
    currency = str(found.currency).upper()
    error = getattr(found, "last_payment_error", None)
    used = getattr(found, "payment_method", None)
    customer = found.customer if isinstance(found.customer, str) else getattr(found.customer, "id", "") or ""
    return Intent(
        id=str(found.id), status=IntentStatus(found.status), client_secret=str(found.client_secret),
        amount=Money(int(found.amount), currency), received=Money(int(found.amount_received or 0), currency),
        customer=str(customer), payment=str(getattr(found.metadata, "payment", "")),
        failure="" if error is None else _reason(error),
        card=None if used is None or isinstance(used, str) else card_of(used),
    )  # fmt: skip


def card_of(found: Any) -> Card | None:
    """A payment method as the card that may be kept, when it is one and belongs to a customer."""
    card = getattr(found, "card", None)
    if card is None or not found.customer:
        return None
    return Card(str(found.id), str(card.brand), str(card.last4), f"{int(card.exp_year):04d}-{int(card.exp_month):02d}")


def _reason(error: Any) -> str:
    return str(getattr(error, "decline_code", None) or getattr(error, "code", None) or "declined")


def _once(key: str) -> Any:
    return {"idempotency_key": key}


def _failed(intent: Intent, reason: str) -> Intent:
    return Intent(
        intent.id, intent.status, intent.client_secret, intent.amount, intent.received, intent.customer,
        intent.payment, reason, intent.card,
    )  # fmt: skip
