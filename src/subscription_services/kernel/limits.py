"""Limits of operations: what a use is counted under, before any work is done for it."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from .context import Context
from .errors import Unavailable
from .events import Event
from .operations import AnyLimit, GrowingLimit, Limit, Operation, SpreadLimit
from .probing import ADDRESS
from .recording import spread_event

if TYPE_CHECKING:
    from .perform import Kernel

IPV4_BLOCK, IPV6_SITE, IPV6_BLOCK = 24, 64, 48
"""Lengths of network prefixes. Whoever has one IPv6 address has the 2^64 of its site."""


async def spend(kernel: Kernel, operation: Operation, ctx: Context, request: msgspec.Struct) -> Context:
    """Count this use under every limit of the operation; the context knows what was recognised. Raises TooMany."""
    suspected: list[str] = []
    for limit in operation.limits:
        key = _key(kernel, operation, limit, ctx, request)
        name = _name(operation, limit)
        if not key:
            continue
        if isinstance(limit, SpreadLimit):
            if await kernel.limiter.recognised(name, key, limit.allowed):
                suspected.append(limit.by)
        elif isinstance(limit, GrowingLimit):
            await kernel.limiter.spend_growing(name, key, limit.allowed, limit.waits, limit.quiet)
        else:
            await kernel.limiter.spend(name, key, limit.allowed, limit.seconds)
    return replace(ctx, suspected=tuple(suspected)) if suspected else ctx


async def take_back(kernel: Kernel, operation: Operation, ctx: Context, request: msgspec.Struct) -> None:
    """A part of ours did not answer: nobody was told anything, so nobody pays for the try."""
    for limit in operation.limits:
        if isinstance(limit, SpreadLimit):
            continue
        seconds = limit.seconds if isinstance(limit, Limit) else 0
        try:
            if key := _key(kernel, operation, limit, ctx, request):
                await kernel.limiter.take_back(_name(operation, limit), key, limit.allowed, seconds)
        except Unavailable:  # what failed is what counts; the caller gets the first error
            return


async def failed(kernel: Kernel, operation: Operation, ctx: Context, request: msgspec.Struct) -> list[Event]:
    """The operation declined: whoever tries many different things a little is noticed here. Returns what to record."""
    events: list[Event] = []
    keys = kernel.keys.for_caller(operation.room)
    for limit in operation.limits:
        if isinstance(limit, SpreadLimit) and (key := _key(kernel, operation, limit, ctx, request)):
            member = limit.member(keys, ctx, request)
            if await kernel.limiter.spread(_name(operation, limit), key, member, limit.allowed, limit.seconds):
                events.append(spread_event(kernel.keys.for_caller("ledger"), ctx, limit))
    return events


async def forgive(kernel: Kernel, operation: Operation, ctx: Context, request: msgspec.Struct) -> None:
    """A success: the failures before it no longer count."""
    for limit in operation.limits:
        if isinstance(limit, Limit) or not (key := _key(kernel, operation, limit, ctx, request)):
            continue
        if isinstance(limit, GrowingLimit):
            await kernel.limiter.forgive(_name(operation, limit), key)
        elif limit.forgiven:
            member = limit.member(kernel.keys.for_caller(operation.room), ctx, request)
            await kernel.limiter.unspread(_name(operation, limit), key, member)


def source_of(address: str) -> str:
    """What an address is counted under: itself, or an IPv6 site."""
    return _network(address, 32, IPV6_SITE)


def block_of(address: str) -> str:
    """The network that an address stands in: /24, or /48."""
    return _network(address, IPV4_BLOCK, IPV6_BLOCK)


def _name(operation: Operation, limit: AnyLimit) -> str:
    return f"{operation.name}/{limit.by}"


def _key(kernel: Kernel, operation: Operation, limit: AnyLimit, ctx: Context, request: msgspec.Struct) -> str:
    if limit.key is not None:
        return limit.key(kernel.keys.for_caller(operation.room), ctx, request)
    match limit.by:
        case "address":
            return source_of(ctx.origin.address) or "none"
        case "block":
            return block_of(ctx.origin.address) or "none"
        case "actor":
            return ctx.actor.id
        case "all":
            return ADDRESS if ctx.origin.address == ADDRESS else "all"
        case field:
            return str(getattr(request, field)).casefold()


@lru_cache(maxsize=4096)
def _network(address: str, v4: int, v6: int) -> str:
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    return str(ip_network((parsed, v4 if parsed.version == 4 else v6), strict=False))
