"""Do our own books agree with themselves? Sums and counts only, no personal data."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from subscription_services.kernel.money import Money

from .model import InvoiceStatus, PaymentState, RefundState
from .tables import invoice, payment, refund, series


@dataclass(frozen=True, slots=True)
class Wrong:
    """What was looked at, and a public sentence for everything that does not agree."""

    invoices: int
    payments: int
    says: tuple[str, ...]


def wrong_accounts(connection: Connection) -> Wrong:
    """Compare invoices, payments, refunds and number series with each other."""
    says = (*_payments(connection), *_numbers(connection), *_refunds(connection))
    invoices = connection.execute(select(func.count()).select_from(invoice)).scalar_one()
    payments = connection.execute(select(func.count()).select_from(payment)).scalar_one()
    return Wrong(invoices, payments, says)


def recent_paid(connection: Connection, limit: int = 5) -> list[tuple[str, str, Money]]:
    """Payment, intent at the processor and amount of the newest payments that were made."""
    statement = (
        select(payment.c.id, payment.c.intent, payment.c.amount, payment.c.currency)
        .where(payment.c.state == PaymentState.PAID, payment.c.intent.is_not(None))
        .order_by(payment.c.settled_at.desc())
        .limit(limit)
    )
    return [(row.id, row.intent, Money(row.amount, row.currency)) for row in connection.execute(statement)]


def _payments(connection: Connection) -> list[str]:
    paid = (
        select(payment.c.invoice, func.count().label("count"), func.sum(payment.c.amount).label("amount"))
        .where(payment.c.state == PaymentState.PAID)
        .group_by(payment.c.invoice)
        .subquery()
    )
    joined = invoice.outerjoin(paid, paid.c.invoice == invoice.c.id)
    is_paid = invoice.c.status == InvoiceStatus.PAID
    agrees = (paid.c.count == 1) & (paid.c.amount == invoice.c.total)
    statement = select(func.count()).select_from(joined)
    without = connection.execute(statement.where(is_paid, (paid.c.count.is_(None)) | ~agrees)).scalar_one()
    extra = connection.execute(statement.where(~is_paid, paid.c.count.is_not(None))).scalar_one()
    says = [f"{without} paid invoices do not have exactly one payment of their total."] if without else []
    return [*says, f"{extra} payments belong to invoices that are not paid."] if extra else says


def _numbers(connection: Connection) -> list[str]:
    says = []
    for name, last in connection.execute(select(series.c.id, series.c.last)):
        numbers = refund.c.number if name.startswith("CN-") else invoice.c.number
        counted = select(func.count(), func.max(numbers)).where(numbers.startswith(f"{name}-", autoescape=True))
        count, highest = connection.execute(counted).one()
        if count != last or highest != f"{name}-{last:06d}":
            says.append(f"The series {name} has gaps.")
    return says


def _refunds(connection: Connection) -> list[str]:
    given = (
        select(refund.c.payment, func.sum(refund.c.amount).label("amount"))
        .where(refund.c.state != RefundState.FAILED)
        .group_by(refund.c.payment)
        .subquery()
    )
    joined = payment.outerjoin(given, given.c.payment == payment.c.id)
    counted = func.coalesce(given.c.amount, 0)
    wrong = (counted != payment.c.refunded) | (counted > payment.c.amount)
    count = connection.execute(select(func.count()).select_from(joined).where(wrong)).scalar_one()
    return [f"{count} payments were refunded by another sum than is recorded."] if count else []
