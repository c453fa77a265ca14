"""What keeps the stand-ins on this machine: addresses, host names, and their one clock and one source of chance."""

import ipaddress
import secrets
import socket
import time
from urllib.parse import urlsplit

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send


class NotLoopback(ValueError):
    """An address or a URL leads away from this machine."""


class PortInUse(OSError):
    """Somebody else listens on the port already."""


def clock() -> float:
    """Seconds since 1970, UTC."""
    return time.time()


def token(characters: int) -> str:
    """A random identifier of letters and digits, as Stripe's are."""
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    return "".join(secrets.choice(alphabet) for _ in range(characters))


def is_loopback(host: str) -> bool:
    """Whether a name or address always means this machine (RFC 6761 section 6.3 for names)."""
    name = host.strip("[]").lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def check_listen_address(host: str) -> str:
    """The host itself when it is a loopback address; NotLoopback otherwise."""
    if not is_loopback(host):
        raise NotLoopback(f"a stand-in listens on loopback only, not on {host!r}")
    return host


def check_url(url: str) -> str:
    """The URL itself when it is http(s) on this machine; NotLoopback otherwise."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not is_loopback(parts.hostname):
        raise NotLoopback(f"a stand-in speaks to this machine only, not to {url!r}")
    return url


def origin_of(url: str) -> str:
    """Scheme, host and port as a browser writes an origin (RFC 6454 section 6.2)."""
    parts = urlsplit(url)
    default = {"http": 80, "https": 443}.get(parts.scheme)
    host = (parts.hostname or "").lower()
    if ":" in host:
        host = f"[{host}]"
    port = "" if parts.port is None or parts.port == default else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def choose_port(host: str, port: int) -> int:
    """The port asked for when it is free, or a free one for 0; PortInUse otherwise."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise PortInUse(f"port {port} on {host} is taken") from error
        return int(probe.getsockname()[1])


class LoopbackHostsOnly:
    """ASGI middleware that answers 421 to a Host that is not this machine, against DNS rebinding."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
            if not is_loopback(urlsplit(f"//{host}").hostname or ""):
                refusal = PlainTextResponse("This stand-in answers to names of this machine only.", 421)
                await refusal(scope, receive, send)
                return
        await self.app(scope, receive, send)
