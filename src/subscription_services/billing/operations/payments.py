"""What the processor answers, and what follows from it. All for the service itself."""

from __future__ import annotations

import msgspec
from sqlalchemy import select, update

from subscription_services.billing.buyer import contact_of
from subscription_services.billing.errors import Mismatch
from subscription_services.billing.invoicing import open_invoice
from subscription_services.billing.model import UNDECIDED, Payment, PaymentState, Terms
from subscription_services.billing.paying import charge_failed, close, ensure_customer, ensure_payment, not_paid, paid
from subscription_services.billing.ports import IntentStatus
from subscription_services.billing.queries import customer_at_processor, find_payment, terms_of, token_of_default
from subscription_services.billing.requests import (
    OnePayment,
    OneSubscription,
    PaymentFacts,
    RecordIntent,
    SetTerms,
    SettlePayment,
)
from subscription_services.billing.tables import customer, payment, terms
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import SubjectErased
from subscription_services.kernel.operations import Change, Seen, SystemOnly, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.storage import insert_row, update_row
from subscription_services.subscriptions import Subscription, advance, end, find

_JOBS = SystemOnly("carried out by this room's jobs")


@operation("billing.payment_facts", by=[_JOBS])
def payment_facts(tx: ReadTransaction, ctx: Context, request: OnePayment) -> Seen[PaymentFacts]:
    """What a job needs to speak to the processor about a payment."""
    found = find_payment(tx, request.id)
    try:
        token = token_of_default(tx, found.account) if found.off_session else ""
    except SubjectErased:
        token = ""
    facts = PaymentFacts(found, customer_at_processor(tx, found.account), token)
    return Seen(facts, object=found.id, subject=found.account)


@operation("billing.record_intent", by=[_JOBS])
def record_intent(tx: Transaction, ctx: Context, request: RecordIntent) -> Change[Payment]:
    """The processor knows of the payment: from now on it can be paid."""
    before = find_payment(tx, request.id, lock=True)
    if before.intent is not None and before.intent != request.intent:
        raise Mismatch()
    ensure_customer(tx, ctx, before.account)
    tx.connection.execute(
        update(customer).where(customer.c.account == before.account).values(processor_id=request.customer)
    )
    if before.state is PaymentState.WAITING:
        row = {"id": before.id, "account": before.account}
        values = {"state": PaymentState.OPEN, "intent": request.intent, "client_secret": request.client_secret}
        update_row(tx, payment, row, values)
    return Change(before, find_payment(tx, before.id), subject=before.account)


@operation("billing.settle_payment", by=[_JOBS])
def settle_payment(tx: Transaction, ctx: Context, request: SettlePayment) -> Change[Payment]:
    """Make our record agree with the processor's; the same answer twice, or late, changes nothing."""
    before = find_payment(tx, request.id, lock=True)
    if before.state in UNDECIDED or (before.state is PaymentState.CANCELLED and _succeeded(request)):
        _settle(tx, ctx, before, request)
    after = find_payment(tx, before.id)
    details = {"status": request.status.value, "failure": request.failure, "attempt": request.attempt}
    return Change(before, after, subject=before.account, details=details)


def _succeeded(request: SettlePayment) -> bool:
    return request.status is IntentStatus.SUCCEEDED


def _settle(tx: Transaction, ctx: Context, before: Payment, request: SettlePayment) -> None:
    if request.intent != (before.intent or request.intent):
        raise Mismatch()
    if _succeeded(request):
        if request.received != before.amount:
            raise Mismatch()
        paid(tx, ctx, before, request.card)
    elif request.status is IntentStatus.CANCELED:
        close(tx, ctx, before)
    elif request.attempt > before.attempt:
        charge_failed(tx, ctx, before, request.failure or request.status, request.attempt, terms_of(tx.connection))
    elif before.state is not PaymentState.WAITING:
        state = PaymentState.PROCESSING if request.status is IntentStatus.PROCESSING else PaymentState.OPEN
        not_paid(tx, ctx, before, state, request.failure)


@operation("billing.close_payment", by=[_JOBS])
def close_payment(tx: Transaction, ctx: Context, request: OnePayment) -> Change[Payment]:
    """End a payment that the processor never heard of, or that it cancelled."""
    before = find_payment(tx, request.id, lock=True)
    if before.state in UNDECIDED:
        close(tx, ctx, before)
    return Change(before, find_payment(tx, before.id), subject=before.account)


@operation("billing.open_period", by=[_JOBS])
def open_period(tx: Transaction, ctx: Context, request: OneSubscription) -> Change[Subscription]:
    """Begin a subscription's next period when it is time, with its invoice and the charge of the saved card."""
    before = find(tx, request.id, lock=True)
    if contact_of(tx, before.account) is None:
        return Change(before, end(tx, ctx, before.id, "account closed"), subject=before.account)
    after = advance(tx, ctx, request.id)
    if after is None:
        return Change(before, before, subject=before.account)
    if after.price.amount:
        in_force = terms_of(tx.connection)
        ensure_customer(tx, ctx, after.account)
        invoice = open_invoice(tx, ctx, after, in_force)
        ensure_payment(tx, ctx, invoice, off_session=True, terms=in_force)
    return Change(before, after, subject=after.account)


@operation("billing.set_terms", by=[SystemOnly("taken from the settings at start-up")])
def set_terms(tx: Transaction, ctx: Context, request: SetTerms) -> Change[Terms]:
    """Put tax, seller and dunning schedule in force for all processes alike."""
    before = terms_of(tx.connection)
    values = {"body": _encode(request.terms), "at": ctx.now}
    if tx.connection.execute(select(terms.c.id)).scalar_one_or_none() is None:
        insert_row(tx, terms, {"id": "current", **values})
    else:
        tx.connection.execute(update(terms).values(values))
    return Change(before, request.terms, object="terms")


def _encode(value: Terms) -> str:
    return msgspec.json.encode(value).decode()
