"""What stands in the outbox."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Row, select, update

from .model import job

P = TypeVar("P", bound=msgspec.Struct)


class JobRow(msgspec.Struct, frozen=True):
    id: str
    kind: str
    state: str
    attempts: int
    created_at: datetime
    run_at: datetime
    done_at: datetime | None
    error: str


def recent_jobs(connection: Connection, kind: str = "", limit: int = 100) -> list[JobRow]:
    """Newest first; `kind` is a prefix such as "mail."."""
    statement = select(job).order_by(job.c.created_at.desc()).limit(limit)
    if kind:
        statement = statement.where(job.c.kind.startswith(kind, autoescape=True))
    return [_row(row) for row in connection.execute(statement)]


def _row(row: Row[Any]) -> JobRow:
    return JobRow(
        id=row.id, kind=row.kind, state=_state(row), attempts=row.attempts, created_at=row.created_at,
        run_at=row.run_at, done_at=row.done_at, error=row.error,
    )  # fmt: skip


def unfinished_jobs(connection: Connection, kind: str, payload: type[P], limit: int = 500) -> list[tuple[JobRow, P]]:
    """Jobs of exactly this kind that wait, are under way or were given up, newest first, with what they carry."""
    statement = (
        select(job).where(job.c.kind == kind, job.c.done_at.is_(None)).order_by(job.c.created_at.desc()).limit(limit)
    )
    return [(_row(row), msgspec.json.decode(row.payload, type=payload)) for row in connection.execute(statement)]


def make_due(connection: Connection, kind: str, job_id: str, now: datetime) -> bool:
    """Let a given-up job of this kind begin anew, in an operation's transaction. Returns whether there was one."""
    statement = (
        update(job)
        .where(job.c.id == job_id, job.c.kind == kind, job.c.given_up_at.is_not(None))
        .values(given_up_at=None, attempts=0, run_at=now, error="", lease=None, lease_until=None)
    )
    return connection.execute(statement).rowcount == 1


def _state(row: object) -> str:
    if getattr(row, "done_at", None):
        return "done"
    if getattr(row, "given_up_at", None):
        return "given up"
    if getattr(row, "lease", None):
        return "under way"
    return "waiting" if not getattr(row, "attempts", 0) else "waiting to try again"
