"""Plans, subscriptions and their history: names, states, tables with the rules that the database itself keeps."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    text,
)

from subscription_services.kernel.columns import Instant
from subscription_services.kernel.model import metadata
from subscription_services.kernel.money import Money
from subscription_services.kernel.personal import NotPersonal


class Interval(StrEnum):
    MONTH = "month"
    YEAR = "year"


class Status(StrEnum):
    """`incomplete`: nothing paid yet; `past_due`: the running period is not paid; `ended` is final."""

    INCOMPLETE = "incomplete"
    TRIALING = "trialing"
    ACTIVE = "active"
    PAST_DUE = "past_due"
    ENDED = "ended"


RUNNING = frozenset({Status.TRIALING, Status.ACTIVE, Status.PAST_DUE})


class Moment(StrEnum):
    """What an entry of the history says."""

    OPENED = "opened"
    TRIAL_STARTED = "trial started"
    ACTIVATED = "activated"
    RENEWED = "renewed"
    PAST_DUE = "past due"
    RECOVERED = "recovered"
    CANCELLED = "cancelled at period end"
    RESUMED = "resumed"
    ENDED = "ended"


PlanName = Annotated[str, NotPersonal("stands in the public catalogue")]


class Plan(msgspec.Struct, frozen=True):
    """What can be subscribed to; `trial_days` are free, once for each account."""

    id: str
    name: PlanName
    description: str
    features: tuple[str, ...]
    price: Money
    interval: Interval
    trial_days: int
    active: bool


class Subscription(msgspec.Struct, frozen=True):
    """`period` counts from 0 at the anchor (a trial is -1); the running period is [period_start, period_end)."""

    id: str
    account: str
    plan: str
    plan_name: PlanName
    price: Money
    interval: Interval
    status: Status
    anchor: datetime
    period: int
    period_start: datetime
    period_end: datetime
    ends_at: datetime | None
    ended_at: datetime | None
    created_at: datetime

    @property
    def running(self) -> bool:
        return self.status in RUNNING

    @property
    def renews(self) -> bool:
        """Whether another period follows the running one."""
        return self.running and self.ends_at is None


class HistoryEntry(msgspec.Struct, frozen=True):
    """`by` is the kind of actor, never a name."""

    at: datetime
    what: Moment
    by: str
    detail: str


plan = Table(
    "subscriptions_plan",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("name", String(80), nullable=False),
    Column("description", String(300), nullable=False),
    Column("features", Text, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("interval", String(8), nullable=False),
    Column("trial_days", Integer, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("created_at", Instant, nullable=False),
    CheckConstraint("amount >= 0", name="price"),
    CheckConstraint("trial_days BETWEEN 0 AND 365", name="trial"),
    CheckConstraint("interval IN ('month', 'year')", name="interval"),
)
Index(
    "uq_subscriptions_plan_name", plan.c.name, unique=True,
    sqlite_where=text("active = 1"), postgresql_where=text("active"),
)  # fmt: skip

subscription = Table(
    "subscriptions_subscription",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("account", String(48), nullable=False),
    Column("plan", String(48), ForeignKey("subscriptions_plan.id"), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("currency", String(3), nullable=False),
    Column("interval", String(8), nullable=False),
    Column("status", String(16), nullable=False),
    Column("anchor", Instant, nullable=False),
    Column("period", Integer, nullable=False),
    Column("period_start", Instant, nullable=False),
    Column("period_end", Instant, nullable=False),
    Column("ends_at", Instant),
    Column("ended_at", Instant),
    Column("created_at", Instant, nullable=False),
    CheckConstraint("status IN ('incomplete', 'trialing', 'active', 'past_due', 'ended')", name="status"),
    CheckConstraint("(status = 'ended') = (ended_at IS NOT NULL)", name="ended"),
    CheckConstraint("period_end > period_start", name="period"),
    CheckConstraint("ends_at IS NULL OR status <> 'incomplete'", name="cancellable"),
)
Index(
    "uq_subscriptions_subscription_live", subscription.c.account, subscription.c.plan, unique=True,
    sqlite_where=text("status <> 'ended'"), postgresql_where=text("status <> 'ended'"),
)  # fmt: skip
Index(None, subscription.c.account, subscription.c.created_at)
Index(None, subscription.c.status, subscription.c.period_end)

history = Table(
    "subscriptions_history",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("subscription", String(48), ForeignKey("subscriptions_subscription.id"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("at", Instant, nullable=False),
    Column("what", String(40), nullable=False),
    Column("by", String(20), nullable=False),
    Column("detail", String(120), nullable=False),
)
Index(None, history.c.subscription, history.c.position, unique=True)
