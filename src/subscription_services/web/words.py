"""Money and time in people's words (Babel, CLDR). All times are shown in UTC and say so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Self

from babel.dates import format_date, format_datetime, format_timedelta
from babel.numbers import format_currency, get_currency_precision

from subscription_services.kernel.money import Money
from subscription_services.kernel.words import Language, Words, words


class Local(Words):
    """A date or an amount that each language writes in its own way; a value for `kernel.words.words`."""

    __slots__ = ("_write",)
    _write: Callable[[str], str]

    def __new__(cls, write: Callable[[str], str]) -> Self:
        made = super().__new__(cls, write("en_GB"))
        made._write = write
        return made

    def said(self, language: Language) -> str:
        return self._write(language.locale)


def amount(money: Money) -> Local:
    """The money in the reader's way of writing."""
    return Local(lambda locale: money_text(money, locale=locale))


def day(at: datetime) -> Local:
    """The day in the reader's way of writing."""
    return Local(lambda locale: date_text(at, locale))


def moment(at: datetime) -> Local:
    """Day and time in the reader's way of writing."""
    return Local(lambda locale: time_text(at, locale))


def money_text(minor_units: int | Money, currency: str = "", locale: str = "en_GB") -> str:
    """`1999, "EUR"` (minor units, ISO 4217) or a Money as "€19.99"."""
    money = minor_units if isinstance(minor_units, Money) else Money(minor_units, currency)
    amount = Decimal(money.amount).scaleb(-get_currency_precision(money.currency))
    return str(format_currency(amount, money.currency, locale=locale))


def _utc(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("a time without zone cannot be shown")
    return at.astimezone(UTC)


def iso(at: datetime) -> str:
    """RFC 3339 in UTC with seconds, for `<time datetime>`."""
    return _utc(at).strftime("%Y-%m-%dT%H:%M:%SZ")


def time_text(at: datetime, locale: str = "en_GB") -> str:
    """ "24 Nov 2026, 07:06 UTC"."""
    return f"{format_datetime(_utc(at), 'd MMM y, HH:mm', locale=locale)} UTC"


def date_text(at: datetime, locale: str = "en_GB") -> str:
    """ "24 November 2026", the day in UTC."""
    return str(format_date(_utc(at).date(), "d MMMM y", locale=locale))


JUST_NOW = words("just now")


def ago_text(at: datetime, now: datetime, locale: str = "en_GB", just_now: str = JUST_NOW) -> str:
    """ "5 minutes ago" or "in 2 days", measured from the injected clock."""
    if abs((at - now).total_seconds()) < 45:
        return str(just_now)
    return str(format_timedelta(_utc(at) - _utc(now), add_direction=True, locale=locale))
