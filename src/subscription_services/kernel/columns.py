"""Column types that mean the same on both engines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Dialect
from sqlalchemy.types import TypeDecorator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(value: datetime) -> int:
    """Whole microseconds since 1970-01-01 UTC; refuses a time without zone."""
    if value.tzinfo is None:
        raise ValueError("a time without zone cannot be stored")
    return (value - EPOCH) // _MICROSECOND


def from_microseconds(value: int) -> datetime:
    return EPOCH + timedelta(0, 0, value)


class Instant(TypeDecorator[datetime]):
    """A moment, UTC, stored as microseconds since 1970: exact, sortable, without zone surprises."""

    impl = BigInteger
    cache_ok = True

    # every request converts some; these two say how without the library's three steps around each value
    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], int | None]:
        return lambda value: None if value is None else to_microseconds(value)

    def result_processor(self, dialect: Dialect, coltype: Any) -> Callable[[int | None], datetime | None]:
        return lambda value: None if value is None else from_microseconds(value)
