"""Where a request came from, as the edge established it."""

from __future__ import annotations

from starlette.requests import Request

from subscription_services.kernel.context import Origin


def origin_of(request: Request, channel: str) -> Origin:
    """The client's address as edge.address established it; never a header that anybody can send."""
    address = request.scope.get("state", {}).get("client_address")
    if address is None:
        client = request.scope.get("client")
        address = client[0] if client else ""
    return Origin(address=address, user_agent=request.headers.get("user-agent", "")[:300], channel=channel)
