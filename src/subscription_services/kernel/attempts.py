"""Attempts that ended before perform() was asked: a bad token, an unreadable request, a place that does not exist.

They stand in the log like refusals of perform(), within the same limits for strangers.
"""

from __future__ import annotations

from functools import cache

import msgspec

from .actors import Actor, Anonymous
from .context import Context, Origin
from .errors import DomainError, Refusal
from .operations import Change, Operation, SystemOnly, operation
from .perform import Kernel
from .ports import Writer
from .recording import failure_event
from .transaction import Transaction


class NoPlace(msgspec.Struct, frozen=True):
    """Nothing is asked of a place that does not exist."""


@operation("web.no_such_place", by=[SystemOnly("the name under which strangers' knocking stands in the log")])
def no_such_place(tx: Transaction, ctx: Context, request: NoPlace) -> Change[None]:
    """Stand in the log for a path that leads to no operation; in no registry, so that nobody can perform it."""
    return Change(None, None)


@cache
def turned_away(code: str, refusal: bool) -> type[DomainError]:
    """The error of that code, for what the web floor refuses in its own words."""
    return type("TurnedAway", (Refusal if refusal else DomainError,), {"code": code})


async def record_attempt(
    kernel: Kernel,
    wanted: Operation | None,
    actor: Actor,
    error: DomainError,
    *,
    origin: Origin,
    correlation_id: str | None = None,
    path: str = "",
) -> None:
    """Record that `actor` was turned away from the operation, or from nowhere in particular; `path` is sealed."""
    ctx = kernel.context(actor, origin, correlation_id)
    source = origin.address if isinstance(actor, Anonymous) else ""
    if source and not kernel.refusals.admit(source, ctx.now):
        return
    keys = kernel.keys.for_caller("ledger")
    personal = {"path": path[:200]} if path else {}
    event = failure_event(keys, wanted or no_such_place, ctx, error, personal=personal)
    try:
        await kernel.store.write(Writer.PERFORM, lambda connection: kernel.log.append(connection, [event]))
    except DomainError:
        # the store itself is what failed: the caller is turned away all the same, and the store alarms the operators
        return
