"""The worker: takes due jobs under a lease, carries them out, tries again with growing pauses."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
import structlog
from sqlalchemy import Connection, Row, or_, select, update

from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.perform import Kernel
from subscription_services.kernel.ports import Writer

from .kinds import GiveUp, JobKind, JobKinds, Schedule, TakenJob, set_taken_job
from .model import job
from .outbox import DatabaseOutbox

BATCH = 16
log = structlog.get_logger("jobs")


async def run_worker(
    kernel: Kernel, outbox: DatabaseOutbox, schedules: Sequence[Schedule], name: str, stop: asyncio.Event
) -> None:
    """Work until `stop` is set; what is under way is finished first."""
    while not stop.is_set():
        try:
            await _plan(kernel, outbox, schedules)
            busy = await run_due(kernel, outbox, name)
        except (DomainError, OSError) as error:
            log.error("worker.store_unavailable", error=str(error))
            busy = 0
        if not busy:
            await outbox.woken(0.25)


async def run_due(kernel: Kernel, outbox: DatabaseOutbox, name: str) -> int:
    """Carry out the jobs that are due now, once. Returns how many were taken."""
    now = kernel.clock()
    taken = await kernel.store.write(Writer.OUTBOX, lambda connection: _take(connection, outbox.kinds, name, now))
    await asyncio.gather(*(_carry_out(kernel, outbox.kinds, row) for row in taken))
    return len(taken)


async def _plan(kernel: Kernel, outbox: DatabaseOutbox, schedules: Sequence[Schedule]) -> None:
    now = kernel.clock()
    keys = {schedule.key(now): schedule for schedule in schedules}
    if not keys:
        return
    known = await kernel.store.read(
        lambda connection: set(connection.execute(select(job.c.key).where(job.c.key.in_(list(keys)))).scalars())
    )
    missing = [(key, schedule) for key, schedule in keys.items() if key not in known]
    if missing:
        await kernel.store.write(Writer.OUTBOX, lambda connection: _add_all(connection, outbox, missing, now))


def _add_all(
    connection: Connection, outbox: DatabaseOutbox, missing: Sequence[tuple[str, Schedule]], now: datetime
) -> None:
    for key, schedule in missing:
        outbox.add(connection, schedule.make(now), now=now, run_at=None, key=key)


def _take(connection: Connection, kinds: JobKinds, name: str, now: datetime) -> list[Row[Any]]:
    due = (
        select(job.c.id)
        .where(
            job.c.done_at.is_(None), job.c.given_up_at.is_(None), job.c.run_at <= now,
            or_(job.c.lease_until.is_(None), job.c.lease_until < now),
        )
        .order_by(job.c.run_at)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )  # fmt: skip
    ids = list(connection.execute(due).scalars())
    if not ids:
        return []
    taken = (
        update(job)
        .where(job.c.id.in_(ids))
        .values(lease=name, lease_until=now + timedelta(seconds=60), attempts=job.c.attempts + 1)
        .returning(job)
    )
    return list(connection.execute(taken))


async def _carry_out(kernel: Kernel, kinds: JobKinds, row: Row[Any]) -> None:
    kind = kinds.named(row.kind)
    if kind is None:
        log.error("job.unknown_kind", kind=row.kind, job=row.id)
        await _finish(kernel, row, {"given_up_at": kernel.clock(), "error": "unknown kind"})
        return
    set_taken_job(TakenJob(row.id, row.attempts, row.attempts >= kind.attempts))
    try:
        payload = msgspec.json.decode(row.payload, type=kind.payload)
        await asyncio.wait_for(kind.handle(kernel, payload), kind.lease.total_seconds() * 0.9)
    except Exception as error:
        await _finish(kernel, row, _after_failure(kind, row, kernel.clock(), error))
        return
    await _finish(kernel, row, {"done_at": kernel.clock(), "error": ""})


def _after_failure(kind: JobKind, row: Row[Any], now: datetime, error: Exception) -> dict[str, Any]:
    reason = error.code if isinstance(error, DomainError) else type(error).__name__
    log.warning("job.failed", kind=kind.name, job=row.id, attempts=row.attempts, error=reason, exc_info=error)
    if row.attempts >= kind.attempts or isinstance(error, GiveUp):
        return {"given_up_at": now, "error": reason}
    return {"run_at": now + kind.pause(row.attempts), "error": reason}


async def _finish(kernel: Kernel, row: Row[Any], values: dict[str, Any]) -> None:
    # the lease's name guards against a worker that comes back after another one took over
    statement = update(job).where(job.c.id == row.id, job.c.lease == row.lease, job.c.attempts == row.attempts)
    values = {**values, "lease": None, "lease_until": None}
    await kernel.store.write(Writer.OUTBOX, lambda connection: connection.execute(statement.values(**values)))
