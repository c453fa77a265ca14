"""What can be wrong with money, in words for people."""

from __future__ import annotations

from subscription_services.kernel.errors import Conflict, DomainError, Invalid, Malformed, Unavailable


class AlreadyPaid(Conflict):
    code = "already-paid"
    message = "This is paid already. Nothing more is owed."


class RefundTooLarge(Invalid):
    code = "refund-too-large"
    message = "More than was paid cannot be given back."


class NotPaid(Conflict):
    code = "not-paid"
    message = "Nothing was paid here, so there is nothing to give back."


class MethodInUse(Conflict):
    code = "method-in-use"
    message = (
        "A subscription renews with this card. Add another card by paying with it, or cancel the subscription first."
    )


class CardNumberRefused(Invalid):
    code = "card-number"
    message = "This looks like a card number. We never take card numbers here; the payment form does."


class BadSignature(Malformed):
    code = "bad-signature"
    message = "The processor's signature is missing or wrong."


class Mismatch(Conflict):
    code = "payment-mismatch"
    message = "What the processor says does not fit our record of this payment. The operators are told."


class ProcessorUnavailable(Unavailable):
    code = "processor-unavailable"
    message = "The payment processor does not answer. Nothing was charged; we go on trying by ourselves."


class ProcessorRefused(DomainError):
    """The processor understood and refused; `reason` is its code."""

    code = "processor-refused"
    message = "The payment processor refused this."

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason
