"""Attempts of people and programs that end on the web floor, before any operation is performed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.types import Scope

from subscription_services.kernel.actors import Actor, Anonymous
from subscription_services.kernel.attempts import record_attempt, turned_away
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.operations import Operation
from subscription_services.kernel.perform import Kernel
from subscription_services.web.origin import origin_of
from subscription_services.web.problem_kinds import KINDS
from subscription_services.web.problems import HttpProblem

_PERFORMED = "performed"
_CODES = {kind.status: kind.name for kind in reversed(KINDS.values())}
_REFUSALS = frozenset({401, 403, 421, 429})
_DOORS = ("/api", "/scim", "/team")
"""Whoever knocks here is looking for a way in, also where there is none."""


def performing(request: Request) -> None:
    """Say that perform() is asked now: whatever comes of it, it records itself."""
    _state(request.scope)[_PERFORMED] = True


async def note_attempt(
    kernel: Kernel, request: Request, operation: Operation | None, actor: Actor, failure: Exception | int
) -> None:
    """Record an attempt that failed with this error or status, unless perform() did, or nobody could have got in."""
    path = request.scope["path"]
    if _state(request.scope).get(_PERFORMED) or not (operation or _is_door(path)):
        return
    channel = "api" if path.startswith(("/api", "/scim")) else "page"
    await record_attempt(
        kernel, operation, actor, _error(failure), origin=origin_of(request, channel),
        correlation_id=_state(request.scope).get("request_id") or None, path="" if operation else path,
    )  # fmt: skip


def at_the_edge(
    kernel: Kernel, find: Callable[[str, str], Operation | None]
) -> Callable[[Scope, str], Awaitable[None]]:
    """For the edge: record a request that it turned away, by the name of the problem. `find` knows the routes."""

    async def note(scope: Scope, problem: str) -> None:
        operation = find(scope["method"], scope["path"])
        await note_attempt(kernel, Request(scope), operation, Anonymous(), HttpProblem(problem))

    return note


def _is_door(path: str) -> bool:
    return any(path == door or path.startswith(f"{door}/") for door in _DOORS)


def _error(failure: Exception | int) -> DomainError:
    if isinstance(failure, DomainError):
        return failure
    if isinstance(failure, HttpProblem):
        return turned_away(failure.kind.name, failure.kind.status in _REFUSALS)()
    if isinstance(failure, int):
        return turned_away(_CODES.get(failure, f"status-{failure}"), failure in _REFUSALS)()
    return turned_away(f"error:{type(failure).__name__}", False)()


def _state(scope: Scope) -> dict[str, Any]:
    found: dict[str, Any] = scope.setdefault("state", {})
    return found
