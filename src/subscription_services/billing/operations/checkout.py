"""From a plan to a payment that can be made."""

from __future__ import annotations

from subscription_services.billing.errors import AlreadyPaid
from subscription_services.billing.invoicing import open_invoice
from subscription_services.billing.model import Payment, PaymentState
from subscription_services.billing.paying import ensure_customer, ensure_payment
from subscription_services.billing.policy import tax_on, tax_words
from subscription_services.billing.queries import (
    client_secret_of,
    document_of,
    find_payment,
    payment_of_subscription,
    terms_of,
)
from subscription_services.billing.requests import Checkout, Offer, OnePayment, OneSubscription, StartCheckout, Started
from subscription_services.billing.work import CancelPayment
from subscription_services.kernel.actors import Role, Subscriber
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import Conflict, NotFound
from subscription_services.kernel.money import Money
from subscription_services.kernel.operations import Change, Seen, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.subscriptions import Subscription, find, find_plan, first_charge, open_subscription


def owner_of_payment(tx: ReadTransaction, ctx: Context, request: OnePayment) -> str:
    """Whose payment it is. Raises NotFound."""
    return find_payment(tx, request.id).account


def owner_of_subscription(tx: ReadTransaction, ctx: Context, request: OneSubscription) -> str:
    """Whose subscription it is. Raises NotFound."""
    return find(tx, request.id).account


@operation("billing.start_checkout", by=[Subscriber.own])
def start_checkout(tx: Transaction, ctx: Context, request: StartCheckout) -> Change[Started]:
    """Subscribe to a plan: subscription, invoice and payment at once, or those that stand open already."""
    tx.keys.ensure_subject(ctx.actor.id)
    subscription, _ = open_subscription(tx, ctx, ctx.actor.id, request.plan)
    return Change(None, _start(tx, ctx, subscription), object=subscription.id)


def _start(tx: Transaction, ctx: Context, subscription: Subscription) -> Started:
    ensure_customer(tx, ctx, subscription.account)
    if subscription.running:
        return Started(subscription.id, None)
    terms = terms_of(tx.connection)
    invoice = open_invoice(tx, ctx, subscription, terms)
    return Started(subscription.id, ensure_payment(tx, ctx, invoice, off_session=False, terms=terms).id)


@operation("billing.offer", by=[Subscriber.own])
def offer(tx: ReadTransaction, ctx: Context, request: StartCheckout) -> Seen[Offer]:
    """What choosing a plan would cost this person now and later."""
    plan = find_plan(tx, request.plan)
    now, later_at = first_charge(tx, ctx, ctx.actor.id, plan)
    terms = terms_of(tx.connection)
    tax = tax_on(plan.price, terms.tax_rate)
    total = plan.price + tax
    due = total if now else Money(0, total.currency)
    return Seen(Offer(plan, tax_words(terms.tax_name, terms.tax_rate), tax, due, total, later_at))


@operation("billing.cancel_checkout", by=[Subscriber.own, Role.SUPPORT], subject=owner_of_payment)
def cancel_checkout(tx: Transaction, ctx: Context, request: OnePayment) -> Change[Payment]:
    """Give up a checkout that was not paid; the processor is told first, so that nobody can pay it any more."""
    found = find_payment(tx, request.id, lock=True)
    if found.state is PaymentState.PAID:
        raise AlreadyPaid()
    if found.off_session:
        raise Conflict("This payment is for a period that runs already. Cancel the subscription instead.")
    tx.outbox.add(CancelPayment(found.id), key=f"cancel:{found.id}")
    return Change(found, found)


@operation("billing.checkout", by=[Subscriber.own], subject=owner_of_payment)
def checkout(tx: ReadTransaction, ctx: Context, request: OnePayment) -> Seen[Checkout]:
    """How a payment of one's own stands, with what the payment form needs."""
    found = find_payment(tx, request.id)
    document = document_of(tx, found.invoice)
    payable = found.state in (PaymentState.OPEN, PaymentState.PROCESSING)
    secret = client_secret_of(tx, found.id) if payable else ""
    return Seen(Checkout(found, document.invoice, document.lines[0].text, secret), object=found.id)


@operation("billing.open_payment", by=[Subscriber.own], subject=owner_of_subscription)
def open_payment(tx: ReadTransaction, ctx: Context, request: OneSubscription) -> Seen[Payment]:
    """The payment that a subscription of one's own waits for."""
    found = payment_of_subscription(tx, request.id)
    if found is None or found.state is PaymentState.PAID:
        raise NotFound("Nothing is to be paid for this subscription.")
    return Seen(found, object=found.id)
