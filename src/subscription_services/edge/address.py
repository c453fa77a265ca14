"""The client's address: the peer's, unless the peer is a proxy that the operators configured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.types import ASGIApp, Receive, Scope, Send

from subscription_services.edge.asgi import header, state_of
from subscription_services.kernel import probing

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
_PASS = probing.HEADER.lower().encode()


class ClientAddress:
    """Pure ASGI. Sets `scope["state"]["client_address"]`. Raises ValueError for a network it cannot read.

    A live check with a pass that `is_pass` knows has an address of its own (see kernel.probing).
    X-Forwarded-For is read from the right, over trusted hops only: what stands left of the first
    untrusted one was written by a stranger."""

    def __init__(
        self, app: ASGIApp, trusted: Sequence[str] = (), is_pass: Callable[[str], bool] = lambda text: False
    ) -> None:
        self._app = app
        self._is_pass = is_pass
        self._trusted: tuple[Network, ...] = tuple(ip_network(text) for text in trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            state_of(scope)["client_address"] = self.of(scope)
        await self._app(scope, receive, send)

    def of(self, scope: Scope) -> str:
        """The address as text, IPv4-mapped IPv6 as IPv4; empty when the peer has none (a socket file)."""
        shown = header(scope, _PASS)
        if shown is not None and self._is_pass(shown.decode("latin-1")):
            return probing.ADDRESS
        client = scope.get("client")
        peer = _read(client[0]) if client else None
        if peer is None or not self._is_trusted(peer):
            return _text(client[0]) if client else ""
        found = peer
        for hop in reversed(_forwarded(scope)):
            address = _read(hop)
            if address is None:
                break
            found = address
            if not self._is_trusted(address):
                break
        return str(found)

    def _is_trusted(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self._trusted)


@lru_cache(maxsize=4096)
def _text(peer: str) -> str:
    address = _read(peer)
    return "" if address is None else str(address)


@lru_cache(maxsize=4096)
def _read(text: str) -> Address | None:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _forwarded(scope: Scope) -> list[str]:
    values = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
    return [hop for value in values for hop in value.split(",")]
