"""Where a request came from, as the edge established it."""

from __future__ import annotations

from starlette.requests import Request

from subscription_services.kernel.context import Origin


def header_of(request: Request, name: bytes) -> str | None:
    """The first header of that name (lower case), without making an index of all for one or two."""
    for key, value in request.scope["headers"]:
        if key == name:
            return str(value, "latin-1")
    return None


def origin_of(request: Request, channel: str) -> Origin:
    """The client's address as edge.address established it; never a header that anybody can send."""
    address = request.scope.get("state", {}).get("client_address")
    if address is None:
        client = request.scope.get("client")
        address = client[0] if client else ""
    hints = f"{header_of(request, b'sec-ch-ua-platform') or ''} {header_of(request, b'sec-ch-ua-mobile') or ''}".strip()
    return Origin(address, (header_of(request, b"user-agent") or "")[:300], channel, hints[:60])
