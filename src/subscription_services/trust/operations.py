"""Declaring checks, recording their runs, and the status that anybody may see."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import Invalid
from subscription_services.kernel.events import Detail
from subscription_services.kernel.operations import Change, Public, Seen, SystemOnly, operation
from subscription_services.kernel.transaction import ReadTransaction, Transaction

from .model import RUNS_KEPT, check, run
from .promises import PROMISES
from .proof import ProvedRun, prove_run
from .queries import Run, TrustStatus, recent_runs, status_now

PromiseId = Annotated[str, msgspec.Meta(min_length=3, max_length=60, pattern=r"^[a-z]+\.[a-z0-9-]+$")]
LONGEST_SENTENCE, LONGEST_NAME, LONGEST_FIGURE, MOST_FIGURES = 1000, 60, 500, 40
Sentence = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_SENTENCE)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME)]
Figure = Annotated[str, msgspec.Meta(max_length=LONGEST_FIGURE)] | int
Figures = Annotated[dict[Name, Figure], msgspec.Meta(max_length=MOST_FIGURES)]
ONLY_CHECKS = SystemOnly("the job that runs the checks")
EVERYBODY = Public("the security page is for everybody")


class DeclaredCheck(msgspec.Struct, frozen=True, forbid_unknown_fields=True, order=True):
    promise: PromiseId
    how: Sentence
    every: Annotated[int, msgspec.Meta(ge=1, le=366 * 86400)]


class DeclareChecks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    checks: Annotated[list[DeclaredCheck], msgspec.Meta(max_length=500)]


class Declared(msgspec.Struct, frozen=True):
    checks: int


class RecordRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    promise: PromiseId
    verdict: Literal["kept", "broken", "could not check"]
    says: Sentence
    milliseconds: Annotated[int, msgspec.Meta(ge=0)]
    evidence: Figures = {}


class ReadStatus(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


class ReadRuns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    promise: PromiseId
    limit: Annotated[int, msgspec.Meta(ge=1, le=RUNS_KEPT)] = 20


class ReadProof(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    run: Annotated[str, msgspec.Meta(min_length=1, max_length=48)]


class Runs(msgspec.Struct, frozen=True):
    runs: list[Run]


@operation("trust.declare_checks", by=[ONLY_CHECKS])
def declare_checks(tx: Transaction, ctx: Context, request: DeclareChecks) -> Change[Declared]:
    """Keep which checks exist, so that a removed one shows as not built and stands in the log."""
    before = {row.promise: row for row in tx.connection.execute(select(check))}
    after = {item.promise: item for item in request.checks}
    gone = sorted(before.keys() - after.keys())
    changed = sorted(
        name for name, item in after.items()
        if name not in before or (before[name].how, before[name].every_seconds) != (item.how, item.every)
    )  # fmt: skip
    for name in (*gone, *changed):
        tx.connection.execute(delete(check).where(check.c.promise == name))
    for name in changed:
        since = before[name].since if name in before else ctx.now
        values = {"promise": name, "how": after[name].how, "every_seconds": after[name].every, "since": since}
        # another worker may declare the same at the same moment
        tx.connection.execute(_insert_once(tx.connection).values(values).on_conflict_do_nothing())
    return Change(None, Declared(len(after)), object="trust_check", details={"changed": changed, "removed": gone})


@operation("trust.record_run", by=[ONLY_CHECKS])
def record_run(tx: Transaction, ctx: Context, request: RecordRun) -> Change[Run]:
    """Keep what a check saw; the event in the log holds the same finding and figures."""
    if request.promise not in PROMISES:
        raise Invalid(fields={"promise": "This was not promised."})
    last = tx.connection.execute(select(func.max(run.c.number)).where(run.c.promise == request.promise)).scalar()
    number = (last or 0) + 1
    done = Run(
        ctx.ids.new("run"), request.promise, request.verdict, request.says, request.evidence, ctx.now,
        request.milliseconds,
    )  # fmt: skip
    values = msgspec.structs.asdict(done) | {"number": number, "evidence": msgspec.json.encode(done.evidence).decode()}
    tx.connection.execute(insert(run), values)
    tx.connection.execute(delete(run).where(run.c.promise == done.promise, run.c.number <= number - RUNS_KEPT))
    details: dict[str, Detail] = {f"evidence.{name}": value for name, value in done.evidence.items()}
    details |= {"promise": done.promise, "verdict": done.verdict, "finding": done.says, "ms": done.milliseconds}
    return Change(None, done, details=details)


@operation("trust.status", by=[EVERYBODY], audited=False)
def status(tx: ReadTransaction, ctx: Context, request: ReadStatus) -> Seen[TrustStatus]:
    """Say of every promise how it stands now."""
    return Seen(status_now(tx.connection, ctx.now))


@operation("trust.runs", by=[EVERYBODY], audited=False)
def runs(tx: ReadTransaction, ctx: Context, request: ReadRuns) -> Seen[Runs]:
    """List the last runs of a promise's check."""
    return Seen(Runs(recent_runs(tx.connection, request.promise, request.limit)))


@operation("trust.proof", by=[EVERYBODY], audited=False)
def proof(tx: ReadTransaction, ctx: Context, request: ReadProof) -> Seen[ProvedRun]:
    """Show a run's entry in the audit log, with the proof that the signed log holds it."""
    return Seen(prove_run(tx.connection, request.run))


def _insert_once(connection: Connection) -> Any:
    """The dialects share these methods but no type."""
    return (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(check)
