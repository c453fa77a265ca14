"""Why a payment did not succeed, and the state of an invoice, in words for its owner."""

from __future__ import annotations

from subscription_services.kernel.words import Words, table, words

from .model import Invoice, InvoiceStatus, Payment, PaymentState

_FAILURES = table(
    {
        "insufficient_funds": "Your bank says that the account behind the card does not have enough money.",
        "expired_card": "The card has expired.",
        "incorrect_cvc": "The security code is not right.",
        "incorrect_number": "The card number is not right.",
        "processing_error": "The bank could not work on the payment. Trying again often helps.",
        "authentication_required": "Your bank wants you to confirm the payment yourself.",
        "payment_intent_authentication_failure": "The confirmation with your bank did not succeed.",
        "lost_card": "Your bank did not accept the card.",
        "stolen_card": "Your bank did not accept the card.",
        "test_mode_live_card": "This is a sandbox: use a test card.",
        "no_saved_card": "There is no saved card to charge.",
    }
)
BRANDS = {
    "visa": "Visa", "mastercard": "Mastercard", "amex": "American Express", "diners": "Diners Club",
    "discover": "Discover", "jcb": "JCB", "unionpay": "UnionPay",
}  # fmt: skip
REASONS = table({
    "duplicate": "charged twice", "fraudulent": "not made by the cardholder", "requested_by_customer": "on request",
})  # fmt: skip
NO_TAX = words("Tax not charged")
"""What `policy.tax_words` says where there is none, at the beginning of a line."""
_GENERAL = words("Your bank did not accept the payment.")


def failure_text(code: str) -> Words:
    """One sentence for the processor's code; an unknown code has a general one."""
    return _FAILURES.get(code, _GENERAL)


def payment_problem(payment: Payment) -> str:
    """What went wrong with the last try, or "" when nothing did."""
    failed = payment.failure and payment.state in (PaymentState.OPEN, PaymentState.WAITING)
    return words("%(problem)s You were not charged.", problem=failure_text(payment.failure)) if failed else ""


def brand_text(brand: str) -> str:
    """A card's brand as people write it."""
    return BRANDS.get(brand, brand.replace("_", " ").title() or "Card")


def invoice_state(invoice: Invoice) -> str:
    """The name of the state as `ui.status` knows it."""
    return {InvoiceStatus.UNCOLLECTIBLE: "failed", InvoiceStatus.DRAFT: "pending"}.get(
        invoice.status, invoice.status.value
    )
