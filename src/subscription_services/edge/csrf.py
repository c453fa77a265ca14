"""Protection against forged requests: Origin and Sec-Fetch-Site, then a token bound to the browser's session."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Collection
from functools import partial
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from subscription_services.edge.asgi import has_bearer, header, read_body, refuse, replay, state_of
from subscription_services.web.origin import read_cookies, without_cookies

SAFE = ("GET", "HEAD", "OPTIONS")
SESSION = "__Host-session"
VISIT = "__Host-visit"
FIELD = "csrf_token"
HEADER = b"x-csrf-token"
_FORM = b"application/x-www-form-urlencoded"


class Csrf:
    """Pure ASGI, inside Limits (it reads the body whole).

    `origins` are those of our own pages, from configuration. `key` (32 bytes or more) makes the tokens, `random`
    gives n bytes. Requests with a bearer token and those to `machine_paths` lose their cookies instead: they
    cannot act for a browser's session. Pages get their token through `scope["state"]["csrf_token"]()`."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        origins: Collection[str],
        key: bytes,
        random: Callable[[int], bytes],
        machine_paths: Collection[str] = (),
    ) -> None:
        if len(key) < 32:
            raise ValueError("the key of form tokens needs 32 bytes")
        self._app = app
        self._origins = frozenset(origins)
        self._key = key
        self._random = random
        self._machine_paths = frozenset(machine_paths)

    def token(self, binding: str) -> str:
        """HMAC-SHA-256 over the cookie that it is bound to; nothing to store, nothing to expire."""
        tag = hmac.digest(self._key, b"csrf/1\0" + binding.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(tag).decode().rstrip("=")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if has_bearer(scope) or scope["path"] in self._machine_paths:
            await self._app(without_cookies(scope), receive, send)
            return
        cookies, headers = read_cookies(scope["headers"])
        if headers is not scope["headers"]:
            scope = {**scope, "headers": headers, "first_headers": None}
        scope["cookies"] = cookies
        binding = f"s:{cookies[SESSION]}" if SESSION in cookies else f"v:{cookies[VISIT]}" if VISIT in cookies else ""
        if scope["method"] in SAFE:
            await self._page(scope, receive, send, binding)
            return
        if not self._from_our_pages(scope):
            await refuse(scope, receive, send, "forged", "The request came from another site.")
            return
        body = await read_body(receive)
        if body is None:
            return
        if not self._has_token(scope, body, binding):
            await refuse(scope, receive, send, "forged")
            return
        await self._page(scope, replay(body, receive), send, binding)

    def _from_our_pages(self, scope: Scope) -> bool:
        """Browsers state the origin of an unsafe request; a program without cookies need not."""
        site = header(scope, b"sec-fetch-site")
        if site is not None and site not in (b"same-origin", b"none"):
            return False
        origin = header(scope, b"origin")
        return origin is None or origin.decode("latin-1") in self._origins

    def _has_token(self, scope: Scope, body: bytes, binding: str) -> bool:
        kind = (header(scope, b"content-type") or b"").split(b";")[0].strip().lower()
        if not binding:
            # nothing to abuse: no cookie of ours came along, and no form can send JSON to another site unasked
            return kind != _FORM and scope["path"].startswith(("/api/", "/scim/"))
        given = (header(scope, HEADER) or b"").decode("latin-1")
        if not given and kind == _FORM:
            given = _field(body)
        return hmac.compare_digest(given.encode(), self.token(binding).encode())

    async def _page(self, scope: Scope, receive: Receive, send: Send, binding: str) -> None:
        if binding:
            state_of(scope)["csrf_token"] = partial(self.token, binding)
            await self._app(scope, receive, send)
            return
        minted: list[str] = []

        def token() -> str:
            if not minted:
                minted.append(base64.urlsafe_b64encode(self._random(24)).decode())
            return self.token(f"v:{minted[0]}")

        async def with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start" and minted:
                cookie = f"{VISIT}={minted[0]}; Path=/; Secure; HttpOnly; SameSite=Lax"
                message["headers"] = [*message.get("headers", ()), (b"set-cookie", cookie.encode())]
            await send(message)

        state_of(scope)["csrf_token"] = token
        await self._app(scope, receive, with_cookie)


def _field(body: bytes) -> str:
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=1000)
    except ValueError:
        return ""
    return next((value for name, value in pairs if name == FIELD), "")
