"""Small pieces that the layers of the edge share: state of a request, header look-up, refusals."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from subscription_services.web.page import PageContext
from subscription_services.web.problems import HttpProblem, as_json, as_page, problem_of, wants_json

BEARER = b"bearer "
_TOLD = "refusals_told"
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
Headers = Sequence[tuple[bytes, bytes]]


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
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None


def has_bearer(scope: Scope) -> bool:
    """Whether the request brings a bearer token (RFC 6750)."""
    return (header(scope, b"authorization") or b"")[:7].lower() == BEARER


def read_cookies(headers: Headers) -> tuple[dict[str, str], Headers]:
    """The cookies by name, and the headers with what was read only, so that everybody behind reads the same.

    Browsers keep a name that begins with `__Host-` to this host, but only as they read it: one behind a blank of
    another alphabet may come from a neighbouring host, and a reader that trims names would take it for ours. Names
    that are no tokens (RFC 6265) are dropped; of a repeated name the first counts, and one of ours counts not at all.
    """
    found: dict[bytes, bytes] = {}
    doubled, whole = set(), True
    for key, value in headers:
        if key != b"cookie":
            continue
        for part in value.split(b";"):
            name, equals, text = part.strip(b" \t").partition(b"=")
            if name in found or not equals or not _TOKEN.fullmatch(name):
                whole = False
                doubled.add(name)
            else:
                found[name] = text
    if not whole:
        found = {name: text for name, text in found.items() if not (name in doubled and name.startswith(b"__Host-"))}
        others = [item for item in headers if item[0] != b"cookie"]
        joined = b"; ".join(name + b"=" + text for name, text in found.items())
        headers = [*others, (b"cookie", joined)] if found else others
    return {name.decode("latin-1"): text.decode("latin-1").strip('"') for name, text in found.items()}, headers


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
