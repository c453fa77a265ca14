"""Reads: rows as frozen values."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Select, func, select

from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.money import Money
from subscription_services.kernel.transaction import ReadTransaction
from subscription_services.storage import fetch

from .model import (
    UNDECIDED,
    CreditNote,
    Invoice,
    InvoiceDocument,
    InvoiceLine,
    InvoiceStatus,
    Method,
    Payment,
    PaymentState,
    Refund,
    RefundReason,
    RefundState,
    Terms,
)
from .tables import customer, invoice, line, method, payment, refund, terms

# the buyer stays sealed unless the paper itself is shown
_INVOICE = [column for column in invoice.c if column.name != "buyer"]
_PAYMENT = [column for column in payment.c if column.name != "client_secret"]


def terms_of(connection: Connection) -> Terms:
    """The terms in force."""
    body = connection.execute(select(terms.c.body)).scalar_one_or_none()
    return Terms() if body is None else msgspec.json.decode(body, type=Terms)


def invoice_of(row: Any) -> Invoice:
    def money(amount: int) -> Money:
        return Money(amount, row.currency)

    return Invoice(
        id=row.id, account=row.account, number=row.number, status=InvoiceStatus(row.status),
        subscription=row.subscription, net=money(row.net), tax=money(row.tax), tax_rate=row.tax_rate,
        tax_words=row.tax_words, total=money(row.total), refunded=money(row.refunded), period_start=row.period_start,
        period_end=row.period_end, issued_at=row.issued_at, paid_at=row.paid_at, created_at=row.created_at,
    )  # fmt: skip


def payment_of(row: Any) -> Payment:
    return Payment(
        id=row.id, invoice=row.invoice, account=row.account, subscription=row.subscription,
        amount=Money(row.amount, row.currency), state=PaymentState(row.state), off_session=row.off_session,
        attempt=row.attempt, failure=row.failure, intent=row.intent, job=row.job,
        refunded=Money(row.refunded, row.currency), created_at=row.created_at, settled_at=row.settled_at,
    )  # fmt: skip


def refund_of(row: Any, invoice_id: str) -> Refund:
    return Refund(
        id=row.id, payment=row.payment, invoice=invoice_id, account=row.account, number=row.number,
        amount=Money(row.amount, row.currency), reason=RefundReason(row.reason), state=RefundState(row.state),
        created_at=row.created_at,
    )  # fmt: skip


def find_invoice(tx: ReadTransaction, invoice_id: str, *, lock: bool = False) -> Invoice:
    """Raises NotFound."""
    statement: Select[Any] = select(*_INVOICE).where(invoice.c.id == invoice_id)
    row = tx.connection.execute(statement.with_for_update() if lock else statement).one_or_none()
    if row is None:
        raise NotFound()
    return invoice_of(row)


def find_payment(tx: ReadTransaction, payment_id: str, *, lock: bool = False) -> Payment:
    """Raises NotFound."""
    statement: Select[Any] = select(*_PAYMENT).where(payment.c.id == payment_id)
    row = tx.connection.execute(statement.with_for_update() if lock else statement).one_or_none()
    if row is None:
        raise NotFound()
    return payment_of(row)


def payment_of_subscription(tx: ReadTransaction, subscription_id: str) -> Payment | None:
    """The newest payment of a subscription that was not cancelled."""
    statement = (
        select(*_PAYMENT)
        .where(payment.c.subscription == subscription_id, payment.c.state != PaymentState.CANCELLED)
        .order_by(payment.c.created_at.desc(), payment.c.id.desc())
        .limit(1)
    )
    row = tx.connection.execute(statement).one_or_none()
    return None if row is None else payment_of(row)


def payment_of_invoice(tx: ReadTransaction, invoice_id: str) -> Payment | None:
    """The invoice's payment that was not cancelled."""
    statement = select(*_PAYMENT).where(payment.c.invoice == invoice_id, payment.c.state != PaymentState.CANCELLED)
    row = tx.connection.execute(statement).one_or_none()
    return None if row is None else payment_of(row)


def payment_by_intent(tx: ReadTransaction, intent: str) -> str | None:
    """The id of the payment that an intent at the processor belongs to."""
    return tx.connection.execute(select(payment.c.id).where(payment.c.intent == intent)).scalar_one_or_none()


def client_secret_of(tx: ReadTransaction, payment_id: str) -> str:
    """What opens the card form for this payment; empty before the processor knows it."""
    (row,) = fetch(tx, payment, payment.c.id == payment_id)
    return str(row["client_secret"] or "")


def invoices_of(tx: ReadTransaction, account: str, limit: int = 200) -> tuple[Invoice, ...]:
    """Newest first."""
    statement = select(*_INVOICE).where(invoice.c.account == account)
    ordered = statement.order_by(invoice.c.created_at.desc(), invoice.c.number.desc()).limit(limit)
    return tuple(invoice_of(row) for row in tx.connection.execute(ordered))


def document_of(tx: ReadTransaction, invoice_id: str) -> InvoiceDocument:
    """All that stands on the paper, the buyer opened. Raises NotFound."""
    found = find_invoice(tx, invoice_id)
    (row,) = fetch(tx, invoice, invoice.c.id == invoice_id)
    lines = tx.connection.execute(select(line).where(line.c.invoice == invoice_id).order_by(line.c.position))
    paying = payment_of_invoice(tx, invoice_id)
    return InvoiceDocument(
        invoice=found,
        lines=tuple(
            InvoiceLine(item.text, item.quantity, Money(item.unit, found.net.currency),
                        Money(item.amount, found.net.currency))
            for item in lines
        ),
        seller=row["seller"], buyer=row["buyer"], credits=credits_of(tx, paying.id) if paying else (),
        payment=paying.id if paying else None,
    )  # fmt: skip


def credits_of(tx: ReadTransaction, payment_id: str) -> tuple[CreditNote, ...]:
    """Refunds of a payment, oldest first, without those that failed."""
    statement = select(refund).where(refund.c.payment == payment_id, refund.c.state != RefundState.FAILED)
    return tuple(
        CreditNote(row.id, row.number, Money(row.amount, row.currency), RefundReason(row.reason),
                   RefundState(row.state), row.created_at)
        for row in tx.connection.execute(statement.order_by(refund.c.number))
    )  # fmt: skip


def methods_of(tx: ReadTransaction, account: str) -> tuple[Method, ...]:
    """Saved cards, the default one first."""
    there = (method.c.account == account, method.c.removed_at.is_(None))
    rows = fetch(tx, method, *there, order_by=method.c.created_at.desc(), limit=50)
    rows.sort(key=lambda row: not row["is_default"])
    return tuple(
        Method(row["id"], row["brand"], row["last4"], row["expires"], row["is_default"], row["created_at"])
        for row in rows
    )


def token_of_default(tx: ReadTransaction, account: str) -> str:
    """The processor's token of the default card, or ""."""
    rows = fetch(tx, method, method.c.account == account, method.c.is_default.is_(True), limit=1)
    return str(rows[0]["token"]) if rows else ""


def customer_at_processor(tx: ReadTransaction, account: str) -> str:
    """The account's customer id at the processor, or ""."""
    statement = select(customer.c.processor_id).where(customer.c.account == account)
    return tx.connection.execute(statement).scalar_one_or_none() or ""


def details_of(tx: ReadTransaction, account: str) -> str:
    """Name and address for invoices as the account typed them, or ""."""
    rows = fetch(tx, customer, customer.c.account == account, limit=1)
    return str(rows[0]["details"] or "") if rows else ""


def undecided_payments(connection: Connection, before: datetime, after: datetime, limit: int = 200) -> tuple[str, ...]:
    """Ids of payments that stay undecided since a while, oldest first."""
    statement = select(payment.c.id).where(
        payment.c.state.in_(UNDECIDED), payment.c.created_at < before, payment.c.created_at > after
    )
    return tuple(connection.execute(statement.order_by(payment.c.created_at).limit(limit)).scalars())


def waiting_refunds(connection: Connection, before: datetime, limit: int = 200) -> tuple[str, ...]:
    """Ids of refunds that the processor has not confirmed."""
    statement = select(refund.c.id).where(refund.c.state == RefundState.WAITING, refund.c.created_at < before)
    return tuple(connection.execute(statement.order_by(refund.c.created_at).limit(limit)).scalars())


def find_refund(tx: ReadTransaction, refund_id: str, *, lock: bool = False) -> tuple[Refund, str]:
    """The refund and the intent it belongs to. Raises NotFound."""
    joined = refund.join(payment, payment.c.id == refund.c.payment)
    statement: Select[Any] = select(refund, payment.c.invoice, payment.c.intent).select_from(joined)
    statement = statement.where(refund.c.id == refund_id)
    row = tx.connection.execute(statement.with_for_update(of=refund) if lock else statement).one_or_none()
    if row is None:
        raise NotFound()
    return refund_of(row, row.invoice), row.intent or ""


def count_invoices(connection: Connection) -> int:
    """How many invoices there are."""
    return int(connection.execute(select(func.count()).select_from(invoice)).scalar_one())
