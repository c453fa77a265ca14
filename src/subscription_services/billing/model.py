"""Invoices, payments, payment methods and refunds: names, states and what is answered."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from subscription_services.kernel.money import Money
from subscription_services.kernel.personal import BillingAddress, CardFact


class InvoiceStatus(StrEnum):
    """`void` was never owed in the end; `uncollectible` is given up on."""

    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    VOID = "void"
    UNCOLLECTIBLE = "uncollectible"


class PaymentState(StrEnum):
    """`waiting`: the processor has not been told yet; `open`: it can be paid; the last two are final."""

    WAITING = "waiting"
    OPEN = "open"
    PROCESSING = "processing"
    PAID = "paid"
    CANCELLED = "cancelled"


UNDECIDED = (PaymentState.WAITING, PaymentState.OPEN, PaymentState.PROCESSING)


class RefundState(StrEnum):
    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


class RefundReason(StrEnum):
    """Stripe's reasons."""

    DUPLICATE = "duplicate"
    FRAUDULENT = "fraudulent"
    REQUESTED = "requested_by_customer"


class Terms(msgspec.Struct, frozen=True):
    """What the operators set about money. `tax_rate` is in hundredths of a percent: 1900 is 19 %."""

    seller: str = "Subscription Services"
    seller_address: str = ""
    tax_name: str = "VAT"
    tax_rate: int = 0
    retry_days: tuple[int, ...] = (3, 5, 7)
    checkout_hours: int = 24


class InvoiceLine(msgspec.Struct, frozen=True):
    text: str
    quantity: int
    unit: Money
    amount: Money


class Invoice(msgspec.Struct, frozen=True):
    """Without the buyer's particulars; see `InvoiceDocument`. `subscription` is an id."""

    id: str
    account: str
    number: str | None
    status: InvoiceStatus
    subscription: str
    net: Money
    tax: Money
    tax_rate: int
    tax_words: str
    total: Money
    refunded: Money
    period_start: datetime
    period_end: datetime
    issued_at: datetime | None
    paid_at: datetime | None
    created_at: datetime


class CreditNote(msgspec.Struct, frozen=True):
    """A refund as its document: `number` counts without gaps within its year."""

    id: str
    number: str
    amount: Money
    reason: RefundReason
    state: RefundState
    created_at: datetime


class InvoiceDocument(msgspec.Struct, frozen=True):
    """All that stands on the paper."""

    invoice: Invoice
    lines: tuple[InvoiceLine, ...]
    seller: str
    buyer: BillingAddress
    credits: tuple[CreditNote, ...]
    payment: str | None


class Payment(msgspec.Struct, frozen=True):
    """`attempt` counts charges tried while the customer was away; `failure` is the processor's last code."""

    id: str
    invoice: str
    account: str
    subscription: str
    amount: Money
    state: PaymentState
    off_session: bool
    attempt: int
    failure: str
    intent: str | None
    job: str | None
    refunded: Money
    created_at: datetime
    settled_at: datetime | None


class Method(msgspec.Struct, frozen=True):
    """A saved card, as far as it may be kept."""

    id: str
    brand: CardFact
    last4: CardFact
    expires: CardFact
    is_default: bool
    created_at: datetime


class Refund(msgspec.Struct, frozen=True):
    id: str
    payment: str
    invoice: str
    account: str
    number: str
    amount: Money
    reason: RefundReason
    state: RefundState
    created_at: datetime
