"""Giving money back: never more than was paid, each time with a credit note."""

from __future__ import annotations

from sqlalchemy import insert, update

from subscription_services.billing.errors import NotPaid, RefundTooLarge
from subscription_services.billing.invoicing import add_refunded, next_number
from subscription_services.billing.model import PaymentState, Refund, RefundState
from subscription_services.billing.policy import refundable
from subscription_services.billing.queries import find_invoice, find_payment, find_refund, payment_of_invoice
from subscription_services.billing.requests import GiveRefund, OneRefund, RecordRefund, RefundFacts
from subscription_services.billing.tables import payment, refund
from subscription_services.billing.work import SendRefund
from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Context
from subscription_services.kernel.money import Money
from subscription_services.kernel.needs import recent_sign_in
from subscription_services.kernel.operations import Change, Seen, SystemOnly, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.kernel.words import words

_JOBS = SystemOnly("carried out by this room's jobs")


def owner_of_refunded(tx: ReadTransaction, ctx: Context, request: GiveRefund) -> str:
    """Whose invoice it is. Raises NotFound."""
    return find_invoice(tx, request.id).account


@operation("billing.refund", by=[Role.BILLING], needs=[recent_sign_in], subject=owner_of_refunded)
def give_refund(tx: Transaction, ctx: Context, request: GiveRefund) -> Change[Refund]:
    """Give back part or all of a paid invoice to the card that paid it, with a credit note."""
    known = payment_of_invoice(tx, request.id)
    if known is None or known.state is not PaymentState.PAID:
        raise NotPaid()
    paid = find_payment(tx, known.id, lock=True)
    left = refundable(paid.amount, paid.refunded)
    if request.amount > left.amount:
        text = words(
            "At most %(amount)s minor units of %(currency)s are left.", amount=left.amount, currency=left.currency
        )
        raise RefundTooLarge(fields={"amount": text})
    amount = Money(request.amount, left.currency)
    identifier = ctx.ids.new("ref")
    values = {
        "id": identifier, "payment": paid.id, "account": paid.account, "number": next_number(tx, "CN", ctx),
        "amount": amount.amount, "currency": amount.currency, "reason": request.reason, "state": RefundState.WAITING,
        "created_at": ctx.now,
    }  # fmt: skip
    tx.connection.execute(insert(refund).values(values))
    _count(tx, paid.id, paid.invoice, amount)
    tx.outbox.add(SendRefund(identifier), key=f"refund:{identifier}")
    made, _ = find_refund(tx, identifier)
    return Change(None, made, details={"amount": amount.amount, "currency": amount.currency, "invoice": request.id})


@operation("billing.refund_facts", by=[_JOBS])
def refund_facts(tx: ReadTransaction, ctx: Context, request: OneRefund) -> Seen[RefundFacts]:
    """What a job needs to send a refund."""
    found, intent = find_refund(tx, request.id)
    return Seen(RefundFacts(found, intent), object=found.id, subject=found.account)


@operation("billing.record_refund", by=[_JOBS])
def record_refund(tx: Transaction, ctx: Context, request: RecordRefund) -> Change[Refund]:
    """The processor gave the money back, or refused to, and then the sum counts as paid again."""
    before, _ = find_refund(tx, request.id, lock=True)
    if before.state is RefundState.WAITING:
        state = RefundState.FAILED if request.failure else RefundState.DONE
        values = {"state": state, "processor_id": request.processor_id or None}
        tx.connection.execute(update(refund).where(refund.c.id == before.id).values(values))
        if request.failure:
            _count(tx, before.payment, before.invoice, Money(-before.amount.amount, before.amount.currency))
    after, _ = find_refund(tx, before.id)
    return Change(before, after, subject=before.account, details={"failure": request.failure})


def _count(tx: Transaction, payment_id: str, invoice_id: str, amount: Money) -> None:
    statement = update(payment).where(payment.c.id == payment_id)
    tx.connection.execute(statement.values(refunded=payment.c.refunded + amount.amount))
    add_refunded(tx, invoice_id, amount)
