"""Small pieces that the layers of the edge share: state of a request, header look-up, refusals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from subscription_services.web.origin import headers_of
from subscription_services.web.page import PageContext
from subscription_services.web.problems import HttpProblem, as_json, as_page, problem_of, wants_json

BEARER = b"bearer "
_TOLD = "refusals_told"


def state_of(scope: Scope) -> dict[str, Any]:
    """The request's own state: a copy at first use, because the server shares one between requests."""
    state = scope.get("state")
    if not isinstance(state, RequestState):
        state = RequestState(state or {})
        scope["state"] = state
    return state


class RequestState(dict[str, Any]):
    """Marks a state that belongs to one request."""


def header(scope: Scope, name: bytes) -> bytes | None:
    """The first header of that name (lower case), or None."""
    return headers_of(scope).get(name)


def has_bearer(scope: Scope) -> bool:
    """Whether the request brings a bearer token (RFC 6750)."""
    return headers_of(scope).get(b"authorization", b"")[:7].lower() == BEARER


class Told:
    """Pure ASGI. `told` hears of each request that a layer within this one refuses: its scope, the problem's name."""

    def __init__(self, app: ASGIApp, told: Callable[[Scope, str], Awaitable[None]]) -> None:
        self._app = app
        self._told = told

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            state_of(scope)[_TOLD] = self._told
        await self._app(scope, receive, send)


async def refuse(scope: Scope, receive: Receive, send: Send, name: str, detail: str | None = None) -> None:
    """Answer with a problem, as JSON or as a page without navigation, before any room is asked.

    Whoever wants to know of it stands in the request's state (see `Told`)."""
    request = Request(scope)
    state = scope.get("state") or {}
    if state.get(_TOLD) is not None:
        await state[_TOLD](scope, name)
    problem = problem_of(HttpProblem(name, detail), str(state.get("request_id", "")))
    view = PageContext(path=scope["path"], nonce=str(state.get("nonce", "")), request_id=problem.instance)
    response = as_json(problem) if wants_json(request) else as_page(problem, view)
    if state.get("close_after"):
        response.headers["Connection"] = "close"
    await response(scope, receive, send)


class BodyTooLarge(Exception):
    """The body has more bytes than allowed."""


async def read_body(receive: Receive, allowed: int | None = None) -> bytes | None:
    """The whole body; None when the client went away. Raises BodyTooLarge beyond `allowed` bytes."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part = message.get("body", b"")
        size += len(part)
        if allowed is not None and size > allowed:
            raise BodyTooLarge
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body once more, then whatever comes."""
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
