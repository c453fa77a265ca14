"""Saved cards: looked at, made the default, removed."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, select, update

from subscription_services.billing.errors import MethodInUse
from subscription_services.billing.queries import methods_of
from subscription_services.billing.requests import MethodFacts, Methods, Nothing, OneMethod
from subscription_services.billing.tables import method
from subscription_services.billing.work import DetachMethod
from subscription_services.kernel.actors import Subscriber
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.operations import Change, Seen, SystemOnly, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction
from subscription_services.storage import fetch
from subscription_services.subscriptions import of_account


def _row(tx: ReadTransaction, method_id: str) -> Row[Any, Any]:
    statement = select(method.c.account, method.c.is_default)
    row = tx.connection.execute(statement.where(method.c.id == method_id, method.c.removed_at.is_(None))).one_or_none()
    if row is None:
        raise NotFound()
    return row


def owner_of_method(tx: ReadTransaction, ctx: Context, request: OneMethod) -> str:
    """Whose card it is. Raises NotFound."""
    return str(_row(tx, request.id).account)


@operation("billing.payment_methods", by=[Subscriber.own])
def list_methods(tx: ReadTransaction, ctx: Context, request: Nothing) -> Seen[Methods]:
    """One's own saved cards."""
    return Seen(Methods(methods_of(tx, ctx.actor.id)))


@operation("billing.set_default_method", by=[Subscriber.own], subject=owner_of_method)
def set_default_method(tx: Transaction, ctx: Context, request: OneMethod) -> Change[Methods]:
    """Renew with this card from now on."""
    account = ctx.actor.id
    tx.connection.execute(update(method).where(method.c.account == account).values(is_default=False))
    tx.connection.execute(update(method).where(method.c.id == request.id).values(is_default=True))
    return Change(None, Methods(methods_of(tx, account)), object=request.id)


@operation("billing.remove_payment_method", by=[Subscriber.own], subject=owner_of_method)
def remove_payment_method(tx: Transaction, ctx: Context, request: OneMethod) -> Change[Methods]:
    """Forget a card, here and at the processor. The last one stays while a subscription renews with it."""
    account = ctx.actor.id
    was_default = bool(_row(tx, request.id).is_default)
    others = [item for item in methods_of(tx, account) if item.id != request.id]
    if not others and any(item.renews and item.price.amount for item in of_account(tx, account)):
        raise MethodInUse()
    gone = update(method).where(method.c.id == request.id)
    tx.connection.execute(gone.values(removed_at=ctx.now, is_default=False))
    if was_default and others:
        tx.connection.execute(update(method).where(method.c.id == others[0].id).values(is_default=True))
    tx.outbox.add(DetachMethod(request.id), key=f"detach:{request.id}")
    return Change(None, Methods(methods_of(tx, account)), object=request.id)


@operation("billing.method_facts", by=[SystemOnly("carried out by this room's jobs")])
def method_facts(tx: ReadTransaction, ctx: Context, request: OneMethod) -> Seen[MethodFacts]:
    """What a job needs to remove a card at the processor."""
    rows = fetch(tx, method, method.c.id == request.id, method.c.removed_at.is_not(None))
    if not rows:
        raise NotFound()
    return Seen(MethodFacts(str(rows[0]["token"])), object=request.id, subject=str(rows[0]["account"]))
