"""The key service of one machine as a process of its own: what `subs run` prepares for it and tells the others.

In the data directory, `internal/` holds a small authority, a certificate for each kind of process, the allow list
(written anew at each start) and, while the service runs, where it listens.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from subscription_services.kernel.errors import StartError

from .allow import AllowedClient, write_allow_list
from .certificates import SERVER, Authority, Identity
from .policy import DEFAULT_POLICY
from .settings import KeySettings
from .wire import METHODS

WEB = "web"
WORKER = "worker"
OPERATOR = "operator"
CLIENTS = (WEB, WORKER, OPERATOR)
NOT_FOR_WEB = frozenset({"drain_journal", "acknowledge"})
"""Whoever breaks into a web process must not be able to take the record of key accesses away."""


class Running(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key service that runs on this machine, and the process that looks after it."""

    address: str
    process: int


@dataclass(frozen=True, slots=True)
class Apart:
    """`data` is the data directory of the installation."""

    data: Path
    settings: KeySettings

    @property
    def authority(self) -> Authority:
        return Authority(self.data / "internal", self.settings.trust_domain)

    @property
    def allow(self) -> Path:
        return self.authority.directory / "allow.toml"

    @property
    def _running(self) -> Path:
        return self.authority.directory / "running.json"

    def prepare(self, now: datetime) -> None:
        """Make what is missing, renew what ends soon. Raises StartError."""
        authority = self.authority
        authority.prepare(now)
        authority.issue(SERVER, now, server=True)
        for name in CLIENTS:
            authority.issue(name, now)
        heading = "Written by `subs run` at each start; SUBS_KEYS_ALLOW names a list of your own for `subs keys serve`."
        text = write_allow_list([self._client(name) for name in CLIENTS], heading)
        if not self.allow.exists() or self.allow.read_text() != text:
            _replace(self.allow, text)

    def variables(self, name: str, address: str) -> dict[str, str]:
        """The settings with which a process of this kind finds the key service, or is it (SERVER)."""
        files = self.files(name)
        found = {
            "SUBS_KEYS_CERTIFICATE": str(files.certificate),
            "SUBS_KEYS_CERTIFICATE_KEY": str(files.key),
            "SUBS_KEYS_AUTHORITY": str(files.authority),
        }
        if name == SERVER:
            return {**found, "SUBS_KEYS_LISTEN": address, "SUBS_KEYS_ALLOW": str(self.allow)}
        return {**found, "SUBS_KEYS_SERVICE": address}

    def client_settings(self, name: str, address: str) -> KeySettings:
        """The same, as settings."""
        files = self.files(name)
        return msgspec.structs.replace(
            self.settings, service=address, certificate=str(files.certificate), certificate_key=str(files.key),
            authority=str(files.authority),
        )  # fmt: skip

    def files(self, name: str) -> Identity:
        """Certificate, key and authority of a kind of process."""
        directory = self.authority.directory
        return Identity(directory / f"{name}.crt", directory / f"{name}.key", self.authority.certificate)

    def announce(self, address: str) -> None:
        """Tell commands of this installation where the key service is, as long as this process lives."""
        _replace(self._running, msgspec.json.encode(Running(address, os.getpid())).decode())

    def withdraw(self) -> None:
        """The service is going to stop."""
        self._running.unlink(missing_ok=True)

    def running(self) -> str:
        """Address of the service that runs here; empty when none does. Raises StartError."""
        try:
            found = msgspec.json.decode(self._running.read_bytes(), type=Running)
            os.kill(found.process, 0)
        except (FileNotFoundError, ProcessLookupError):
            return ""
        except PermissionError:
            raise StartError(
                f"The service at {self.data} runs as another user. Use that user for this command."
            ) from None
        except (OSError, msgspec.DecodeError):
            raise StartError(f"{self._running} cannot be read. Remove it if the service does not run.") from None
        return found.address

    def _client(self, name: str) -> AllowedClient:
        methods = METHODS.keys() - NOT_FOR_WEB if name == WEB else METHODS.keys()
        callers = tuple(sorted(DEFAULT_POLICY.callers))
        return AllowedClient(self.authority.identity(name), callers, tuple(sorted(methods)))


def _replace(path: Path, text: str) -> None:
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
