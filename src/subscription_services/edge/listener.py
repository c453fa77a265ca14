"""How granian listens: TLS 1.3 only, HTTP/1.1 and HTTP/2 by ALPN, no websockets; and the plain redirect listener."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings, HTTP2Settings
from granian.log import LogLevels
from granian.server.embed import Server
from starlette.types import ASGIApp

from subscription_services.kernel.errors import StartError

HEADER_BYTES = 64 * 1024
HEADER_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Listening:
    """Where to listen and with which certificate. `client_ca` asks every client for a certificate of it (mTLS)."""

    address: str
    port: int
    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    lifespan: bool = True


def options(listening: Listening) -> dict[str, Any]:
    """Keyword arguments for `granian.Granian` and `granian.server.embed.Server` alike."""
    chosen: dict[str, Any] = {
        "address": listening.address,
        "port": listening.port,
        "interface": Interfaces.ASGI if listening.lifespan else Interfaces.ASGINL,
        "http": HTTPModes.auto,
        "websockets": False,
        # a slow or endless header is cut off; the same bound as edge.limits plus room for its own answer
        "http1_settings": HTTP1Settings(header_read_timeout=HEADER_SECONDS * 1000, max_buffer_size=HEADER_BYTES),
        "http2_settings": HTTP2Settings(max_headers_size=HEADER_BYTES, keep_alive_interval=30_000),
        "log_level": LogLevels.warning,
    }
    if listening.certificate is not None and listening.key is not None:
        chosen |= {
            "ssl_cert": listening.certificate,
            "ssl_key": listening.key,
            "ssl_protocol_min": SSLProtocols.tls13,
        }
        if listening.client_ca is not None:
            chosen |= {"ssl_ca": listening.client_ca, "ssl_client_verify": True}
    elif listening.client_ca is not None:
        raise ValueError("client certificates need HTTPS")
    return chosen


def server(app: ASGIApp, listening: Listening) -> Server:
    """A server in this process and event loop: `await server(...).serve()`; `.stop()` ends it gracefully."""
    return Server(app, **options(listening))


def require_free(address: str, port: int, setting: str) -> None:
    """Raise StartError with what to do when the port cannot be had; `setting` is the name to change."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            # granian shares ports between workers, so a bind alone would succeed beside another granian
            probe.listen(1)
        except OSError as error:
            raise StartError(_why(error, address, port, setting)) from error


def _why(error: OSError, address: str, port: int, setting: str) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"Port {port} on {address} is in use by another program. Stop it, or set {setting} to a free port."
    if error.errno == errno.EACCES:
        return f"This user may not listen on port {port}. Set {setting} to a port above 1023."
    return f"Cannot listen on {address} port {port}: {error.strerror}. Check {setting}."
