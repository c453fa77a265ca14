"""The status of every promise, worked out afresh from what is stored and the present time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, and_, func, select

from subscription_services.kernel.checks import Verdict

from .model import check, run
from .policy import PromiseState, count, state_of
from .promises import SECTIONS, Promise


class LogEntry(msgspec.Struct, frozen=True):
    """Where the run stands in the audit log: the event with this action and object."""

    action: str
    object: str


class PromiseStatus(msgspec.Struct, frozen=True):
    """One promise as it stands now. `every` is in seconds; what a check never saw is null or empty."""

    id: str
    section: str
    room: str
    sentence: str
    state: str
    checked_at: datetime | None = None
    every: int | None = None
    how: str = ""
    finding: str = ""
    evidence: dict[str, str | int] = {}
    event: LogEntry | None = None


class TrustStatus(msgspec.Struct, frozen=True):
    """Every promise, in the order of the page; `summary` counts the states."""

    generated_at: datetime
    summary: dict[str, int]
    promises: list[PromiseStatus]


class Run(msgspec.Struct, frozen=True):
    """One run of a check."""

    id: str
    promise: str
    verdict: str
    says: str
    evidence: dict[str, str | int]
    at: datetime
    milliseconds: int


def status_now(connection: Connection, now: datetime) -> TrustStatus:
    """Nothing of this is remembered from one call to the next."""
    checks = {row.promise: row for row in connection.execute(select(check))}
    runs = _last_runs(connection)
    promises = [
        _status(promise, checks.get(promise.id), runs.get(promise.id), now)
        for section in SECTIONS
        for promise in section.promises
    ]
    return TrustStatus(now, count(PromiseState(item.state) for item in promises), promises)


def recent_runs(connection: Connection, promise: str, limit: int) -> list[Run]:
    """The last runs of one check, newest first."""
    statement = select(run).where(run.c.promise == promise).order_by(run.c.number.desc()).limit(limit)
    return [_run(row) for row in connection.execute(statement)]


def _last_runs(connection: Connection) -> dict[str, Run]:
    last = select(run.c.promise, func.max(run.c.number).label("number")).group_by(run.c.promise).subquery()
    statement = select(run).join(last, and_(run.c.promise == last.c.promise, run.c.number == last.c.number))
    return {row.promise: _run(row) for row in connection.execute(statement)}


def _run(row: Row[Any]) -> Run:
    evidence = msgspec.json.decode(row.evidence, type=dict[str, str | int])
    return Run(row.id, row.promise, row.verdict, row.says, evidence, row.at, row.milliseconds)


def _status(promise: Promise, declared: Row[Any] | None, last: Run | None, now: datetime) -> PromiseStatus:
    every = None if declared is None else timedelta(seconds=declared.every_seconds)
    state = state_of(every, Verdict(last.verdict) if last else None, last.at if last else None, now)
    plain = PromiseStatus(promise.id, promise.section, promise.room, promise.sentence, state.value)
    if declared is None:
        return plain
    known = msgspec.structs.replace(plain, every=declared.every_seconds, how=declared.how)
    if last is None:
        return msgspec.structs.replace(known, finding="The check has not run yet.")
    return msgspec.structs.replace(
        known, checked_at=last.at, finding=last.says, evidence=last.evidence,
        event=LogEntry("trust.record_run", last.id),
    )  # fmt: skip
