"""Tax and dunning; pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from subscription_services.kernel.money import Money


def tax_on(net: Money, rate: int) -> Money:
    """Tax at `rate` hundredths of a percent, rounded half up to the minor unit. Raises ValueError below zero."""
    if net.amount < 0 or rate < 0:
        raise ValueError("tax is on what is owed")
    return Money((net.amount * rate * 2 + 10_000) // 20_000, net.currency)


def rate_text(rate: int) -> str:
    """1900 as "19 %", 770 as "7.7 %"."""
    whole, rest = divmod(rate, 100)
    decimals = f".{rest:02d}".rstrip("0") if rest else ""
    return f"{whole}{decimals} %"


def tax_words(name: str, rate: int) -> str:
    """The tax line's text."""
    return f"{name} {rate_text(rate)}" if rate else "tax not charged"


def next_try(retry_days: Sequence[int], attempt: int, now: datetime) -> datetime | None:
    """When to charge again after failed attempt number `attempt` (from 1); None when it is given up."""
    return now + timedelta(days=retry_days[attempt - 1]) if attempt <= len(retry_days) else None


def refundable(paid: Money, refunded: Money) -> Money:
    """What can still be given back."""
    return paid - refunded
