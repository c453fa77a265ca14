"""A key service behind its real listener on a port of its own, for tests; clients with certificates of every sort."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec

from subscription_services.kernel.clock import monotonic, system_clock
from subscription_services.keys import DEFAULT_POLICY, KeyService, KeySettings, Policy
from subscription_services.keys.allow import AllowedClient, AllowFile, AllowList, write_allow_list
from subscription_services.keys.certificates import SERVER, Authority, Identity
from subscription_services.keys.embedded import open_local
from subscription_services.keys.keyservice import LocalKeyService
from subscription_services.keys.mutual_tls import Contexts, client_context, service_context
from subscription_services.keys.remote import connect
from subscription_services.keys.service_listener import KeyListener
from subscription_services.keys.wire import METHODS

DOMAIN = "subs.internal"
CALLERS = tuple(sorted({*DEFAULT_POLICY.callers, "nobody", "", "all"}))


def everything(identity: str) -> AllowedClient:
    return AllowedClient(identity, tuple(sorted(DEFAULT_POLICY.callers)), tuple(sorted(METHODS)))


@dataclass
class Listening:
    """One key service; `client()` connects as another process would."""

    folder: Path
    settings: KeySettings = field(default_factory=KeySettings)
    clock: Callable[[], datetime] = system_clock
    allowed: Callable[[], AllowList] | None = None
    policy: Policy = DEFAULT_POLICY
    port: int = 0
    service: LocalKeyService | None = None
    listener: KeyListener | None = None
    opened: list[KeyService] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.authority = Authority(self.folder / "internal", DOMAIN)
        self.authority.prepare(system_clock())
        self.authority.issue(SERVER, system_clock(), server=True)
        self.allow(everything(self.authority.identity("web")))

    @property
    def allow_path(self) -> Path:
        return self.folder / "allow.toml"

    def allow(self, *clients: AllowedClient) -> None:
        self.allow_path.write_text(write_allow_list(clients, "for a test"))

    def start(self) -> Listening:
        files = Identity(
            self.authority.directory / "keys.crt", self.authority.directory / "keys.key", self.authority.certificate
        )
        self.service = open_local(self.folder / "keys", self.settings, self.clock, os.urandom, self.policy)
        allowed = self.allowed or AllowFile(self.allow_path, monotonic).current
        self.listener = KeyListener(
            self.service, Contexts(files, service_context), allowed, self.clock,
            ("127.0.0.1", self.port), self.settings.clients,
        )  # fmt: skip
        self.port = self.listener.port
        self.listener.start()
        return self

    def stop(self) -> None:
        if self.listener is not None and self.service is not None:
            self.listener.stop()
            self.service.close()
            self.listener = self.service = None

    def client_settings(self, name: str = "web", **more: object) -> KeySettings:
        files = self.authority.issue(name, system_clock())
        return msgspec.structs.replace(
            self.settings, service=f"127.0.0.1:{self.port}", certificate=str(files.certificate),
            certificate_key=str(files.key), authority=str(files.authority), **more,
        )  # fmt: skip

    def client(self, name: str = "web", **more: object) -> KeyService:
        found = connect(self.client_settings(name, **more))
        self.opened.append(found)
        return found

    def raw(self, files: Identity | None = None, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        """A bare TLS connection with these files (those of web by default)."""
        if context is None:
            context = client_context(files or self.authority.issue("web", system_clock()))
        plain = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        return context.wrap_socket(plain)

    def close(self) -> None:
        for client in self.opened:
            client.close()
        self.opened.clear()
        self.stop()

    def journal(self) -> list[tuple[str, str, str, str, str]]:
        """Who, what, purpose, name, outcome of everything since the last time, taken beside the listener."""
        assert self.service is not None
        batches = self.service.drain_journal("ledger", 10_000)
        for batch in batches:
            self.service.acknowledge("ledger", batch.id)
        return [
            (e.caller, e.verb.value, e.purpose, e.name, e.outcome.value) for batch in batches for e in batch.entries
        ]


@contextmanager
def listening(folder: Path, **more: object) -> Iterator[Listening]:
    found = Listening(folder, **more)  # type: ignore[arg-type]
    try:
        yield found.start()
    finally:
        found.close()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def process(house: Listening, **more: str) -> Iterator[subprocess.Popen[str]]:
    """`subs keys serve` as an operator starts it."""
    directory = house.authority.directory
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SUBS_")} | {
        "SUBS_DATA": str(house.folder), "SUBS_KEYS_LISTEN": f"127.0.0.1:{house.port}",
        "SUBS_KEYS_CERTIFICATE": str(directory / "keys.crt"), "SUBS_KEYS_CERTIFICATE_KEY": str(directory / "keys.key"),
        "SUBS_KEYS_AUTHORITY": str(house.authority.certificate), "SUBS_KEYS_ALLOW": str(house.allow_path), **more,
    }  # fmt: skip
    command = [sys.executable, "-m", "subscription_services.cli", "keys", "serve"]
    running = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        yield running
    finally:
        running.kill()
        running.communicate()
