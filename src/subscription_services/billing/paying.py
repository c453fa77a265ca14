"""Steps of a payment's life, as plain functions for the operations of this room."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import insert, update

from subscription_services.kernel.context import Context
from subscription_services.kernel.transaction import Transaction
from subscription_services.mail import SendLetter
from subscription_services.storage import insert_row
from subscription_services.subscriptions import activate, find, mark_past_due
from subscription_services.subscriptions import end as end_subscription

from . import policy
from .invoicing import close_unpaid, mark_paid
from .model import Invoice, Payment, PaymentState, Terms
from .queries import find_payment, payment_of_invoice
from .requests import CardFacts
from .tables import customer, method, payment
from .work import CancelPayment, ChargeSaved, StartPayment


def ensure_payment(tx: Transaction, ctx: Context, invoice: Invoice, *, off_session: bool, terms: Terms) -> Payment:
    """The invoice's payment; a new one goes to the processor by a job after the commit."""
    known = payment_of_invoice(tx, invoice.id)
    if known is not None:
        return known
    identifier = ctx.ids.new("pay")
    if off_session:
        job = tx.outbox.add(ChargeSaved(identifier, 1), key=f"charge:{identifier}:1")
    else:
        job = tx.outbox.add(StartPayment(identifier), key=f"start:{identifier}")
        expiry = ctx.now + timedelta(hours=terms.checkout_hours)
        tx.outbox.add(CancelPayment(identifier), run_at=expiry, key=f"expire:{identifier}")
    values = {
        "id": identifier, "invoice": invoice.id, "account": invoice.account, "subscription": invoice.subscription,
        "amount": invoice.total.amount, "currency": invoice.total.currency, "state": PaymentState.WAITING,
        "off_session": off_session, "attempt": 0, "failure": "", "job": job, "refunded": 0, "created_at": ctx.now,
    }  # fmt: skip
    insert_row(tx, payment, values)
    return find_payment(tx, identifier)


def paid(tx: Transaction, ctx: Context, before: Payment, card: CardFacts | None) -> None:
    """The money is there: invoice paid, subscription on, card kept, receipt on its way."""
    _set(tx, before, state=PaymentState.PAID, failure="", settled_at=ctx.now)
    mark_paid(tx, ctx, before.invoice)
    activate(tx, ctx, before.subscription)
    if card is not None:
        keep_card(tx, ctx, before.account, card)
    _write(tx, before, "billing.receipt", f"receipt:{before.id}")


def not_paid(tx: Transaction, ctx: Context, before: Payment, state: PaymentState, failure: str) -> None:
    """The customer's own try failed or waits; it stays payable."""
    _set(tx, before, state=state, failure=failure or before.failure)


def charge_failed(tx: Transaction, ctx: Context, before: Payment, failure: str, attempt: int, terms: Terms) -> None:
    """A charge of ours failed: past due, another try on the schedule, and after the last one the end."""
    _set(tx, before, state=_open_state(before), failure=failure, attempt=attempt)
    mark_past_due(tx, ctx, before.subscription)
    again = policy.next_try(terms.retry_days, attempt, ctx.now)
    if again is None:
        tx.outbox.add(CancelPayment(before.id), key=f"unpaid:{before.id}")
        return
    tx.outbox.add(ChargeSaved(before.id, attempt + 1), run_at=again, key=f"charge:{before.id}:{attempt + 1}")
    _write(tx, before, "billing.payment_failed", f"failed:{before.id}:{attempt}")


def close(tx: Transaction, ctx: Context, before: Payment) -> None:
    """Nobody can pay this any more: the invoice is closed and the subscription that it was for ends."""
    subscription = find(tx, before.subscription, lock=True)
    _set(tx, before, state=PaymentState.CANCELLED, settled_at=ctx.now)
    close_unpaid(tx, before.invoice, subscription)
    end_subscription(tx, ctx, before.subscription, "not paid")
    if before.off_session:
        _write(tx, before, "billing.ended_unpaid", f"ended:{before.id}")


def keep_card(tx: Transaction, ctx: Context, account: str, card: CardFacts) -> None:
    """Keep a card that was paid with and make it the default; one that is known changes nothing but that."""
    tx.keys.ensure_subject(account)
    index = tx.keys.blind_index("billing.method", card.token)
    tx.connection.execute(update(method).where(method.c.account == account).values(is_default=False))
    known = (method.c.token_index == index, method.c.account == account, method.c.removed_at.is_(None))
    if tx.connection.execute(update(method).where(*known).values(is_default=True)).rowcount:
        return
    values = {
        "id": ctx.ids.new("pym"), "account": account, "token_index": index, "token": card.token, "brand": card.brand,
        "last4": card.last4, "expires": card.expires, "is_default": True, "created_at": ctx.now,
    }  # fmt: skip
    insert_row(tx, method, values)


def ensure_customer(tx: Transaction, ctx: Context, account: str) -> None:
    """The account's row; to be filled by the processor's answer and by the person."""
    known = tx.connection.execute(
        update(customer).where(customer.c.account == account).values(account=account)
    ).rowcount
    if not known:
        tx.connection.execute(insert(customer).values(account=account, created_at=ctx.now))


def _open_state(before: Payment) -> PaymentState:
    return PaymentState.OPEN if before.intent else PaymentState.WAITING


def _set(tx: Transaction, before: Payment, **values: object) -> None:
    tx.connection.execute(update(payment).where(payment.c.id == before.id).values(**values))


def _write(tx: Transaction, about: Payment, letter: str, key: str) -> None:
    values = {"payment": about.id, "invoice": about.invoice, "subscription": about.subscription}
    tx.outbox.add(SendLetter(letter=letter, account=about.account, values=values), key=key)
