"""What is granted at once: tasks of a role for holders of another one, for named operations and a short time."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Row, select

from subscription_services.kernel.actors import Role
from subscription_services.kernel.errors import NotFound
from subscription_services.kernel.transaction import ReadTransaction

from . import row_codes
from .authority import decode_scopes
from .task_model import rule


class TaskRule(msgspec.Struct, frozen=True):
    """Whoever holds `held`, but for who made the rule, is lent these `operations` of `role` at once, when they ask."""

    id: str
    held: Role
    role: Role
    operations: list[str]
    minutes: int
    made_by: str
    made_at: datetime
    ended_at: datetime | None


class TaskRules(msgspec.Struct, frozen=True):
    rules: list[TaskRule]


def live_rules(tx: ReadTransaction) -> list[TaskRule]:
    """The rules in force, the newest first."""
    rows = tx.connection.execute(select(rule).where(rule.c.ended_at.is_(None)).order_by(rule.c.made_at.desc())).all()
    return [rule_of(row) for row in rows if row_codes.is_ours(tx.keys, rule.name, row_codes.RULE, row)]


def rule_row(tx: ReadTransaction, identifier: str) -> Row[Any]:
    """Raises NotFound."""
    row = tx.connection.execute(select(rule).where(rule.c.id == identifier).with_for_update()).one_or_none()
    if row is None:
        raise NotFound()
    return row


def rule_of(row: Row[Any]) -> TaskRule:
    """The row of a rule."""
    return TaskRule(
        row.id, Role(row.held), Role(row.role), sorted(decode_scopes(row.operations)), row.minutes, row.made_by,
        row.made_at, row.ended_at,
    )  # fmt: skip


def granting_rule(
    tx: ReadTransaction, asker: str, held: Collection[Role], role: Role, operations: Collection[str], minutes: int
) -> TaskRule | None:
    """The rule that grants this at once. One that names no operations is decided by people."""
    for found in live_rules(tx):
        fits = found.role is role and found.held in held and minutes <= found.minutes and found.made_by != asker
        if fits and operations and set(operations) <= set(found.operations):
            return found
    return None
