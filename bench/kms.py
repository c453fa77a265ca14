"""The key service over mutual TLS against a bare echo over the same TLS, each a process of its own.

The echo takes the same bytes over the same contexts and frames them the same way, but reads nothing in them and keeps
nothing: what is left between the two is decoding, policy, the cipher and the durable journal entry that every access
makes before it is answered. The third baseline is the key service in the caller's own process, which keeps that entry
as well.
"""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from bench.measure import Ratio, from_pairs, rate
from subscription_services.kernel.clock import system_clock, system_random
from subscription_services.keys import KeyService, KeySettings
from subscription_services.keys.apart import WORKER, Apart
from subscription_services.keys.certificates import SERVER
from subscription_services.keys.embedded import open_local
from subscription_services.keys.mutual_tls import client_context, service_context
from subscription_services.keys.remote import connect
from subscription_services.keys.wire import METHODS, REQUEST_LIMIT, Frames, frame, write_request

COUNT = 800
ROUNDS = 5
THREADS = 8
BATCH = 100
KEY = bytes(32)
CONTEXT = b"snapshot 1"


def run() -> list[Ratio]:
    """One caller, then eight at once."""
    with tempfile.TemporaryDirectory(prefix="subs-bench-") as folder:
        apart = Apart(Path(folder), KeySettings(trust_domain="bench.internal"))
        apart.prepare(system_clock())
        ports = [_free_port(), _free_port()]
        service = f"127.0.0.1:{ports[0]}"
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SUBS_")}
        started = [
            subprocess.Popen(
                [sys.executable, "-m", "subscription_services.cli", "keys", "serve"],
                env={**environment, "SUBS_DATA": folder, "SUBS_LOG_LEVEL": "error",
                     "SUBS_KEYS_TRUST_DOMAIN": "bench.internal", **apart.variables(SERVER, service)},
            ),
            subprocess.Popen([sys.executable, "-m", "bench.kms", folder, str(ports[1])], env=environment),
        ]  # fmt: skip
        settings = msgspec.structs.replace(
            apart.client_settings(WORKER, service), patience=60.0, call_seconds=60.0, connections=THREADS
        )
        try:
            remote = connect(settings)
            local = open_local(Path(folder) / "in-process", settings, system_clock, system_random)
            try:
                return _measure(remote, local, apart, ports[1])
            finally:
                remote.close()
                local.close()
        finally:
            for process in started:
                process.terminate()
            for process in started:
                process.wait(20)


def _measure(remote: KeyService, local: KeyService, apart: Apart, echo_port: int) -> list[Ratio]:
    wrapped = {id(service): service.wrap("backups", "backups.bench", CONTEXT, KEY) for service in (remote, local)}
    if remote.unwrap("backups", "backups.bench", CONTEXT, wrapped[id(remote)]) != KEY:
        raise AssertionError("the key did not come back")
    method = METHODS["unwrap"]
    request = write_request(1, "unwrap", method.bind(("backups", "backups.bench", CONTEXT, wrapped[id(remote)]), {}))
    echoes = [_Echo(apart, echo_port, request) for _ in range(THREADS)]

    def wrap(service: KeyService) -> Callable[[], object]:
        return lambda: service.wrap("backups", "backups.bench", CONTEXT, KEY)

    def unwrap(service: KeyService) -> Callable[[], object]:
        return lambda: service.unwrap("backups", "backups.bench", CONTEXT, wrapped[id(service)])

    rows = []
    for threads in (1, THREADS):
        who = "1 caller" if threads == 1 else f"{threads} callers"
        echo = [item.once for item in echoes[:threads]]
        for name, ours in (("wrap", wrap), ("unwrap", unwrap)):
            rows.append(_row(f"KMS {name} over mTLS, {who}", [ours(remote)] * threads, "bare TLS echo", echo))
            rows.append(
                _row(f"KMS {name} over mTLS, {who}", [ours(remote)] * threads, "in process", [ours(local)] * threads)
            )
    many = [(CONTEXT, KEY)] * BATCH

    def batch(count: int) -> None:
        for _ in range(count // BATCH):
            remote.wrap_many("backups", "backups.bench", many)

    def single(count: int) -> None:
        for _ in range(count):
            echoes[0].once()

    pairs = [(rate(batch, COUNT * 5), rate(single, COUNT)) for _ in range(ROUNDS)]
    rows.append(from_pairs(f"KMS wrap over mTLS, {BATCH} keys a request", "bare TLS echo", pairs))
    for item in echoes:
        item.close()
    return rows


def _row(
    what: str, ours: Sequence[Callable[[], object]], baseline: str, theirs: Sequence[Callable[[], object]]
) -> Ratio:
    with ThreadPoolExecutor(len(ours)) as pool:

        def all_of(calls: Sequence[Callable[[], object]]) -> Callable[[int], object]:
            return lambda count: list(pool.map(lambda call: [call() for _ in range(count // len(calls))], calls))

        for side in (ours, theirs):
            all_of(side)(COUNT // 10)
        pairs = [(rate(all_of(ours), COUNT), rate(all_of(theirs), COUNT)) for _ in range(ROUNDS)]
    return from_pairs(what, baseline, pairs)


class _Echo:
    """A client's connection to the echo."""

    def __init__(self, apart: Apart, port: int, request: bytes) -> None:
        self._request = request
        self._frames = Frames(REQUEST_LIMIT)
        for _ in range(200):
            try:
                plain = socket.create_connection(("127.0.0.1", port), 10)
                break
            except ConnectionRefusedError:
                threading.Event().wait(0.1)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = client_context(apart.files(WORKER)).wrap_socket(plain)

    def once(self) -> bytes:
        self._connection.sendall(self._request)
        while (content := self._frames.next()) is None:
            self._frames.feed(self._connection.recv(65_536))
        return content

    def close(self) -> None:
        self._connection.close()


def serve_echo(folder: str, port: int) -> None:
    """Frames come back as they are, a thread a connection, as the key service's listener does it."""
    context = service_context(Apart(Path(folder), KeySettings(trust_domain="bench.internal")).files(SERVER))
    with socket.create_server(("127.0.0.1", port)) as listener:
        while True:
            plain, _ = listener.accept()
            threading.Thread(target=_echo, args=(plain, context), daemon=True).start()


def _echo(plain: socket.socket, context: ssl.SSLContext) -> None:
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    frames = Frames(REQUEST_LIMIT)
    with context.wrap_socket(plain, server_side=True) as connection:
        while arrived := connection.recv(65_536):
            frames.feed(arrived)
            while (content := frames.next()) is not None:
                connection.sendall(frame(content, REQUEST_LIMIT))


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    serve_echo(sys.argv[1], int(sys.argv[2]))
