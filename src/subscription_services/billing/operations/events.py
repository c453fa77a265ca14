"""Webhooks: each event is handled once; what it says is read again from the processor."""

from __future__ import annotations

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from subscription_services.billing.queries import payment_by_intent
from subscription_services.billing.requests import Received, ReceiveEvent
from subscription_services.billing.tables import event
from subscription_services.billing.work import ReadPayment
from subscription_services.kernel.context import Context
from subscription_services.kernel.operations import Change, SystemOnly, operation
from subscription_services.kernel.transaction import Transaction


@operation("billing.receive_event", by=[SystemOnly("the webhook endpoint checked the processor's signature")])
def receive_event(tx: Transaction, ctx: Context, request: ReceiveEvent) -> Change[Received]:
    """Note a signed event of the processor and have the payment it concerns looked at; a known one changes nothing."""
    known = select(event.c.id).where(event.c.id == request.id)
    if tx.connection.execute(known).scalar_one_or_none() is not None:
        return Change(None, Received(request.id, again=True))
    payment = payment_by_intent(tx, request.intent) if request.intent else None
    values = {
        "id": request.id, "kind": request.kind, "object": request.object, "payment": payment, "received_at": ctx.now,
    }  # fmt: skip
    try:
        with tx.connection.begin_nested():
            tx.connection.execute(insert(event).values(values))
    except IntegrityError:
        return Change(None, Received(request.id, again=True))
    if payment is not None and request.kind.startswith("payment_intent."):
        tx.outbox.add(ReadPayment(payment), key=f"event:{request.id}")
    return Change(None, Received(request.id, again=False), details={"kind": request.kind})
