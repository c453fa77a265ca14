"""The processor as billing sees it: Stripe, or the stand-in that speaks Stripe's shapes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from subscription_services.kernel.money import Money


class IntentStatus(StrEnum):
    """Stripe's states of a payment intent."""

    NEEDS_METHOD = "requires_payment_method"
    NEEDS_CONFIRMATION = "requires_confirmation"
    NEEDS_ACTION = "requires_action"
    PROCESSING = "processing"
    NEEDS_CAPTURE = "requires_capture"
    SUCCEEDED = "succeeded"
    CANCELED = "canceled"


@dataclass(frozen=True, slots=True)
class Card:
    """What the processor tells of a saved card; `expires` is "2030-12"."""

    token: str
    brand: str
    last4: str
    expires: str


@dataclass(frozen=True, slots=True)
class Intent:
    """A payment at the processor; `card` is there once one was used and saved for later."""

    id: str
    status: IntentStatus
    client_secret: str
    amount: Money
    received: Money
    customer: str
    payment: str
    failure: str
    card: Card | None


@dataclass(frozen=True, slots=True)
class ProcessorEvent:
    """A webhook event whose signature was verified."""

    id: str
    kind: str
    object: str
    payment: str


class Processor(Protocol):
    """Blocking; call it from a thread. Every call raises ProcessorUnavailable (try again, with the same key) or
    ProcessorRefused. A `key` makes repeating harmless."""

    def create_customer(self, account: str, key: str) -> str: ...
    def create_intent(self, payment: str, amount: Money, customer: str, key: str) -> Intent: ...
    def retrieve_intent(self, intent: str) -> Intent: ...
    def charge_saved(self, intent: str, token: str, key: str) -> Intent:
        """Confirm with a saved card while the customer is away; a decline is an Intent with its failure."""
        ...

    def cancel_intent(self, intent: str, key: str) -> Intent:
        """The intent afterwards: cancelled, or succeeded when the money was taken before."""
        ...

    def refund(self, intent: str, amount: Money, reason: str, refund: str, key: str) -> str:
        """The refund's id at the processor, once it is on its way."""
        ...

    def detach(self, token: str, key: str) -> None: ...

    def read_event(self, body: bytes, signature: str) -> ProcessorEvent:
        """The event in a webhook's raw body. Raises BadSignature."""
        ...
