"""Reads: rows as frozen values."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.money import Money
from subscription_services.kernel.transaction import ReadTransaction

from .errors import PlanNotFound
from .model import HistoryEntry, Interval, Moment, Plan, Status, Subscription, history, plan, subscription


def plan_of(row: Row[Any]) -> Plan:
    return Plan(
        id=row.id, name=row.name, description=row.description, features=tuple(row.features.splitlines()),
        price=Money(row.amount, row.currency), interval=Interval(row.interval), trial_days=row.trial_days,
        active=row.active,
    )  # fmt: skip


def subscription_of(row: Row[Any]) -> Subscription:
    return Subscription(
        id=row.id, account=row.account, plan=row.plan, plan_name=row.plan_name,
        price=Money(row.amount, row.currency), interval=Interval(row.interval), status=Status(row.status),
        anchor=row.anchor, period=row.period, period_start=row.period_start, period_end=row.period_end,
        ends_at=row.ends_at, ended_at=row.ended_at, created_at=row.created_at,
    )  # fmt: skip


def _subscriptions() -> Select[Any]:
    joined = subscription.join(plan, plan.c.id == subscription.c.plan)
    return select(subscription, plan.c.name.label("plan_name")).select_from(joined)


def offered_plans(connection: Connection) -> tuple[Plan, ...]:
    """Plans that can be subscribed to, cheapest first."""
    statement = select(plan).where(plan.c.active).order_by(plan.c.interval, plan.c.amount, plan.c.name)
    return tuple(plan_of(row) for row in connection.execute(statement))


def find_plan(tx: ReadTransaction, plan_id: str, *, offered: bool = True) -> Plan:
    """Raises PlanNotFound, also for a retired plan unless `offered` is false."""
    row = tx.connection.execute(select(plan).where(plan.c.id == plan_id)).one_or_none()
    if row is None or (offered and not row.active):
        raise PlanNotFound()
    return plan_of(row)


def find(tx: ReadTransaction, subscription_id: str, *, lock: bool = False) -> Subscription:
    """The subscription; `lock` keeps others from changing it until the transaction ends. Raises NotFound."""
    statement = _subscriptions().where(subscription.c.id == subscription_id)
    if lock:
        statement = statement.with_for_update(of=subscription)
    row = tx.connection.execute(statement).one_or_none()
    if row is None:
        raise NotFound()
    return subscription_of(row)


def of_account(tx: ReadTransaction, account: str) -> tuple[Subscription, ...]:
    """All subscriptions of an account, newest first."""
    statement = _subscriptions().where(subscription.c.account == account).order_by(subscription.c.created_at.desc())
    return tuple(subscription_of(row) for row in tx.connection.execute(statement.limit(500)))


def live_one(tx: ReadTransaction, account: str, plan_id: str) -> Subscription | None:
    """The account's subscription of this plan that has not ended, locked."""
    statement = _subscriptions().where(
        subscription.c.account == account, subscription.c.plan == plan_id, subscription.c.status != Status.ENDED
    )
    row = tx.connection.execute(statement.with_for_update(of=subscription)).one_or_none()
    return None if row is None else subscription_of(row)


def had_before(tx: ReadTransaction, account: str) -> bool:
    """Whether the account ever had a subscription that ran."""
    ran = select(func.count()).where(subscription.c.account == account, subscription.c.status != Status.INCOMPLETE)
    return bool(tx.connection.execute(ran).scalar_one())


def history_of(tx: ReadTransaction, subscription_id: str) -> tuple[HistoryEntry, ...]:
    """Oldest first."""
    statement = select(history).where(history.c.subscription == subscription_id).order_by(history.c.position)
    return tuple(
        HistoryEntry(at=row.at, what=Moment(row.what), by=row.by, detail=row.detail)
        for row in tx.connection.execute(statement.limit(1000))
    )


def due_for_renewal(connection: Connection, now: datetime, limit: int = 200) -> tuple[str, ...]:
    """Ids of running subscriptions whose period is over and that go on."""
    statement = select(subscription.c.id).where(
        subscription.c.status.in_([Status.ACTIVE, Status.TRIALING]), subscription.c.ends_at.is_(None),
        subscription.c.period_end <= now,
    )  # fmt: skip
    return tuple(connection.execute(statement.order_by(subscription.c.period_end).limit(limit)).scalars())


def due_to_end(connection: Connection, now: datetime, limit: int = 200) -> tuple[str, ...]:
    """Ids of subscriptions cancelled earlier whose last period is over."""
    statement = select(subscription.c.id).where(
        subscription.c.status != Status.ENDED, subscription.c.ends_at.is_not(None), subscription.c.ends_at <= now
    )
    return tuple(connection.execute(statement.order_by(subscription.c.ends_at).limit(limit)).scalars())
