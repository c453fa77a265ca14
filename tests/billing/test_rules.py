"""Tax, schedules, card numbers, settings, paper: what needs no store."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pypdf
import pytest
from hypothesis import given
from hypothesis import strategies as some

from subscription_services.billing import contains_card_number, frame_origins
from subscription_services.billing.card_numbers import passes_luhn
from subscription_services.billing.model import (
    CreditNote,
    Invoice,
    InvoiceDocument,
    InvoiceLine,
    InvoiceStatus,
    RefundReason,
    RefundState,
)
from subscription_services.billing.pdf import invoice_pdf
from subscription_services.billing.policy import next_try, rate_text, tax_on, tax_words
from subscription_services.billing.settings import BillingSettings, check_settings
from subscription_services.kernel.errors import SettingsError
from subscription_services.kernel.money import Money

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
GOOD: dict[str, Any] = {"secret_key": "sk_test_x", "publishable_key": "pk_test_x", "webhook_secret": "whsec_x"}


@given(some.integers(0, 10**10), some.integers(0, 10_000))
def test_tax_is_within_half_a_cent(amount: int, rate: int) -> None:
    tax = tax_on(Money(amount, "EUR"), rate).amount
    exact = Fraction(amount * rate, 10_000)
    assert abs(tax - exact) <= Fraction(1, 2)
    assert tax >= exact or exact - tax < Fraction(1, 2)


def test_tax_in_words() -> None:
    assert [rate_text(rate) for rate in (1900, 770, 1, 550)] == ["19 %", "7.7 %", "0.01 %", "5.5 %"]
    assert tax_words("VAT", 0) == "tax not charged"
    with pytest.raises(ValueError, match="owed"):
        tax_on(Money(-1, "EUR"), 1900)


def test_the_schedule_of_retries_ends() -> None:
    assert [next_try((3, 5), attempt, NOW) for attempt in (1, 2, 3)] == [
        NOW + timedelta(days=3), NOW + timedelta(days=5), None,
    ]  # fmt: skip


@pytest.mark.parametrize("text", [
    "4242424242424242", "4242 4242 4242 4242", "my card: 4242-4242-4242-4242 thanks", "378282246310005",
    "3782 822463 10005", "5555.5555.5555.4444", "4242424242424242 12/30 123", "12/30 4000 0566 5566 5556",
    "card4242424242424242x", "４２４２４２４２４２４２４２４２", "6304000000000000", "4242\n4242\n4242\n4242",
])  # fmt: skip
def test_card_numbers_are_found(text: str) -> None:
    assert contains_card_number(text)


@pytest.mark.parametrize("text", [
    "", "4242", "4242424242424241", "acc_0193a4b1c2d37e4f8a9b0c1d2e3f4a5b", "+49 30 1234567", "2026-11-24T09:30:00Z",
    "0000000000000000", "1234567890123456789012345", "INV-2026-000001", "pay_01234567890123456789012345678901",
    "4.000", "9.99 EUR and 12.50 EUR and 1990 cents", "42424242 ... 42424242",
])  # fmt: skip
def test_other_numbers_are_let_through(text: str) -> None:
    assert not contains_card_number(text)


@given(some.text("0123456789", min_size=12, max_size=18), some.sampled_from(["", " ", "-", ". "]))
def test_every_number_that_passes_is_found_and_no_other(digits: str, between: str) -> None:
    digits = "4" + digits[1:]
    check = next(str(n) for n in range(10) if passes_luhn(digits + str(n)))
    for last in "0123456789":
        number = between.join(digits[i : i + 4] for i in range(0, len(digits), 4)) + last
        if last == check:
            assert contains_card_number(number)
        elif not between:
            assert not contains_card_number(number)


def test_what_refuses_to_start() -> None:
    check_settings(BillingSettings(**GOOD), sandbox=False)
    for name in GOOD:
        with pytest.raises(SettingsError, match=name.upper()):
            check_settings(BillingSettings(**{**GOOD, name: ""}), sandbox=False)
    local: dict[str, Any] = {**GOOD, "processor_url": "http://127.0.0.1:9", "frame_origin": "http://127.0.0.1:9"}
    check_settings(BillingSettings(**local), sandbox=True)
    with pytest.raises(SettingsError, match="SANDBOX"):
        check_settings(BillingSettings(**local), sandbox=False)
    for url in ("https://api.example.org", "http://127.0.0.1.example.org", "http://10.0.0.1:80", "nonsense"):
        with pytest.raises(SettingsError, match="away"):
            check_settings(BillingSettings(**{**GOOD, "processor_url": url}), sandbox=True)
    with pytest.raises(SettingsError, match="live"):
        check_settings(BillingSettings(**{**GOOD, "secret_key": "sk_live_x"}), sandbox=True)
    assert frame_origins(BillingSettings(**local)) == ("http://127.0.0.1:9",)
    with pytest.raises(ValueError, match="retry"):
        BillingSettings(**GOOD, retry_days="0")


def test_the_paper_holds_every_name_and_sum() -> None:
    def euro(cents: int) -> Money:
        return Money(cents, "EUR")

    invoice = Invoice(
        id="inv_1", account="acc_1", number="INV-2026-000042", status=InvoiceStatus.PAID, subscription="sub_1",
        net=euro(1990), tax=euro(378), tax_rate=1900, tax_words="VAT 19 %", total=euro(2368), refunded=euro(500),
        period_start=NOW, period_end=NOW + timedelta(days=31), issued_at=NOW, paid_at=NOW, created_at=NOW,
    )  # fmt: skip
    credit = CreditNote("ref_1", "CN-2026-000001", euro(500), RefundReason.REQUESTED, RefundState.DONE, NOW)
    document = InvoiceDocument(
        invoice, (InvoiceLine("Standard, März", 1, euro(1990), euro(1990)),), "Subscription Services\nMain street 1",
        "Łukasz Żółć\nΑθήνα, Київ\nada@example.org", (credit,), "pay_1",
    )  # fmt: skip
    body = invoice_pdf(document)
    assert body == invoice_pdf(document)
    reader = pypdf.PdfReader(io.BytesIO(body))
    text = "\n".join(page.extract_text() for page in reader.pages)
    for words in (
        "Invoice INV-2026-000042", "Łukasz Żółć", "Αθήνα, Київ", "Standard, März", "VAT 19 %", "€23.68",
        "Paid on 2 March 2026", "CN-2026-000001", "€18.68", "Main street 1",
    ):  # fmt: skip
        assert words in text
    root = reader.trailer["/Root"]
    assert root["/Lang"] == "en"  # type: ignore[index]
    assert reader.metadata is not None
    assert reader.metadata.title == "Invoice INV-2026-000042"
