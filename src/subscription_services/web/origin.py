"""What a request brings along, read once: cookies, single headers, and where it came from as the edge says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.types import Scope

from subscription_services.kernel.context import Origin

Headers = Sequence[tuple[bytes, bytes]]
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


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


def cookies_of(scope: Scope) -> Mapping[str, str]:
    """The request's cookies by name, read as `read_cookies` does.

    Kept with the request, so that whoever asks (the token check, the session, a notice) reads the same."""
    found: dict[str, str] | None = scope.get("cookies")
    if found is None:
        found = scope["cookies"] = read_cookies(scope["headers"])[0]
    return found


def origin_of(request: Request, channel: str) -> Origin:
    """The client's address as edge.address established it; never a header that anybody can send."""
    address = request.scope.get("state", {}).get("client_address")
    if address is None:
        client = request.scope.get("client")
        address = client[0] if client else ""
    hints = f"{header_of(request, b'sec-ch-ua-platform') or ''} {header_of(request, b'sec-ch-ua-mobile') or ''}".strip()
    return Origin(address, (header_of(request, b"user-agent") or "")[:300], channel, hints[:60])
