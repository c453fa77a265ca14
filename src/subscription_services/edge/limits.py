"""Limits on what a request may bring: bytes of body (declared or chunked), number and size of header fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.types import ASGIApp, Receive, Scope, Send

from subscription_services.edge.asgi import BodyTooLarge, header, read_body, refuse, replay, state_of

KIB = 1024


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """`body` in bytes for every path but those in `bodies` (exact path -> bytes)."""

    body: int = 256 * KIB
    headers: int = 64
    header_bytes: int = 32 * KIB
    target_bytes: int = 8 * KIB
    bodies: Mapping[str, int] = field(default_factory=dict)


class Limits:
    """Pure ASGI. A body is read whole before the application runs, so that it never sees a cut one."""

    def __init__(self, app: ASGIApp, limits: RequestLimits | None = None) -> None:
        self._app = app
        self._limits = limits or RequestLimits()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limits = self._limits
        fields = scope["headers"]
        size = sum(len(name) + len(value) for name, value in fields)
        target = len(scope.get("raw_path") or scope["path"].encode()) + len(scope["query_string"])
        if len(fields) > limits.headers or size > limits.header_bytes or target > limits.target_bytes:
            await refuse(scope, receive, send, "headers-too-large")
            return
        if scope["method"] in ("GET", "HEAD", "OPTIONS") and header(scope, b"content-length") in (None, b"0"):
            await self._app(scope, receive, send)
            return
        allowed = limits.bodies.get(scope["path"], limits.body)
        declared = header(scope, b"content-length")
        try:
            if declared is not None and int(declared) > allowed:
                raise BodyTooLarge
            body = await read_body(receive, allowed)
        except (BodyTooLarge, ValueError):
            # what is left of the body is not worth reading
            state_of(scope)["close_after"] = not scope.get("http_version", "1.1").startswith("2")
            await refuse(scope, receive, send, "too-large")
            return
        if body is None:
            return
        await self._app(scope, replay(body, receive), send)
