"""The rules of the calendar and of the life cycle; pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from dateutil.relativedelta import relativedelta

from .errors import AlreadyCancelled, AlreadyEnded, NotCancelled, NotStarted
from .model import Interval, Status, Subscription

TRIAL = -1


def period_start(anchor: datetime, interval: Interval, period: int) -> datetime:
    """When period number `period` begins: whole calendar months after the anchor, on its day or the month's last.

    Counted from the anchor each time, so 31 January gives 28 February and then 31 March.
    """
    months = period * (12 if interval is Interval.YEAR else 1)
    return anchor + relativedelta(months=months)


def period_bounds(anchor: datetime, interval: Interval, period: int) -> tuple[datetime, datetime]:
    """[start, end) of a period; the end is the start of the next one."""
    return period_start(anchor, interval, period), period_start(anchor, interval, period + 1)


def first_period(now: datetime, interval: Interval, trial_days: int) -> tuple[datetime, int, datetime, datetime]:
    """Anchor, number and bounds of the first period; the anchor of a trial is its end."""
    if trial_days:
        anchor = now + timedelta(days=trial_days)
        return anchor, TRIAL, now, anchor
    return now, 0, *period_bounds(now, interval, 0)


def check_can_cancel(subscription: Subscription) -> None:
    """Raises AlreadyEnded, NotStarted, AlreadyCancelled."""
    if subscription.status is Status.ENDED:
        raise AlreadyEnded()
    if subscription.status is Status.INCOMPLETE:
        raise NotStarted()
    if subscription.ends_at is not None:
        raise AlreadyCancelled()


def check_can_resume(subscription: Subscription, now: datetime) -> None:
    """Raises AlreadyEnded, NotCancelled."""
    if subscription.status is Status.ENDED or (subscription.ends_at is not None and subscription.ends_at <= now):
        raise AlreadyEnded()
    if subscription.ends_at is None:
        raise NotCancelled()
