"""The key service as its clients see it: the same methods, over mutual TLS.

Calls are synchronous and safe for threads. A request waits out a short absence of the service (`patience`); when it
has been away for longer, requests fail at once, for some come from the event loop.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import count, islice
from pathlib import Path
from typing import Any, NoReturn, cast

import msgspec
import structlog

from subscription_services.kernel.clock import monotonic
from subscription_services.kernel.errors import DomainError, SettingsError, TooLarge

from .errors import KeyUnavailable
from .model import Tombstone
from .mutual_tls import Contexts, client_context, identity_files, peer
from .ports import KeyService
from .settings import KeySettings
from .wire import ANSWER_LIMIT, METHODS, NOT_REPEATABLE, FrameError, Frames, Method, read_answer, write_request

FIRST_PAUSE = 0.02
LONGEST_PAUSE = 0.25
LOOK_UP = 0.25
"""Seconds after which a waiting request looks whether the watcher has given the service up."""
TOMBSTONES_AT_ONCE = 200
log = structlog.get_logger("keys.remote")


class _Lost(Exception):
    """The connection is of no use any more; `sent` when the request may have been carried out."""

    def __init__(self, why: str, *, sent: bool = False, final: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.sent = sent
        self.final = final


class Link:
    """One connection, used by one thread at a time."""

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext, expected: str, seconds: float) -> None:
        """Raises _Lost; `final` when trying again cannot help."""
        self._frames = Frames(ANSWER_LIMIT)
        self._numbers = count(1)
        raw = None
        try:
            raw = socket.create_connection(address, timeout=seconds)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = context.wrap_socket(raw)
            found, _ = peer(self._socket)
        except (OSError, ValueError) as error:
            if raw is not None:
                raw.close()
            raise _Lost(_why(error), final=isinstance(error, ssl.SSLCertVerificationError)) from None
        if found != expected:
            self.close()
            raise _Lost(f"it shows the certificate of {found or 'nobody'}, not of {expected}", final=True)

    def call(
        self, method: Method, arguments: msgspec.Struct, seconds: float, hopeless: Callable[[], bool] = lambda: False
    ) -> Any:
        """Send and wait, until it is `hopeless`. Raises _Lost, TooLarge, and the domain error that came."""
        number = next(self._numbers)
        try:
            request = write_request(number, method.name, arguments)
        except FrameError as error:
            raise TooLarge(f"The key service takes no request as long as this: {error}.") from None
        except (ValueError, OverflowError, TypeError):
            raise KeyUnavailable("The request holds what cannot be sent to the key service.") from None
        limit = monotonic() + seconds
        sent = False
        try:
            self._socket.settimeout(seconds)
            self._socket.sendall(request)
            sent = True
            while (content := self._frames.next()) is None:
                arrived = self._receive(limit, hopeless)
                if not arrived:
                    raise _Lost("it ended the connection", sent=True)
                self._frames.feed(arrived)
            return read_answer(content, number, method)
        except (OSError, FrameError) as error:
            refused = isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or "")
            raise _Lost(_why(error), sent=sent, final=refused) from None

    def _receive(self, limit: float, hopeless: Callable[[], bool]) -> bytes:
        while True:
            left = limit - monotonic()
            self._socket.settimeout(max(0.001, min(left, LOOK_UP)))
            try:
                return self._socket.recv(65_536)
            except TimeoutError:
                if left <= LOOK_UP or hopeless():
                    raise

    @property
    def usable(self) -> bool:
        """False when the other end has closed it while it lay idle."""
        poll = select.poll()
        try:
            poll.register(self._socket, select.POLLIN)
        except (OSError, ValueError):
            return False
        # nothing is due: what can be read is the end, or what no one asked for
        return not poll.poll(0)

    def close(self) -> None:
        with suppress(OSError):
            self._socket.close()


class RemoteKeyService:
    """Satisfies ports.KeyService; the methods are those of the protocol, see `wire`. Make it with `connect`."""

    def __init__(self, settings: KeySettings, address: str, ticks: Callable[[], float] = monotonic) -> None:
        self._settings = settings
        self._where = address
        self._address = parse_address(address, "SUBS_KEYS_SERVICE")
        self._expected = f"spiffe://{settings.trust_domain}/keys"
        files = identity_files(settings)
        self._authority = files.authority
        self._contexts = Contexts(files, client_context)
        self._ticks = ticks
        self._process = os.getpid()
        self._slots = threading.BoundedSemaphore(settings.connections)
        self._lock = threading.Lock()
        self._idle: list[Link] = []
        self._closed = threading.Event()
        self._down_since: float | None = None
        self._why_down = ""
        self._generation = 0
        self._seen = float("-inf")
        self._watcher = threading.Thread(target=self._watch, name="keys-watch", daemon=True)
        self._started = False
        self._generation, self._seen = self._ask_generation()
        self._started = True
        self._watcher.start()

    @property
    def address(self) -> str:
        """Where the key service is, host:port."""
        return self._where

    @property
    def authority(self) -> Path:
        """The authority that both ends believe."""
        return self._authority

    def generation(self) -> int:
        """As ports.KeyService; no older than the notice of erasures while the service can be reached.

        While it cannot, the last known one for `trust_cache` seconds; then KeyUnavailable, so that nothing is unsealed.
        """
        self._check()
        notice = self._settings.erasure_notice
        if self._ticks() - self._seen >= notice:
            if self._down_since is None:
                with suppress(_Lost):
                    self._learn(*self._once(_GENERATION, _NO_ARGUMENTS, max(notice, 0.25)))
            if self._ticks() - self._seen > max(notice, self._settings.trust_cache):
                self._give_up(self._why_down or "it does not answer")
        return self._generation

    def replay_tombstones(self, caller: str, tombstones: Iterable[Tombstone]) -> int:
        """As ports.KeyService, in requests of bounded length; repeating any of them changes nothing."""
        rest = iter(tombstones)
        method, replayed, part = METHODS["replay_tombstones"], 0, tuple(islice(rest, TOMBSTONES_AT_ONCE))
        while True:
            replayed += cast(int, self._call(method, method.bind((caller, part), {})))
            part = tuple(islice(rest, TOMBSTONES_AT_ONCE))
            if not part:
                return replayed

    def close(self) -> None:
        """End every connection; the key service itself goes on."""
        self._closed.set()
        with self._lock:
            idle, self._idle = self._idle, []
        for link in idle:
            link.close()
        if self._watcher.is_alive():
            self._watcher.join(2)

    def _call(self, method: Method, arguments: msgspec.Struct) -> Any:
        self._check()
        limit = self._ticks() + self._settings.call_seconds
        pause = FIRST_PAUSE
        while True:
            if self._hopeless():
                self._give_up(self._why_down)
            try:
                result, _ = self._once(method, arguments, max(0.05, limit - self._ticks()))
                return result
            except _Lost as lost:
                if lost.sent and method.name in NOT_REPEATABLE:
                    raise KeyUnavailable(
                        f"The key service went away ({lost.why}) before it answered: whether {method.name} was carried "
                        "out is not known. Look at the keys before you repeat it."
                    ) from None
                if lost.final or self._ticks() + pause >= limit or self._closed.wait(pause):
                    self._give_up(lost.why)
                pause = min(pause * 2, LONGEST_PAUSE)

    def _once(self, method: Method, arguments: msgspec.Struct, seconds: float) -> tuple[Any, float]:
        """One try on a connection of the pool; with the time at which it began. Raises _Lost."""
        began = self._ticks()
        if not self._slots.acquire(timeout=seconds):
            raise _Lost(f"all {self._settings.connections} connections are busy", final=True)
        try:
            left = max(0.05, seconds - (self._ticks() - began))
            link = self._take() or self._connect(left)
            began = self._ticks()
            try:
                result = link.call(method, arguments, left, self._hopeless)
            except _Lost:
                link.close()
                raise
            except DomainError:
                self._keep(link)
                raise
            self._keep(link)
        except _Lost as lost:
            self._went_down(lost)
            raise
        finally:
            self._slots.release()
        self._came_back()
        return result, began

    def _take(self) -> Link | None:
        while True:
            with self._lock:
                link = self._idle.pop() if self._idle else None
            if link is None or link.usable:
                return link
            link.close()

    def _keep(self, link: Link) -> None:
        with self._lock:
            if not self._closed.is_set():
                self._idle.append(link)
                return
        link.close()

    def _connect(self, seconds: float) -> Link:
        return Link(self._address, self._contexts.current(), self._expected, seconds)

    def _watch(self) -> None:
        """Ask for erasures often enough that `generation` need not; and notice when the service is back."""
        link: Link | None = None
        interval = max(0.05, self._settings.erasure_notice / 2)
        while not self._closed.wait(interval):
            began = self._ticks()
            try:
                link = link or self._connect(1.0)
                self._learn(link.call(_GENERATION, _NO_ARGUMENTS, 1.0), began)
                self._came_back()
            except _Lost as lost:
                self._went_down(lost)
                if link is not None:
                    link.close()
                    link = None
            except DomainError:
                # refused: not seen, so that the age of what is known says it
                continue
            except Exception as error:
                # whoever waits for the service to come back waits for this thread
                log.error("keys.watch_failed", exc_info=error)
                link = None
        if link is not None:
            link.close()

    def _ask_generation(self) -> tuple[int, float]:
        began = self._ticks()
        return cast(int, self._call(_GENERATION, _NO_ARGUMENTS)), began

    def _learn(self, generation: int, at: float) -> None:
        with self._lock:
            if at >= self._seen:
                self._generation, self._seen = generation, at

    def _went_down(self, lost: _Lost) -> None:
        self._why_down = lost.why
        if self._down_since is None:
            self._down_since = self._ticks()
            if self._started:
                log.warning("keys.unreachable", service=self._where, why=lost.why)

    def _came_back(self) -> None:
        if self._down_since is not None:
            self._down_since = None
            if self._started:
                log.info("keys.reachable", service=self._where)

    def _hopeless(self) -> bool:
        since = self._down_since
        return since is not None and self._ticks() - since > self._settings.patience

    def _check(self) -> None:
        if self._closed.is_set():
            raise KeyUnavailable("The connection to the key service was closed.")
        if os.getpid() != self._process:
            raise KeyUnavailable("The key service was connected before a fork; each process connects for itself.")

    def _give_up(self, why: str) -> NoReturn:
        if self._started:
            # people on the other side of a page are told neither where it is nor what is wrong with it: the log is
            raise KeyUnavailable from None
        raise KeyUnavailable(
            f"The key service at {self._where} cannot be used: {why}. See that it runs, and that its certificates and "
            "allow list fit (SUBS_KEYS_*)."
        ) from None


_GENERATION = METHODS["generation"]
_NO_ARGUMENTS = _GENERATION.bind((), {})


def connect(settings: KeySettings, address: str = "", ticks: Callable[[], float] = monotonic) -> KeyService:
    """The key service at `address` or where the settings say. Raises StartError, SettingsError, KeyUnavailable."""
    return cast(KeyService, RemoteKeyService(settings, address or settings.service, ticks))


def parse_address(text: str, variable: str) -> tuple[str, int]:
    """Host and port of "host:port" or "[::1]:port". Raises SettingsError."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not int(port) < 65_536:
        raise SettingsError(f"{variable} is {text!r}; it must be host:port.")
    return host, int(port)


def _sender(method: Method) -> Callable[..., Any]:
    def send(self: RemoteKeyService, *values: Any, **named: Any) -> Any:
        return self._call(method, method.bind(values, named))

    send.__name__ = send.__qualname__ = method.name
    return send


for _method in METHODS.values():
    if _method.name not in vars(RemoteKeyService):
        setattr(RemoteKeyService, _method.name, _sender(_method))


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be believed ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS refused ({error.reason})"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
