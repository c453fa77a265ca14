"""The round that looks after recoveries: notices each day, the last letter, an end to what took too long."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import structlog
from sqlalchemy import Connection, or_, select

from subscription_services.jobs import JobKind, Schedule
from subscription_services.kernel.actors import System
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.perform import Kernel, perform

from .operations.recovery import DAY, KeepRecovery, keep_recovery
from .recovery_model import LIVE, recovery

log = structlog.get_logger("identity")
KEEPING = System("identity.keeping")


class KeepRecoveries(msgspec.Struct, frozen=True):
    """Job: do what is due for the recoveries that wait."""


async def keep_recoveries(kernel: Kernel, job: KeepRecoveries) -> None:
    now = kernel.clock()
    for identifier in await kernel.store.read(lambda connection: _due(connection, now)):
        try:
            await perform(kernel, keep_recovery, KEEPING, KeepRecovery(identifier))
        except DomainError as error:  # recorded; the others do not wait for it, and the next round tries again
            log.warning("identity.recovery", object=identifier, error=error.code)


def _due(connection: Connection, now: datetime) -> list[str]:
    due = select(recovery.c.id).where(
        recovery.c.state.in_(LIVE), or_(recovery.c.noticed_at <= now - DAY, recovery.c.expires_at <= now)
    )
    return list(connection.execute(due.limit(1000)).scalars())


def kinds() -> list[JobKind]:
    """The kinds of jobs of this room."""
    return [JobKind("identity.keep_recoveries", KeepRecoveries, keep_recoveries)]


SCHEDULES = (Schedule("identity.keep_recoveries", timedelta(minutes=10), lambda now: KeepRecoveries()),)
