"""Tidying: what the machinery no longer needs goes away by an operation like any other."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from sqlalchemy import delete

from subscription_services.kernel import idempotency
from subscription_services.kernel.actors import System
from subscription_services.kernel.context import Context
from subscription_services.kernel.operations import Change, SystemOnly, operation
from subscription_services.kernel.perform import Kernel, perform
from subscription_services.kernel.transaction import Transaction
from subscription_services.storage.counters import counter

from .kinds import JobKind, Schedule
from .model import job

ANSWERS_KEPT = timedelta(days=1)
JOBS_KEPT = timedelta(days=90)


class Tidy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Request and job payload alike: remove what is no longer needed."""


class Tidied(msgspec.Struct, frozen=True):
    answers: int
    counters: int
    jobs: int


@operation("jobs.tidy", by=[SystemOnly("scheduled every hour")])
def tidy(tx: Transaction, ctx: Context, request: Tidy) -> Change[Tidied]:
    """Remove answers kept for idempotency for over a day, counters that ended, and jobs done 90 days ago."""
    answers = idempotency.forget_before(tx.connection, ctx.now - ANSWERS_KEPT)
    counters = tx.connection.execute(delete(counter).where(counter.c.ends_at < ctx.now)).rowcount
    jobs = tx.connection.execute(delete(job).where(job.c.done_at < ctx.now - JOBS_KEPT)).rowcount
    done = Tidied(answers, counters, jobs)
    return Change(None, done, details={"answers": answers, "counters": counters, "jobs": jobs})


async def _handle(kernel: Kernel, payload: Tidy) -> None:
    await perform(kernel, tidy, System("jobs.tidy"), payload)


OPERATIONS = (tidy,)
SCHEDULES = (Schedule("jobs.tidy", timedelta(hours=1), lambda now: Tidy()),)


def kinds() -> list[JobKind]:
    """The kinds of jobs of the toolkit itself."""
    return [JobKind("jobs.tidy", Tidy, _handle)]
