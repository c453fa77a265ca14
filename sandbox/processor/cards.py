"""Stripe's public test cards, and the checks of a card form. A full number never leaves this module."""

import hashlib
import hmac
import re
from dataclasses import dataclass
from enum import Enum

from sandbox.processor.errors import Refusal


class Authentication(Enum):
    """When the cardholder's bank asks for 3-D Secure."""

    NEVER = "never"
    ALWAYS = "always"
    UNLESS_SET_UP = "unless_set_up"


@dataclass(frozen=True)
class Decline:
    """Why a bank refuses: Stripe's code, decline code and words, and the field of the form it belongs to."""

    code: str
    decline_code: str
    message: str
    field: str = "number"


_GENERIC = Decline("card_declined", "generic_decline", "Your card was declined.")
_NO_FUNDS = Decline("card_declined", "insufficient_funds", "Your card has insufficient funds.")
_EXPIRED = Decline("expired_card", "expired_card", "Your card has expired.", "expiry")
_BAD_CVC = Decline("incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect.", "cvc")
_PROCESSING = Decline(
    "processing_error", "processing_error", "An error occurred while processing your card. Try again later."
)
LIVE_CARD = Decline(
    "card_declined",
    "test_mode_live_card",
    "Your card was declined. This is a sandbox: it takes test cards only.",
)


@dataclass(frozen=True)
class Behaviour:
    """What happens with a test card: `attaches` is false when its bank refuses even to have it saved."""

    alias: str
    brand: str = "visa"
    decline: Decline | None = None
    attaches: bool = True
    authentication: Authentication = Authentication.NEVER


@dataclass(frozen=True)
class Card:
    """What may be kept of a card."""

    alias: str
    brand: str
    last4: str
    exp_month: int
    exp_year: int
    fingerprint: str


@dataclass(frozen=True)
class FieldProblem:
    """A value of the card form that cannot be right: the field, Stripe's code, and words for the cardholder."""

    field: str
    code: str
    message: str


_BY_NUMBER = {
    "4242424242424242": Behaviour("pm_card_visa"),
    "4000056655665556": Behaviour("pm_card_visa_debit"),
    "5555555555554444": Behaviour("pm_card_mastercard", "mastercard"),
    "378282246310005": Behaviour("pm_card_amex", "amex"),
    "4000000000000002": Behaviour("pm_card_visa_chargeDeclined", decline=_GENERIC, attaches=False),
    "4000000000009995": Behaviour("pm_card_visa_chargeDeclinedInsufficientFunds", decline=_NO_FUNDS, attaches=False),
    "4000000000000069": Behaviour("pm_card_chargeDeclinedExpiredCard", decline=_EXPIRED, attaches=False),
    "4000000000000127": Behaviour("pm_card_chargeDeclinedIncorrectCvc", decline=_BAD_CVC, attaches=False),
    "4000000000000119": Behaviour("pm_card_chargeDeclinedProcessingError", decline=_PROCESSING, attaches=False),
    "4000000000000341": Behaviour("pm_card_chargeCustomerFail", decline=_GENERIC),
    "4000002760003184": Behaviour("pm_card_authenticationRequired", authentication=Authentication.ALWAYS),
    "4000002500003155": Behaviour("pm_card_authenticationRequiredOnSetup", authentication=Authentication.UNLESS_SET_UP),
}
_BY_ALIAS = {behaviour.alias: (number, behaviour) for number, behaviour in _BY_NUMBER.items()}


def behaviour_of(alias: str) -> Behaviour:
    """What the test card with this alias does."""
    return _BY_ALIAS[alias][1]


def ready_made(alias: str, year: int, key: bytes) -> Card | None:
    """The card behind one of Stripe's `pm_card_...` names, or None for another name."""
    if alias not in _BY_ALIAS:
        return None
    number, behaviour = _BY_ALIAS[alias]
    return _kept(number, behaviour, 12, year + 5, key)


def _kept(number: str, behaviour: Behaviour, month: int, year: int, key: bytes) -> Card:
    fingerprint = hmac.new(key, number.encode(), hashlib.sha256).hexdigest()[:16]
    return Card(behaviour.alias, behaviour.brand, number[-4:], month, year, fingerprint)


def passes_luhn(number: str) -> bool:
    """The check digit of ISO/IEC 7812-1, annex B."""
    doubled = [int(digit) * (1 + position % 2) for position, digit in enumerate(reversed(number))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def read_card(
    number: str, expiry: str, cvc: str, *, today: tuple[int, int], key: bytes
) -> tuple[Card | None, list[FieldProblem]]:
    """What was typed as a card, or every problem found, in the order of the form. `today` is year and month."""
    problems: list[FieldProblem] = []
    digits = re.sub(r"[ -]", "", number)
    if not re.fullmatch(r"[0-9]{12,19}", digits, re.ASCII):
        problems.append(FieldProblem("number", "incomplete_number", "Your card number is incomplete."))
    elif not passes_luhn(digits):
        problems.append(FieldProblem("number", "invalid_number", "Your card number is invalid."))
    elif digits not in _BY_NUMBER:
        problems.append(FieldProblem("number", LIVE_CARD.code, LIVE_CARD.message))
    month, year = _read_expiry(expiry, today, problems)
    behaviour = _BY_NUMBER.get(digits)
    length = 4 if behaviour and behaviour.brand == "amex" else 3
    if not re.fullmatch(rf"[0-9]{{{length}}}", cvc.strip(), re.ASCII):
        message = f"Your card's security code has {length} digits."
        problems.append(FieldProblem("cvc", "incomplete_cvc", message))
    if problems or behaviour is None:
        return None, problems
    return _kept(digits, behaviour, month, year, key), []


def _read_expiry(expiry: str, today: tuple[int, int], problems: list[FieldProblem]) -> tuple[int, int]:
    found = re.fullmatch(r"\s*([0-9]{1,2})\s*[/ -]\s*([0-9]{4}|[0-9]{2})\s*|([0-9]{2})([0-9]{2})", expiry)
    if found is None or not 1 <= int(found[1] or found[3]) <= 12:
        message = "Write the expiry date as month and year, for example 04 / 30."
        problems.append(FieldProblem("expiry", "incomplete_expiry", message))
        return 0, 0
    month, year = int(found[1] or found[3]), int(found[2] or found[4])
    year += 2000 if year < 100 else 0
    if (year, month) < today:
        message = "Your card's expiration date is in the past."
        problems.append(FieldProblem("expiry", "invalid_expiry_year", message))
    elif year > today[0] + 50:
        problems.append(FieldProblem("expiry", "invalid_expiry_year", "Your card's expiration year is invalid."))
    return month, year


def refuse(decline: Decline, **objects: object) -> Refusal:
    """A decline as the answer of an API call (402); what happened is kept."""
    return Refusal(
        decline.message,
        status=402,
        kind="card_error",
        code=decline.code,
        decline_code=decline.decline_code,
        param={"number": None, "expiry": "exp_month", "cvc": "cvc"}[decline.field],
        kept=True,
        **objects,
    )
