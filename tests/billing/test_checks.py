"""The books notice when they do not agree, and the search notices a card number."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, text

from subscription_services.billing import requests as asks
from subscription_services.billing.accounts import recent_paid, wrong_accounts
from subscription_services.billing.checks import search
from subscription_services.kernel.actors import Role
from tests.billing.shop import Shop

BREAKS: dict[str, str] = {
    "paid invoices do not have": "UPDATE billing_payment SET amount = amount + 1",
    "belong to invoices that are not paid": "UPDATE billing_invoice SET status = 'open', paid_at = NULL",
    "INV-2026 has gaps": "UPDATE billing_series SET last = last + 1 WHERE id LIKE 'INV-%'",
    "CN-2026 has gaps": "UPDATE billing_refund SET number = 'CN-2026-000009'",
    "refunded by another sum": "UPDATE billing_refund SET amount = amount + 1",
}


@pytest.mark.parametrize("says", BREAKS)
def test_each_break_is_found(shop: Shop, says: str) -> None:
    me = shop.person()
    shop.subscribed(me)
    (invoice,) = shop.invoices(me)
    shop.world.do("billing.refund", shop.member(Role.BILLING), asks.GiveRefund(invoice.id, 100))
    read = shop.world.house.store.read
    before = shop.world.run(read(wrong_accounts))
    assert (before.says, before.invoices, before.payments) == ((), 1, 1)
    assert [amount for _, _, amount in shop.world.run(read(recent_paid))] == [invoice.total]
    shop.world.write(_execute(BREAKS[says]))
    assert any(says in sentence for sentence in shop.world.run(read(wrong_accounts)).says)


def test_a_stored_card_number_is_found(shop: Shop) -> None:
    shop.subscribed(shop.person())
    rows, found = shop.world.run(shop.world.house.store.read(search))
    assert rows > 10
    assert found == []
    shop.world.write(_execute("UPDATE billing_line SET text = 'card 4242 4242 4242 4242'"))
    assert shop.world.run(shop.world.house.store.read(search))[1] == ["billing_line.text"]


def _execute(statement: str) -> Callable[[Connection], object]:
    return lambda connection: connection.execute(text(statement))
