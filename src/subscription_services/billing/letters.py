"""Letters about money: the receipt, a charge that failed, and the end of what was not paid."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from subscription_services.kernel.actors import System
from subscription_services.kernel.errors import NotFound, SubjectErased
from subscription_services.kernel.perform import Kernel, perform
from subscription_services.mail import Letter, LetterKind, SiteFacts, template
from subscription_services.web.words import date_text, money_text

from .model import PaymentState
from .operations.invoices import letter_facts
from .requests import LetterFacts, OnePayment
from .words import failure_text

HELLO = template("Hello,")
QUESTIONS = template("Questions? Write to {contact}.")
RECEIPT = template("Your receipt {number}")
RECEIPT_TEXT = template(
    "Thank you. We received {amount} for {what}.\n\nYour invoice {number}, also as PDF:\n{invoice}\n\n"
    "Your subscription, where you can also cancel it:\n{subscription}\n"
)
FAILED = template("Your payment did not succeed")
FAILED_TEXT = template(
    "We could not charge {amount} for {what}.\n{why}\n\nYou can pay now, with this card or another one:\n{link}\n\n"
    "Without a payment your subscription ends. Nothing more is charged then.\n"
)
FAILED_TEXT_AGAIN = template(
    "We could not charge {amount} for {what}.\n{why}\n\nWe will try again in a few days. You can pay now, with this "
    "card or another one:\n{link}\n\nWithout a payment your subscription ends. Nothing more is charged then.\n"
)
ENDED = template("Your subscription has ended")
ENDED_TEXT = template(
    "The payment of {amount} due on {day} did not succeed, so your subscription has ended. Nothing more will be "
    "charged.\n\nYou can subscribe again at any time:\n{link}\n"
)
Text = Callable[[LetterFacts, SiteFacts], tuple[str, str] | None]


def _receipt(facts: LetterFacts, site: SiteFacts) -> tuple[str, str] | None:
    invoice, line = facts.document.invoice, facts.document.lines[0]
    if facts.payment.state is not PaymentState.PAID:
        return None
    return (
        site.say(RECEIPT, number=invoice.number),
        site.say(
            RECEIPT_TEXT, amount=money_text(invoice.total, locale=site.language.locale), what=line.text,
            number=invoice.number, invoice=f"{site.public_url}/invoices/{invoice.id}",
            subscription=f"{site.public_url}/subscriptions/{invoice.subscription}",
        ),
    )  # fmt: skip


def _payment_failed(facts: LetterFacts, site: SiteFacts) -> tuple[str, str] | None:
    invoice = facts.document.invoice
    if facts.payment.state in (PaymentState.PAID, PaymentState.CANCELLED):
        return None
    return (
        site.say(FAILED),
        site.say(
            FAILED_TEXT_AGAIN if facts.next_try else FAILED_TEXT, what=facts.document.lines[0].text,
            amount=money_text(invoice.total, locale=site.language.locale),
            why=failure_text(facts.payment.failure).said(site.language),
            link=f"{site.public_url}/subscriptions/{invoice.subscription}/pay",
        ),
    )  # fmt: skip


def _ended_unpaid(facts: LetterFacts, site: SiteFacts) -> tuple[str, str] | None:
    invoice = facts.document.invoice
    if facts.payment.state is not PaymentState.CANCELLED:
        return None
    return (
        site.say(ENDED),
        site.say(
            ENDED_TEXT, amount=money_text(invoice.total, locale=site.language.locale),
            day=date_text(invoice.created_at, site.language.locale), link=f"{site.public_url}/plans",
        ),
    )  # fmt: skip


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
        closing = f"\n{site.say(QUESTIONS, contact=site.contact)}\n{site.product}\n"
        return Letter(to=facts.to, subject=subject, text=f"{site.say(HELLO)}\n\n{body}{closing}")

    return LetterKind(name, compose)


LETTERS: tuple[LetterKind, ...] = (
    _kind("billing.receipt", _receipt),
    _kind("billing.payment_failed", _payment_failed),
    _kind("billing.ended_unpaid", _ended_unpaid),
)
