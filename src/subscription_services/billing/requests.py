"""What the operations of this room are asked and answer, with the bounds of every value."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from subscription_services.kernel.money import Money
from subscription_services.kernel.personal import BillingAddress, Email, PersonName
from subscription_services.subscriptions import Plan

from .model import Invoice, InvoiceDocument, Method, Payment, Refund, RefundReason, Terms
from .ports import IntentStatus


def _id(prefix: str) -> msgspec.Meta:
    return msgspec.Meta(pattern=f"^{prefix}_[0-9a-f]{{32}}$")


AccountId = Annotated[str, _id("[a-z]{2,8}")]
PlanId = Annotated[str, _id("pln")]
SubscriptionId = Annotated[str, _id("sub")]
InvoiceId = Annotated[str, _id("inv")]
PaymentId = Annotated[str, _id("pay")]
MethodId = Annotated[str, _id("pym")]
RefundId = Annotated[str, _id("ref")]
Name = Annotated[str, msgspec.Meta(max_length=120)]
"""A name or code that the processor gives."""
Secret = Annotated[str, msgspec.Meta(max_length=300)]


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to say."""


class StartCheckout(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    plan: PlanId


class OneSubscription(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: SubscriptionId


class OnePayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: PaymentId


class OneInvoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: InvoiceId


class OneMethod(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: MethodId


class OneRefund(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: RefundId


class OfPerson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    account: AccountId


class GiveRefund(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`id` is the invoice's; `amount` is in minor units of its currency."""

    id: InvoiceId
    amount: Annotated[int, msgspec.Meta(ge=1, le=99_999_999)]
    reason: RefundReason = RefundReason.REQUESTED


class SetDetails(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands on invoices from now on."""

    name: Annotated[str, msgspec.Meta(max_length=120)] = ""
    address: Annotated[str, msgspec.Meta(max_length=400)] = ""


class SetTerms(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    terms: Terms


class RecordIntent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the processor answered when it was told of a payment."""

    id: PaymentId
    customer: Name
    intent: Name
    client_secret: Secret


class CardFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A saved card as the processor tells of it; never its number."""

    token: Name
    brand: Annotated[str, msgspec.Meta(max_length=40)]
    last4: Annotated[str, msgspec.Meta(pattern="^[0-9]{4}$")]
    expires: Annotated[str, msgspec.Meta(pattern="^[0-9]{4}-[0-9]{2}$")]


class SettlePayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the processor says of a payment now; `attempt` is the charge's number when we made it ourselves."""

    id: PaymentId
    intent: Name
    status: IntentStatus
    received: Money
    failure: Name = ""
    card: CardFacts | None = None
    attempt: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0


class RecordRefund(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`failure` empty: it is done."""

    id: RefundId
    processor_id: Name = ""
    failure: Name = ""


class ReceiveEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A webhook event whose signature was verified; what it says is read again from the processor."""

    id: Annotated[str, msgspec.Meta(min_length=1, max_length=120)]
    kind: Annotated[str, msgspec.Meta(max_length=80)]
    object: Name
    intent: Name = ""


class Started(msgspec.Struct, frozen=True):
    """`payment` is None where nothing is to be paid now (a trial, a free plan)."""

    subscription: str
    payment: str | None


class Checkout(msgspec.Struct, frozen=True):
    """A payment with what the payment form needs; `client_secret` is empty until the processor is ready."""

    payment: Payment
    invoice: Invoice
    line: str
    client_secret: str


class Invoices(msgspec.Struct, frozen=True):
    invoices: tuple[Invoice, ...]


class Methods(msgspec.Struct, frozen=True):
    methods: tuple[Method, ...]


class Details(msgspec.Struct, frozen=True):
    name: PersonName
    address: BillingAddress


class PersonBilling(msgspec.Struct, frozen=True):
    """What the team sees of a person's money."""

    invoices: tuple[Invoice, ...]
    methods: tuple[Method, ...]
    details: BillingAddress


class PaymentFacts(msgspec.Struct, frozen=True):
    """What a job needs to speak to the processor about a payment."""

    payment: Payment
    customer: str
    token: str


class RefundFacts(msgspec.Struct, frozen=True):
    """What a job needs to send a refund."""

    refund: Refund
    intent: str


class MethodFacts(msgspec.Struct, frozen=True):
    """What a job needs to remove a card at the processor."""

    token: str


class Received(msgspec.Struct, frozen=True):
    """`again`: the event was known."""

    id: str
    again: bool


class LetterFacts(msgspec.Struct, frozen=True):
    """What a letter about a payment says, and where it goes."""

    to: Email
    document: InvoiceDocument
    payment: Payment
    next_try: bool


class Offer(msgspec.Struct, frozen=True):
    """What happens when this person chooses a plan: `due_now` is charged at once, `later` from `later_at` on."""

    plan: Plan
    tax_words: str
    tax: Money
    due_now: Money
    later: Money
    later_at: datetime
