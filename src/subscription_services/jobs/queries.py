"""What stands in the outbox."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, select

from .model import job


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
    return [
        JobRow(
            id=row.id, kind=row.kind, state=_state(row), attempts=row.attempts, created_at=row.created_at,
            run_at=row.run_at, done_at=row.done_at, error=row.error,
        )
        for row in connection.execute(statement)
    ]  # fmt: skip


def _state(row: object) -> str:
    if getattr(row, "done_at", None):
        return "done"
    if getattr(row, "given_up_at", None):
        return "given up"
    if getattr(row, "lease", None):
        return "under way"
    return "waiting" if not getattr(row, "attempts", 0) else "waiting to try again"
