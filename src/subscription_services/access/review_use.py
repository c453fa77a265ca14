"""What a role or a program was used for, by what the log says."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from subscription_services.kernel.actors import Role
from subscription_services.ledger import queries as ledger

from . import catalogue
from .review_facts import USES, Use


def used_by_role(
    connection: Connection, account: str, role: Role, since: datetime, until: datetime
) -> tuple[list[Use], datetime | None]:
    """What somebody did that this role allows; where several of their roles do, it counts for each of them."""
    return _of(connection, account, operations_of(role), since, until)


def used_by_program(
    connection: Connection, program: str, since: datetime, until: datetime
) -> tuple[list[Use], datetime | None]:
    """Whatever the program did."""
    return _of(connection, program, None, since, until)


def operations_of(role: Role) -> frozenset[str]:
    """Names of the operations that the role allows."""
    return frozenset(item.name for item in catalogue.operations() if role in item.by)


def _of(
    connection: Connection, actor: str, allowed: frozenset[str] | None, since: datetime, until: datetime
) -> tuple[list[Use], datetime | None]:
    found = [
        (action, count, last)
        for action, count, last in ledger.counted(connection, actor, since, until)
        if allowed is None or action in allowed
    ]
    return [Use(action, count) for action, count, _ in found[:USES]], max((last for *_, last in found), default=None)
