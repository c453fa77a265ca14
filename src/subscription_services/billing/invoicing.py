"""Steps of an invoice's life, as plain functions for the operations of this room."""

from __future__ import annotations

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from subscription_services.kernel.context import Context
from subscription_services.kernel.money import Money
from subscription_services.kernel.transaction import Transaction
from subscription_services.storage import insert_row
from subscription_services.subscriptions import Status, Subscription
from subscription_services.web.words import date_text

from . import policy
from .buyer import buyer_of
from .model import Invoice, InvoiceStatus, Terms
from .queries import find_invoice
from .tables import invoice, line, series


def open_invoice(tx: Transaction, ctx: Context, subscription: Subscription, terms: Terms) -> Invoice:
    """The invoice of the subscription's running period, numbered and open; the same period gives the same one."""
    occasion = f"{subscription.id}:{subscription.period}"
    known = tx.connection.execute(select(invoice.c.id).where(invoice.c.occasion == occasion)).scalar_one_or_none()
    if known is not None:
        return find_invoice(tx, known)
    tx.keys.ensure_subject("accounting", "accounting")
    net = subscription.price
    tax = policy.tax_on(net, terms.tax_rate)
    identifier = ctx.ids.new("inv")
    insert_row(
        tx,
        invoice,
        {
            "id": identifier, "account": subscription.account, "number": next_number(tx, "INV", ctx),
            "occasion": occasion, "subscription": subscription.id, "status": InvoiceStatus.OPEN,
            "currency": net.currency, "net": net.amount, "tax": tax.amount, "tax_rate": terms.tax_rate,
            "tax_words": policy.tax_words(terms.tax_name, terms.tax_rate), "total": (net + tax).amount, "refunded": 0,
            "seller": "\n".join(part for part in (terms.seller, terms.seller_address) if part),
            "buyer": buyer_of(tx, subscription.account), "period_start": subscription.period_start,
            "period_end": subscription.period_end, "issued_at": ctx.now, "created_at": ctx.now,
        },
    )  # fmt: skip
    _add_line(tx, ctx, identifier, subscription)
    return find_invoice(tx, identifier)


def _add_line(tx: Transaction, ctx: Context, invoice_id: str, subscription: Subscription) -> None:
    span = f"{date_text(subscription.period_start)} to {date_text(subscription.period_end)}"
    values = {
        "id": ctx.ids.new("lin"), "invoice": invoice_id, "position": 1, "quantity": 1,
        "text": f"{subscription.plan_name}, {span}", "unit": subscription.price.amount,
        "amount": subscription.price.amount,
    }  # fmt: skip
    tx.connection.execute(insert(line).values(values))


def next_number(tx: Transaction, kind: str, ctx: Context) -> str:
    """The next number of this year's series, such as INV-2026-000007: without gaps, since it rolls back with us."""
    name = f"{kind}-{ctx.now.year}"
    last = _step(tx, name)
    if last is None:
        try:
            with tx.connection.begin_nested():
                tx.connection.execute(insert(series).values(id=name, last=1))
            last = 1
        except IntegrityError:  # somebody else began the year's series at the same moment
            last = _step(tx, name)
    assert last is not None
    return f"{name}-{last:06d}"


def _step(tx: Transaction, name: str) -> int | None:
    step = update(series).where(series.c.id == name).values(last=series.c.last + 1).returning(series.c.last)
    return tx.connection.execute(step).scalar_one_or_none()


def mark_paid(tx: Transaction, ctx: Context, invoice_id: str) -> Invoice:
    """The money came, even when it was no longer expected."""
    tx.connection.execute(
        update(invoice).where(invoice.c.id == invoice_id).values(status=InvoiceStatus.PAID, paid_at=ctx.now)
    )
    return find_invoice(tx, invoice_id)


def close_unpaid(tx: Transaction, invoice_id: str, subscription: Subscription) -> Invoice:
    """Void where the subscription never began, else uncollectible; a paid one stays paid."""
    status = InvoiceStatus.VOID if subscription.status is Status.INCOMPLETE else InvoiceStatus.UNCOLLECTIBLE
    tx.connection.execute(
        update(invoice).where(invoice.c.id == invoice_id, invoice.c.status == InvoiceStatus.OPEN).values(status=status)
    )
    return find_invoice(tx, invoice_id)


def add_refunded(tx: Transaction, invoice_id: str, amount: Money) -> None:
    """Count a refund (or, negative, one that failed) on the invoice."""
    statement = update(invoice).where(invoice.c.id == invoice_id)
    tx.connection.execute(statement.values(refunded=invoice.c.refunded + amount.amount))
