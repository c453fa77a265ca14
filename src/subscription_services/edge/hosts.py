"""Answers only for the hosts that the operators configured."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

from starlette.types import ASGIApp, Receive, Scope, Send

from subscription_services.edge.asgi import refuse


class AllowedHosts:
    """Pure ASGI. `hosts` are names without port, lower case; IPv6 in brackets. Others get 421."""

    def __init__(self, app: ASGIApp, hosts: Collection[str]) -> None:
        if not hosts or any("*" in host for host in hosts):
            raise ValueError("name each host; a pattern would let a stranger's name in")
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and host_of(scope) not in self._hosts:
            await refuse(scope, receive, send, "misdirected")
            return
        await self._app(scope, receive, send)


def host_of(scope: Scope) -> str:
    """The requested host without its port; empty when there is none or more than one."""
    values = {value for name, value in scope["headers"] if name == b"host"}
    return _name(values.pop()) if len(values) == 1 else ""


@lru_cache(maxsize=1024)
def _name(value: bytes) -> str:
    text = value.decode("latin-1").lower()
    if text.startswith("["):
        name, found, port = text.partition("]")
        return name + found if port == "" or _is_port(port) else ""
    name, colon, port = text.partition(":")
    return name if not colon or _is_port(":" + port) else ""


def _is_port(text: str) -> bool:
    return text.startswith(":") and text[1:].isascii() and text[1:].isdigit()
