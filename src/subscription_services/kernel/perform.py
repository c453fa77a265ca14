"""perform(): the one way that anything happens.

    validate -> rate limit -> authorise on what is claimed -> prepare -> begin -> authorise on what is stored
    -> replay or run -> append the audit event in the same transaction -> commit -> answer

It alone opens the write transactions of operations. A refusal or failure is recorded in a transaction of its own,
because the rollback would erase it otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from . import authorise, idempotency, limits, masking
from .actors import Actor, Anonymous, Asker, Elevation, Standing, System
from .clock import Clock, Random
from .context import Context, Origin
from .deferred import Deferred
from .errors import DomainError, Invalid, Unavailable
from .events import Detail
from .ids import Ids
from .operations import Change, Declined, Operation, Registry, Seen, own_account
from .ports import Approvals, Authority, EventLog, KeysFor, Limiter, Outbox, Store, Writer
from .recording import Refusals, declined_event, failure_event, own_look, seen_event, success_event, touched
from .sight import is_masked_for
from .transaction import BoundOutbox, ReadTransaction, Transaction

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Kernel:
    """The machinery that operations run on; put together once, in app.py."""

    registry: Registry
    store: Store
    keys: KeysFor
    log: EventLog
    outbox: Outbox
    authority: Authority
    approvals: Approvals
    limiter: Limiter
    clock: Clock
    random: Random
    pools: Mapping[str, Executor]
    guard: Callable[[str, str], None] | None = None
    refusals: Refusals = field(default_factory=Refusals)
    deferred: Deferred = field(default_factory=Deferred)

    def context(
        self,
        actor: Actor,
        origin: Origin | None = None,
        correlation_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Context:
        ids = Ids(self.clock, self.random)
        return Context(
            actor=actor, now=self.clock(), ids=ids, random=self.random, origin=origin or Origin(),
            correlation_id=correlation_id or ids.new("cor"), idempotency_key=idempotency_key,
        )  # fmt: skip


class _Outcome(msgspec.Struct, frozen=True):
    """What came out of the transaction: an answer, or an error to raise now that its record is durable."""

    answer: Any = None
    error: DomainError | None = None


@dataclass(slots=True)
class _Attempt:
    """What is being tried; its context names who asks as soon as that is known, for the record of a failure too."""

    ctx: Context
    counted: msgspec.Struct | None = None
    """The request, once it is counted under the limits."""


async def perform(
    kernel: Kernel,
    operation: Operation,
    actor: Actor | Asker,
    request: msgspec.Struct,
    *,
    origin: Origin | None = None,
    correlation_id: str | None = None,
    idempotency_key: str | None = None,
) -> Any:
    """Carry out `operation` for `actor` and return its answer once it is durable and recorded.

    A simple read (see `Operation.simple`) may be asked by an Asker: one look at the store finds them out and answers.
    Raises the DomainError that refused or failed it; by then that is in the log as well.
    """
    if operation not in kernel.registry:
        raise LookupError(f"{operation.name} is not in the registry")
    asker = actor if isinstance(actor, Asker) else None
    known = Anonymous() if isinstance(actor, Asker) else actor
    attempt = _Attempt(kernel.context(known, origin, correlation_id, idempotency_key))
    ctx = attempt.ctx
    try:
        if asker is not None and not operation.simple:
            raise LookupError(f"{operation.name} has to know who asks before it begins")
        values, checked = _validate(operation, request)
        if values and kernel.guard is not None and not isinstance(actor, System):
            _guard(kernel.guard, values)
        if operation.limits:
            ctx = await limits.spend(kernel, operation, ctx, checked)
            attempt.counted = checked
        if asker is None:
            claimed = authorise.claimed_standing(ctx)
            authorise.permit(operation, ctx, claimed)
            authorise.check_needs(operation, ctx, claimed)
        if operation.changes:
            outcome = await _change(kernel, operation, ctx, checked)
        else:
            outcome = await _read(kernel, operation, attempt, checked, asker)
    except Exception as error:
        if isinstance(error, Unavailable) and attempt.counted is not None:
            await limits.take_back(kernel, operation, ctx, attempt.counted)
        await _record_failure(kernel, operation, attempt.ctx, error, request)
        raise
    if outcome.error is not None:
        if found := await limits.failed(kernel, operation, ctx, checked):
            await kernel.store.write(Writer.PERFORM, lambda connection: kernel.log.append(connection, found))
        raise outcome.error
    if asker is not None:
        await asker.noted()
    if operation.limits:
        await limits.forgive(kernel, operation, ctx, checked)
    return outcome.answer


def _validate(operation: Operation, request: msgspec.Struct) -> tuple[Any, msgspec.Struct]:
    """The request as plain values, and made of them anew, so that its constraints hold whoever built it."""
    if not isinstance(request, operation.request):
        raise TypeError(f"{operation.name} takes {operation.request.__name__}, not {type(request).__name__}")
    try:
        values = msgspec.to_builtins(request)
        return values, msgspec.convert(values, operation.request)
    except msgspec.ValidationError as error:
        raise Invalid(str(error)) from error


def _guard(guard: Callable[[str, str], None], values: Any) -> None:
    """What may never be typed into any field (a full card number) is refused before anything sees it."""
    for name, text in _texts(values):
        guard(name, text)


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, name or str(key))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item, name)


async def _change(kernel: Kernel, operation: Operation, ctx: Context, request: msgspec.Struct) -> _Outcome:
    arguments: tuple[Any, ...] = (ctx, request)
    if operation.prepare is not None:
        arguments += (await _prepare(kernel, operation, ctx, request),)

    def work(connection: Connection) -> _Outcome:
        return _run_change(kernel, operation, connection, arguments)

    outcome = await kernel.store.write(operation.writer, work)
    kernel.outbox.wake()
    return outcome


async def _prepare(kernel: Kernel, operation: Operation, ctx: Context, request: msgspec.Struct) -> Any:
    prepared = operation.prepare
    assert prepared is not None
    keys = kernel.keys.for_caller(operation.room)

    @contextmanager
    def reading() -> Iterator[ReadTransaction]:
        with kernel.store.reading() as connection:
            yield ReadTransaction(connection, keys)

    run: Callable[[], Any] = lambda: prepared.run(reading, ctx, request)  # noqa: E731
    return await asyncio.get_running_loop().run_in_executor(kernel.pools[prepared.pool], run)


def _run_change(kernel: Kernel, operation: Operation, connection: Connection, arguments: tuple[Any, ...]) -> _Outcome:
    ctx, request = arguments[0], arguments[1]
    keys = kernel.keys.for_caller(operation.room)
    tx = Transaction(connection, keys, BoundOutbox(connection, kernel.outbox, ctx.now))
    # by the clock of this moment: what ended while the request waited for its turn has ended
    now = max(ctx.now, kernel.clock())
    standing = kernel.authority.standing(connection, ctx.actor, now)
    own_only = authorise.permit(operation, ctx, standing)
    authorise.check_needs(operation, ctx, standing)
    subject = authorise.check_subject(operation, tx, ctx, request, own_only)
    tasks = authorise.leaning_on(operation, ctx, standing)
    memory = kernel.keys.for_caller("kernel")
    if replay := idempotency.recall(connection, memory, operation, ctx, request):
        return _Outcome(_masked(operation, ctx, standing, replay.answer, own_only, subject, {}))
    used = authorise.use_approvals(operation, tx, ctx, request, kernel.approvals, now)
    result: Change[Any] | Declined = operation.run(tx, *arguments)
    log_keys = kernel.keys.for_caller("ledger")
    grounds = {**used, **authorise.check_task(tasks, touched(result, subject))}
    if isinstance(result, Declined):
        kernel.log.append(connection, [declined_event(log_keys, operation, ctx, subject, result, grounds)])
        return _Outcome(error=result.error)
    kernel.log.append(connection, [success_event(log_keys, operation, ctx, subject, result, grounds)])
    about = result.subject or subject
    idempotency.remember(connection, memory, operation, ctx, request, result.after, about)
    return _Outcome(_masked(operation, ctx, standing, result.after, own_only, about, grounds))


async def _read(
    kernel: Kernel, operation: Operation, attempt: _Attempt, request: msgspec.Struct, asker: Asker | None
) -> _Outcome:
    def work(connection: Connection) -> tuple[Seen[Any], str, Mapping[str, Detail]]:
        ctx = attempt.ctx
        tx = ReadTransaction(connection, kernel.keys.for_caller(operation.room))
        if asker is None:
            standing = kernel.authority.standing(connection, ctx.actor, ctx.now)
        else:
            actor, standing = asker.found(connection, ctx.now)
            attempt.ctx = ctx = replace(ctx, actor=actor)
        own_only = authorise.permit(operation, ctx, standing)
        authorise.check_needs(operation, ctx, standing)
        subject = authorise.check_subject(operation, tx, ctx, request, own_only)
        found = cast("Seen[Any]", operation.run(tx, ctx, request))
        about = found.subject or subject
        grounds = authorise.check_task(authorise.leaning_on(operation, ctx, standing), (found.object, about))
        answer = _masked(operation, ctx, standing, found.answer, own_only, about, grounds)
        return (found if answer is found.answer else replace(found, answer=answer)), subject, grounds

    seen, subject, grounds = await kernel.store.read(work)
    if operation.audited:
        await _record_read(kernel, operation, attempt.ctx, subject, seen, grounds)
    return _Outcome(seen.answer)


def _masked(
    operation: Operation, ctx: Context, standing: Standing, answer: Any, own_only: bool, about: str,
    grounds: Mapping[str, Detail],
) -> Any:  # fmt: skip
    """The answer as the actor's role sees it, by what is true of them in this very transaction, repeated or not."""
    if operation.personal is None or not is_masked_for(ctx.actor):
        return answer
    task = grounds.get("task")
    used: tuple[Elevation, ...] = tuple(item for item in standing.elevations if item.id == task) if task else ()
    # an operation that concerns nobody in particular says its actor by default, which makes nothing in it theirs
    own = own_only or (about == ctx.actor.id and operation.subject is not own_account)
    return masking.seen(operation.personal, answer, ctx.actor, standing, own=own, tasks=used)


async def _record_read(
    kernel: Kernel, operation: Operation, ctx: Context, subject: str, seen: Seen[Any], grounds: Mapping[str, Detail]
) -> None:
    """Durable before anything is shown; only a person's look at their own may follow within a second."""
    look = own_look(operation, ctx, subject, seen)
    if look is not None and kernel.deferred.again(look, ctx.now):
        return
    event = seen_event(kernel.keys.for_caller("ledger"), operation, ctx, subject, seen, grounds)
    if look is not None and kernel.deferred.room():
        kernel.deferred.add(kernel.store, kernel.log, look, event)
    else:
        await kernel.store.write(Writer.PERFORM, lambda connection: kernel.log.append(connection, [event]))


async def _record_failure(
    kernel: Kernel, operation: Operation, ctx: Context, error: Exception, request: msgspec.Struct
) -> None:
    source = ctx.origin.address if isinstance(ctx.actor, Anonymous) else ""
    if source and not kernel.refusals.admit(source, ctx.now):
        return
    event = failure_event(kernel.keys.for_caller("ledger"), operation, ctx, error, request)
    try:
        await kernel.store.write(Writer.PERFORM, lambda connection: kernel.log.append(connection, [event]))
    except DomainError:
        # the store itself is what failed: the caller gets the first error, the operators the alarm of the store
        return


async def flush_refusals(kernel: Kernel) -> int:
    """Write one counted event for each source and minute in which refusals went over the limit."""
    ctx = kernel.context(Anonymous())
    events = kernel.refusals.flush(kernel.keys.for_caller("ledger"), ctx)
    if events:
        await kernel.store.write(Writer.PERFORM, lambda connection: kernel.log.append(connection, events))
    return len(events)
