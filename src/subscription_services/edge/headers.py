"""Security headers and request id on every answer, and one last net for errors that nobody caught."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Sequence

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from subscription_services.edge.asgi import refuse, state_of

HSTS = b"max-age=63072000; includeSubDomains"
_log = structlog.get_logger("edge")

# everything that a page could ask of a device and that no page of ours needs
_FEATURES = (
    "accelerometer", "autoplay", "browsing-topics", "camera", "display-capture", "encrypted-media",
    "fullscreen", "geolocation", "gyroscope", "hid", "idle-detection", "local-fonts", "magnetometer", "microphone",
    "midi", "otp-credentials", "screen-wake-lock", "serial", "storage-access", "usb",
    "xr-spatial-tracking",
)  # fmt: skip
_OWN = ("clipboard-write=(self)", "publickey-credentials-create=(self)", "publickey-credentials-get=(self)")


class SecurityHeaders:
    """Pure ASGI. `processor_origins` may be framed and reached by pages rendered with `frames=True` only.

    `random` gives n bytes (nonce of 128 bits), `new_id` a request id; both are injected."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        random: Callable[[int], bytes],
        new_id: Callable[[], str],
        processor_origins: Sequence[str] = (),
    ) -> None:
        for origin in processor_origins:
            if not origin.startswith("https://") and not origin.startswith("http://"):
                raise ValueError(f"{origin} is not an origin")
            if any(c in origin for c in " ;,'\"\r\n"):
                raise ValueError("an origin holds no spaces or separators")
        self._app = app
        self._random = random
        self._new_id = new_id
        processor = " ".join(processor_origins)
        permissions = [f"{feature}=()" for feature in _FEATURES]
        payment = " ".join(["self", *(f'"{origin}"' for origin in processor_origins)])
        self._policy = _policy("'none'", "'self'")
        self._framing_policy = _policy(processor or "'none'", f"'self' {processor}".strip())
        self._fixed: tuple[tuple[bytes, bytes], ...] = (
            (b"strict-transport-security", HSTS),
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"DENY"),
            (b"referrer-policy", b"strict-origin-when-cross-origin"),
            (b"permissions-policy", ", ".join([*permissions, *_OWN, f"payment=({payment})"]).encode()),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"x-permitted-cross-domain-policies", b"none"),
            # else the server would put its own name here
            (b"server", b"subs"),
        )
        self._fixed_names = frozenset(name for name, _ in self._fixed)
        # what a room may state itself
        self._defaults = [
            (b"cross-origin-embedder-policy", b"require-corp"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"cache-control", b"no-store"),
        ]
        self._default_names = frozenset(name for name, _ in self._defaults)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = state_of(scope)
        nonce = b2a_base64(self._random(16), newline=False).decode()
        request_id = self._new_id()
        state["nonce"] = nonce
        state["request_id"] = request_id
        started = False

        async def protected(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = self._complete(message.get("headers", ()), nonce, request_id)
            await send(message)

        try:
            await self._app(scope, receive, protected)
        except Exception as error:
            _log.error("request failed at the edge", error=type(error).__name__, request_id=request_id)
            if started:
                raise
            await refuse(scope, receive, protected, "internal")

    def _complete(self, given: Sequence[tuple[bytes, bytes]], nonce: str, request_id: str) -> list[tuple[bytes, bytes]]:
        headers = [*self._fixed, (b"x-request-id", request_id.encode())]
        defaults = self._defaults
        before, after = self._policy
        for field, value in given:
            name = field.lower()
            if name in self._fixed_names:
                continue
            headers.append((name, value))
            if name in self._default_names:
                defaults = [item for item in defaults if item[0] != name]
                if value == b"unsafe-none":
                    before, after = self._framing_policy
        headers += defaults
        headers.append((b"content-security-policy", before + nonce.encode() + after))
        return headers


def _policy(frames: str, connections: str) -> tuple[bytes, bytes]:
    """Content Security Policy Level 3: what stands before and after the answer's nonce."""
    whole = "; ".join(
        (
            "default-src 'none'",
            "script-src 'nonce-NONCE'",
            "style-src 'self'",
            "img-src 'self' data:",
            "font-src 'self'",
            f"connect-src {connections}",
            f"frame-src {frames}",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        )
    )
    before, _, after = whole.encode().partition(b"NONCE")
    return before, after
