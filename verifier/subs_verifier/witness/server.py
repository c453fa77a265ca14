"""The witness as an HTTP server: bounded bodies, bounded time, a bounded number of connections."""

from __future__ import annotations

import re
import socket
import ssl
import sys
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from subs_verifier.proof import MAX_PROOF_BYTES

from .protocol import Cosigner, Reply
from .state import StateError

ADD = "/add-checkpoint"
PATIENCE = 15.0
"""Seconds that a connection may be silent."""
LONGEST = 120.0
"""Seconds that a connection may last."""
MOST_CONNECTIONS = 64
MOST_REQUESTS = 1000
"""Requests on one connection."""

_CHECKPOINT = re.compile(r"/([0-9a-f]{64})/checkpoint")


class WitnessServer(ThreadingHTTPServer):
    """Listens until `shutdown()`. TLS 1.3 when a context is given."""

    daemon_threads = True
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, address: tuple[str, int], cosigner: Cosigner, tls: ssl.SSLContext | None = None) -> None:
        self.cosigner, self.tls = cosigner, tls
        self._places = threading.BoundedSemaphore(MOST_CONNECTIONS)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Turn connections away beyond the bound instead of waiting with the listener."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The handshake belongs to the connection's own thread: a slow client holds nobody else up."""
        end = request.dup()
        limit = threading.Timer(LONGEST, _hang_up, [end])
        limit.daemon = True
        limit.start()
        try:
            request.settimeout(PATIENCE)
            if self.tls is not None:
                request = self.tls.wrap_socket(request, server_side=True)
            super().process_request_thread(request, client_address)
        except OSError:
            self.shutdown_request(request)
        finally:
            limit.cancel()
            end.close()
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """One line; a broken connection is no news."""
        error = sys.exception()
        if not isinstance(error, OSError):
            print(f"failed: {error!r}", file=sys.stderr, flush=True)


def tls_context(certificate: str, key: str) -> ssl.SSLContext:
    """TLS 1.3 with this certificate. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    return context


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    server: WitnessServer
    protocol_version = "HTTP/1.1"
    server_version = "subs-witness"
    sys_version = ""
    timeout = PATIENCE
    _served = 0

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit() and len(length) < 10):
            self._answer(Reply(411, b"say how long the body is\n"), close=True)
        elif int(length) > MAX_PROOF_BYTES:
            self._answer(Reply(413, b"the body is too large\n"), close=True)
        else:
            body = self.rfile.read(int(length))
            if len(body) == int(length):
                self._answer(self._add(body) if self.path == ADD else Reply(404, b"nothing here\n"))
            else:
                self.close_connection = True

    def do_GET(self) -> None:
        match = _CHECKPOINT.fullmatch(self.path)
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True
        self._answer(self.server.cosigner.checkpoint_of(match[1]) if match else Reply(404, b"nothing here\n"))

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: refusals are the client's to report."""

    def _add(self, body: bytes) -> Reply:
        try:
            return self.server.cosigner.add_checkpoint(body)
        except StateError as error:
            print(f"refused to cosign: {error}", file=sys.stderr, flush=True)
            return Reply(500, b"the witness's memory failed; nothing was cosigned\n")

    def _answer(self, reply: Reply, close: bool = False) -> None:
        self._served += 1
        if close or self._served >= MOST_REQUESTS:
            self.close_connection = True
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.kind)
        self.send_header("Content-Length", str(len(reply.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(reply.body)
