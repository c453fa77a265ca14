"""The worker: takes due jobs under a lease, carries them out, tries again with growing pauses."""

from __future__ import annotations

import asyncio
from collections import Counter
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
SLOTS = 32
"""Jobs under way at the same time in one worker."""
SLOTS_OF_A_KIND = 12
"""A kind that has so many under way waits: what hangs elsewhere must not keep letters and payments waiting."""
PATIENCE = 10.0
"""Seconds that a stopping worker gives to what is under way; the rest is taken up again after its lease."""
log = structlog.get_logger("jobs")


async def run_worker(
    kernel: Kernel, outbox: DatabaseOutbox, schedules: Sequence[Schedule], name: str, stop: asyncio.Event
) -> None:
    """Work until `stop` is set; what is under way is finished first, as far as that takes seconds."""
    under_way: dict[asyncio.Task[None], str] = {}
    while not stop.is_set():
        under_way = {task: kind for task, kind in under_way.items() if not task.done()}
        taken: list[Row[Any]] = []
        try:
            await _plan(kernel, outbox, schedules)
            taken = await _take_due(kernel, outbox, name, Counter(under_way.values()))
        except (DomainError, OSError) as error:
            log.error("worker.store_unavailable", error=str(error))
        for row in taken:
            under_way[asyncio.create_task(_keep_going(kernel, outbox.kinds, row))] = row.kind
        if not taken:
            await outbox.woken(0.25)
    if under_way:
        await asyncio.wait(under_way, timeout=PATIENCE)
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)


async def run_due(kernel: Kernel, outbox: DatabaseOutbox, name: str) -> int:
    """Carry out the jobs that are due now, once. Returns how many were taken."""
    taken = await _take_due(kernel, outbox, name, Counter())
    await asyncio.gather(*(_carry_out(kernel, outbox.kinds, row) for row in taken))
    return len(taken)


async def _take_due(kernel: Kernel, outbox: DatabaseOutbox, name: str, under_way: Counter[str]) -> list[Row[Any]]:
    room = min(BATCH, SLOTS - under_way.total())
    if room < 1:
        return []
    full = [kind for kind, count in under_way.items() if count >= SLOTS_OF_A_KIND]
    now = kernel.clock()
    return await kernel.store.write(Writer.OUTBOX, lambda connection: _take(connection, name, now, room, full))


async def _keep_going(kernel: Kernel, kinds: JobKinds, row: Row[Any]) -> None:
    """A job whose end cannot be noted is taken up again after its lease."""
    try:
        await _carry_out(kernel, kinds, row)
    except (DomainError, OSError) as error:
        log.error("worker.store_unavailable", error=str(error))


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


def _take(connection: Connection, name: str, now: datetime, room: int, full: Sequence[str]) -> list[Row[Any]]:
    due = (
        select(job.c.id)
        .where(
            job.c.done_at.is_(None), job.c.given_up_at.is_(None), job.c.run_at <= now,
            or_(job.c.lease_until.is_(None), job.c.lease_until < now), job.c.kind.not_in(full),
        )
        .order_by(job.c.run_at)
        .limit(room)
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
