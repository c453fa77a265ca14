"""The key service's own listener: TLS 1.3, a verified client certificate, one thread a connection, bounds everywhere.

A stranger gets no further than a handshake that is cut off after some seconds; when too many shake hands at once
the oldest goes, so that slow ones cannot keep others out. What is no request ends its connection and nothing else.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Protocol

import structlog

from subscription_services.kernel.clock import Clock, monotonic
from subscription_services.kernel.errors import DomainError, KeyUnavailable, StartError

from .allow import AllowList
from .errors import KeyPolicyRefused
from .mutual_tls import Contexts, peer
from .ports import KeyService
from .wire import REQUEST_LIMIT, FrameError, Frames, read_request, write_failure, write_result

PENDING = 64
"""Handshakes at once."""
HANDSHAKE_SECONDS = 5.0
FRAME_SECONDS = 10.0
"""From the first byte of a request to its last, and the same for taking an answer."""
IDLE_SECONDS = 600.0
STOP_SECONDS = 10.0
UNNAMED = "a certificate without one identity"
UNVERIFIED = "a client without a valid certificate"
log = structlog.get_logger("keys.listener")


class JournalingService(KeyService, Protocol):
    """The key service with the record of whom its listener turned away."""

    def journal_refusal(self, client: str, name: str, wanted: str) -> None: ...


@dataclass(frozen=True, slots=True)
class _Peer:
    connection: ssl.SSLSocket
    identity: str
    valid_until: datetime


class KeyListener:
    """`start()` listens, `stop()` lets requests in progress finish. The service itself is closed by its owner."""

    def __init__(
        self, service: JournalingService, contexts: Contexts, allowed: Callable[[], AllowList], clock: Clock,
        address: tuple[str, int], clients: int, ticks: Callable[[], float] = monotonic,
    ) -> None:  # fmt: skip
        """Raises StartError when the address cannot be had."""
        self._service = service
        self._contexts = contexts
        self._allowed = allowed
        self._clock = clock
        self._ticks = ticks
        self._slots = threading.BoundedSemaphore(clients)
        self._lock = threading.Lock()
        self._pending: dict[int, socket.socket] = {}
        self._open: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._stopping = threading.Event()
        self._last_unverified = float("-inf")
        try:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            self._listener = socket.create_server(address, family=family, backlog=128)
        except OSError as error:
            raise StartError(
                f"The key service cannot listen on {address[0]} port {address[1]}: {error.strerror}. "
                "Check SUBS_KEYS_LISTEN."
            ) from None

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def start(self) -> None:
        threading.Thread(target=self._accept, name="keys-accept", daemon=True).start()

    def stop(self) -> None:
        """Take no more; answer what was asked; close every connection."""
        self._stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            waiting, threads = [*self._open, *self._pending.values()], list(self._threads)
        for connection in waiting:
            _end_reading(connection)
        limit = self._ticks() + STOP_SECONDS
        for thread in threads:
            thread.join(max(0.0, limit - self._ticks()))

    def _accept(self) -> None:
        # not the descriptor: its number is given to the next connection while the last one is still being forgotten
        for number in count():
            if self._stopping.is_set():
                return
            try:
                connection, _ = self._listener.accept()
            except OSError:
                if not self._stopping.wait(0.05):
                    continue
                return
            thread = threading.Thread(target=self._attend, args=(number, connection), name="keys-client", daemon=True)
            with self._lock:
                self._pending[number] = connection
                oldest = self._pending.pop(next(iter(self._pending))) if len(self._pending) > PENDING else None
                self._threads.add(thread)
            if oldest is not None:
                _end_reading(oldest)
            try:
                thread.start()
            except RuntimeError as error:
                log.error("connection.failed", exc_info=error)
                self._forget(number, connection, thread)

    def _attend(self, number: int, raw: socket.socket) -> None:
        try:
            try:
                client = self._shake_hands(number, raw)
            finally:
                with self._lock:
                    self._pending.pop(number, None)
            if client is not None:
                self._keep(client)
        except (OSError, FrameError) as error:
            log.info("connection.ended", why=_why(error))
        except Exception as error:
            log.error("connection.failed", exc_info=error)
        finally:
            self._forget(number, raw, threading.current_thread())

    def _forget(self, number: int, raw: socket.socket, thread: threading.Thread) -> None:
        with self._lock:
            self._pending.pop(number, None)
            self._threads.discard(thread)
        raw.close()

    def _shake_hands(self, number: int, raw: socket.socket) -> _Peer | None:
        raw.settimeout(HANDSHAKE_SECONDS)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection = self._contexts.current().wrap_socket(raw, server_side=True, do_handshake_on_connect=False)
        try:
            with self._lock:
                # wrapping left the plain socket empty: from now on this one is what can be ended from outside
                if number not in self._pending:
                    raise TimeoutError("gave way to a newer one")
                self._pending[number] = connection
            connection.do_handshake()
            return _Peer(connection, *peer(connection))
        except (OSError, ValueError) as error:
            self._turned_away(raw, error)
            connection.close()
            return None

    def _turned_away(self, raw: socket.socket, error: Exception) -> None:
        """Strangers are logged each time but journaled once a second, so that they cannot fill the journal."""
        log.warning("client.unverified", why=_why(error))
        if isinstance(error, ssl.SSLError) and self._ticks() - self._last_unverified >= 1:
            self._last_unverified = self._ticks()
            self._service.journal_refusal(UNVERIFIED, _why(error), "connection")

    def _keep(self, client: _Peer) -> None:
        connection = client.connection
        try:
            if not self._slots.acquire(blocking=False):
                log.error("clients.full", client=client.identity)
                return
            try:
                with self._lock:
                    self._open.add(connection)
                self._converse(client)
            finally:
                self._slots.release()
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _converse(self, client: _Peer) -> None:
        connection, frames = client.connection, Frames(REQUEST_LIMIT)
        while not self._stopping.is_set():
            request = self._read(connection, frames)
            if request is None or self._clock() >= client.valid_until:
                return
            answer, more = self._answer(client.identity or UNNAMED, request)
            _send(connection, answer, self._ticks() + FRAME_SECONDS, self._ticks)
            if not more:
                return

    def _read(self, connection: ssl.SSLSocket, frames: Frames) -> bytes | None:
        """The next request; None at the end of the connection. Raises FrameError, TimeoutError."""
        limit = self._ticks() + (IDLE_SECONDS if frames.empty else FRAME_SECONDS)
        while (request := frames.next()) is None:
            connection.settimeout(_left(limit, self._ticks))
            first = frames.empty
            arrived = connection.recv(65_536)
            if not arrived:
                return None
            frames.feed(arrived)
            if first:
                limit = self._ticks() + FRAME_SECONDS
        return request

    def _answer(self, identity: str, content: bytes) -> tuple[bytes, bool]:
        """The answer, and whether the client may go on. Raises FrameError when the content is no request."""
        number, method, arguments = read_request(content)
        values = {name: getattr(arguments, name) for name in method.parameters}
        allowed = self._allowed()
        more = True
        try:
            try:
                more = identity in allowed
                allowed.check(identity, method.name, values.get("caller"))
            except KeyPolicyRefused:
                log.warning("client.refused", client=identity, wanted=method.name)
                self._service.journal_refusal(identity, values.get("caller", ""), method.name)
                raise
            return write_result(number, getattr(self._service, method.name)(**values)), more
        except DomainError as error:
            return write_failure(number, error), more
        except Exception as error:
            log.error("request.failed", method=method.name, exc_info=error)
            failure = KeyUnavailable("The key service failed on this request; its log says where.")
            return write_failure(number, failure), more


def _send(connection: ssl.SSLSocket, data: bytes, limit: float, ticks: Callable[[], float]) -> None:
    rest = memoryview(data)
    while rest:
        connection.settimeout(_left(limit, ticks))
        rest = rest[connection.send(rest[:65_536]) :]


def _left(limit: float, ticks: Callable[[], float]) -> float:
    left = limit - ticks()
    if left <= 0:
        raise TimeoutError("too slow")
    return left


def _end_reading(connection: socket.socket) -> None:
    # of the plain socket: an SSLSocket's own shutdown would drop the session under the thread that uses it
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RD)


def _why(error: Exception) -> str:
    return getattr(error, "reason", None) or type(error).__name__
