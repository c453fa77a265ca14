"""Periods follow the calendar from their anchor."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as some

from subscription_services.subscriptions import Interval
from subscription_services.subscriptions.policy import TRIAL, first_period, period_bounds, period_start

anchors = some.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=some.just(UTC))
intervals = some.sampled_from(Interval)


def days(anchor: datetime, interval: Interval, count: int) -> list[tuple[int, int]]:
    starts = [period_start(anchor, interval, number) for number in range(count)]
    return [(start.month, start.day) for start in starts]


def test_the_last_day_of_a_month_comes_back() -> None:
    end_of_january = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert days(end_of_january, Interval.MONTH, 5) == [(1, 31), (2, 28), (3, 31), (4, 30), (5, 31)]
    assert days(datetime(2028, 1, 30, tzinfo=UTC), Interval.MONTH, 3) == [(1, 30), (2, 29), (3, 30)]


def test_a_leap_day_comes_back_every_fourth_year() -> None:
    leap = datetime(2028, 2, 29, tzinfo=UTC)
    assert days(leap, Interval.YEAR, 5) == [(2, 29), (2, 28), (2, 28), (2, 28), (2, 29)]


@given(anchors, intervals, some.integers(0, 240))
def test_periods_meet_without_gap_or_overlap(anchor: datetime, interval: Interval, number: int) -> None:
    start, end = period_bounds(anchor, interval, number)
    following, _ = period_bounds(anchor, interval, number + 1)
    assert start < end == following
    longest = 31 if interval is Interval.MONTH else 366
    assert timedelta(days=28) <= end - start <= timedelta(days=longest)


@given(anchors, some.integers(0, 240))
def test_the_day_is_the_anchors_or_the_months_last(anchor: datetime, number: int) -> None:
    start = period_start(anchor, Interval.MONTH, number)
    months = anchor.year * 12 + anchor.month - 1 + number
    assert (start.year, start.month) == (months // 12, months % 12 + 1)
    assert start.day == min(anchor.day, monthrange(start.year, start.month)[1])
    assert start.timetz() == anchor.timetz()


@given(anchors, intervals, some.integers(1, 365))
def test_a_trial_ends_where_the_first_period_begins(now: datetime, interval: Interval, length: int) -> None:
    anchor, number, start, end = first_period(now, interval, length)
    assert (number, start, end) == (TRIAL, now, anchor)
    assert period_bounds(anchor, interval, TRIAL + 1)[0] == end
    assert end - start == timedelta(days=length)
