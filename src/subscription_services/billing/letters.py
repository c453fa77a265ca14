"""Letters about money: the receipt, a charge that failed, and the end of what was not paid."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from subscription_services.kernel.actors import System
from subscription_services.kernel.errors import NotFound, SubjectErased
from subscription_services.kernel.perform import Kernel, perform
from subscription_services.mail import Letter, LetterKind, SiteFacts
from subscription_services.web.words import date_text, money_text

from .model import PaymentState
from .operations.invoices import letter_facts
from .requests import LetterFacts, OnePayment
from .words import failure_text

Text = Callable[[LetterFacts, SiteFacts], tuple[str, str] | None]


def _receipt(facts: LetterFacts, site: SiteFacts) -> tuple[str, str] | None:
    invoice, line = facts.document.invoice, facts.document.lines[0]
    if facts.payment.state is not PaymentState.PAID:
        return None
    return (
        f"Your receipt {invoice.number}",
        f"Thank you. We received {money_text(invoice.total)} for {line.text}.\n\n"
        f"Your invoice {invoice.number}, also as PDF:\n{site.public_url}/invoices/{invoice.id}\n\n"
        f"Your subscription, where you can also cancel it:\n{site.public_url}/subscriptions/{invoice.subscription}\n",
    )


def _payment_failed(facts: LetterFacts, site: SiteFacts) -> tuple[str, str] | None:
    invoice = facts.document.invoice
    if facts.payment.state in (PaymentState.PAID, PaymentState.CANCELLED):
        return None
    again = "We will try again in a few days. " if facts.next_try else ""
    return (
        "Your payment did not succeed",
        f"We could not charge {money_text(invoice.total)} for {facts.document.lines[0].text}.\n"
        f"{failure_text(facts.payment.failure)}\n\n{again}You can pay now, with this card or another one:\n"
        f"{site.public_url}/subscriptions/{invoice.subscription}/pay\n\n"
        "Without a payment your subscription ends. Nothing more is charged then.\n",
    )


def _ended_unpaid(facts: LetterFacts, site: SiteFacts) -> tuple[str, str] | None:
    invoice = facts.document.invoice
    if facts.payment.state is not PaymentState.CANCELLED:
        return None
    return (
        "Your subscription has ended",
        f"The payment of {money_text(invoice.total)} due on {date_text(invoice.created_at)} did not succeed, so your "
        f"subscription has ended. Nothing more will be charged.\n\nYou can subscribe again at any time:\n"
        f"{site.public_url}/plans\n",
    )


def _kind(name: str, text: Text) -> LetterKind:
    async def compose(kernel: Kernel, site: SiteFacts, account: str, values: Mapping[str, str]) -> Letter | None:
        try:
            request = OnePayment(values["payment"])
            facts: LetterFacts = await perform(kernel, letter_facts, System("billing.letters"), request)
        except (NotFound, SubjectErased):
            return None
        written = text(facts, site)
        if written is None:
            return None
        subject, body = written
        closing = f"\nQuestions? Write to {site.contact}.\n{site.product}\n"
        return Letter(to=facts.to, subject=subject, text=f"Hello,\n\n{body}{closing}")

    return LetterKind(name, compose)


LETTERS: tuple[LetterKind, ...] = (
    _kind("billing.receipt", _receipt),
    _kind("billing.payment_failed", _payment_failed),
    _kind("billing.ended_unpaid", _ended_unpaid),
)
