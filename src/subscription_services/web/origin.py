"""What a request brings along, read once: cookies, single headers, and where it came from as the edge says."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.types import Scope

from subscription_services.kernel.context import Origin


def headers_of(scope: Scope) -> Mapping[bytes, bytes]:
    """The first header of each name (lower case). Kept with the request: a dozen places ask for one or two."""
    found: dict[bytes, bytes] | None = scope.get("first_headers")
    if found is None:
        found = scope["first_headers"] = dict(reversed(scope["headers"]))
    return found


def without_cookies(scope: Scope) -> Scope:
    """The same request as if it had come without any cookie."""
    headers = [item for item in scope["headers"] if item[0] != b"cookie"]
    return {**scope, "headers": headers, "first_headers": None, "cookies": {}}


def header_of(request: Request, name: bytes) -> str | None:
    """The first header of that name (lower case), as text."""
    value = headers_of(request.scope).get(name)
    return None if value is None else str(value, "latin-1")


def cookies_of(scope: Scope) -> Mapping[str, str]:
    """The request's cookies by name; of a repeated name the first counts (RFC 6265: the more specific one).

    Kept with the request, so that whoever asks (the token check, the session, a notice) reads the same."""
    found: dict[str, str] | None = scope.get("cookies")
    if found is None:
        found = scope["cookies"] = {}
        for key, value in scope["headers"]:
            if key == b"cookie":
                for part in str(value, "latin-1").split(";"):
                    name, _, text = part.strip().partition("=")
                    found.setdefault(name, text.strip('"'))
    return found


def origin_of(request: Request, channel: str) -> Origin:
    """The client's address as edge.address established it; never a header that anybody can send."""
    address = request.scope.get("state", {}).get("client_address")
    if address is None:
        client = request.scope.get("client")
        address = client[0] if client else ""
    hints = f"{header_of(request, b'sec-ch-ua-platform') or ''} {header_of(request, b'sec-ch-ua-mobile') or ''}".strip()
    return Origin(address, (header_of(request, b"user-agent") or "")[:300], channel, hints[:60])
