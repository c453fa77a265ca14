"""Identifiers (RFC 9562, UUIDv7), instants and money."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscription_services.kernel.columns import from_microseconds, to_microseconds
from subscription_services.kernel.ids import PATTERN, Ids, kind
from subscription_services.kernel.money import Money

MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))


def test_the_example_of_rfc_9562_appendix_a6() -> None:
    # unix_ts_ms 0x017F22E279B0, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F: 017F22E2-79B0-7CC3-98C4-DC0C0C07398F
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=0x017F22E279B0)
    tail = (0xCC3 << 64 | 0x18C4DC0C0C07398F).to_bytes(10, "big")
    made = Ids(lambda: moment, lambda count: tail[:count]).new("acc")
    assert made == "acc_017f22e279b07cc398c4dc0c0c07398f"


@given(MOMENTS, st.binary(min_size=10, max_size=10))
def test_every_id_is_a_uuid_version_7_with_its_time(moment: datetime, tail: bytes) -> None:
    made = Ids(lambda: moment, lambda count: tail).new("sub")
    value = UUID(made.removeprefix("sub_"))
    assert (value.version, value.variant) == (7, "specified in RFC 4122")
    assert value.int >> 80 == int(moment.timestamp() * 1000)
    assert PATTERN.fullmatch(made)
    assert kind(made) == "sub"


@given(MOMENTS)
def test_instants_survive_storage_exactly(moment: datetime) -> None:
    assert from_microseconds(to_microseconds(moment)) == moment
    elsewhere = moment.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert to_microseconds(elsewhere) == to_microseconds(moment)


def test_a_time_without_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without zone"):
        to_microseconds(datetime(2026, 1, 1))


@given(st.integers(), st.integers())
def test_money_adds_in_one_currency_only(left: int, right: int) -> None:
    assert Money(left, "EUR") + Money(right, "EUR") == Money(left + right, "EUR")
    assert Money(left, "EUR") - Money(right, "EUR") == Money(left - right, "EUR")
    with pytest.raises(ValueError, match="cannot add"):
        Money(left, "EUR") + Money(right, "USD")
