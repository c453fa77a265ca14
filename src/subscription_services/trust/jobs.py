"""Runs each check at its interval and records what it saw."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import msgspec
import structlog
from sqlalchemy import select

from subscription_services.jobs import GiveUp, JobKind, Schedule, taken_job
from subscription_services.kernel.actors import System
from subscription_services.kernel.checks import Check, Doors, Finding, Verdict
from subscription_services.kernel.clock import monotonic
from subscription_services.kernel.errors import Unavailable
from subscription_services.kernel.perform import Kernel, perform

from .model import check as check_table
from .operations import (
    LONGEST_FIGURE,
    LONGEST_NAME,
    LONGEST_SENTENCE,
    MOST_FIGURES,
    DeclareChecks,
    DeclaredCheck,
    RecordRun,
    declare_checks,
    record_run,
)
from .register import Register

TIME_LIMIT = 40.0
"""Seconds that one run may take."""
ACTOR = System("trust.checks")
_log = structlog.get_logger("trust")


class RunCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Job payload: run the check of this promise."""

    promise: str


class NoSuchCheck(GiveUp):
    code = "no-such-check"
    message = "This promise has no check any more."


class CheckAgainSoon(Unavailable):
    code = "could-not-check"
    message = "The check could not be carried out; it is tried again before its next turn."


def kinds(register: Register, doors: Callable[[Kernel], Doors]) -> list[JobKind]:
    """The room's kinds of jobs. `doors` says how the checks reach the running service."""

    declaring = asyncio.Lock()

    async def handle(kernel: Kernel, job: RunCheck) -> None:
        check = register.checks.get(job.promise)
        if check is None:
            raise NoSuchCheck()
        async with declaring:  # checks that start together would each declare the same
            await declare(kernel, register)
        started = monotonic()
        finding = await run_check(check, doors(kernel))
        await perform(kernel, record_run, ACTOR, _record(check, finding, int((monotonic() - started) * 1000)))
        if finding.verdict is Verdict.COULD_NOT_CHECK and not taken_job().last:
            raise CheckAgainSoon()

    return [JobKind("trust.run_check", RunCheck, handle, attempts=5, first_pause=timedelta(seconds=20))]


def schedules(register: Register) -> tuple[Schedule, ...]:
    """One schedule for each check, at its interval."""
    return tuple(
        Schedule(f"trust.{check.promise}", check.every, _maker(check.promise)) for check in register.checks.values()
    )


async def declare(kernel: Kernel, register: Register) -> None:
    """Tell the status which checks there are; writes only what is not stored yet."""
    wanted = sorted(
        DeclaredCheck(check.promise, check.how, int(check.every.total_seconds())) for check in register.checks.values()
    )
    rows = await kernel.store.read(lambda connection: connection.execute(select(check_table)).all())
    if sorted(DeclaredCheck(row.promise, row.how, row.every_seconds) for row in rows) != wanted:
        await perform(kernel, declare_checks, ACTOR, DeclareChecks(wanted))


async def run_check(check: Check, doors: Doors, limit: float = TIME_LIMIT) -> Finding:
    """One run. A check that raises or takes more than `limit` seconds could not check; its text is never shown."""
    try:
        return await asyncio.wait_for(check.run(doors), limit)
    except TimeoutError:
        says = f"The check was stopped after {limit:g} seconds without a result."
        return Finding(Verdict.COULD_NOT_CHECK, says, {"limit_seconds": int(limit)})
    except Exception as error:
        _log.warning("check failed", promise=check.promise, error=type(error).__name__, exc_info=error)
        says = "The check itself failed before it could see whether the promise is kept."
        return Finding(Verdict.COULD_NOT_CHECK, says, {"error": type(error).__name__})


def _record(check: Check, finding: Finding, milliseconds: int) -> RecordRun:
    """What is too long to keep is cut: a wordy check must not look like one that never ran."""
    evidence = {
        name[:LONGEST_NAME]: value[:LONGEST_FIGURE] if isinstance(value, str) else value
        for name, value in list(finding.evidence.items())[:MOST_FIGURES]
    }
    return RecordRun(check.promise, finding.verdict.value, finding.says[:LONGEST_SENTENCE], milliseconds, evidence)


def _maker(promise: str) -> Callable[[datetime], msgspec.Struct]:
    return lambda now: RunCheck(promise)
