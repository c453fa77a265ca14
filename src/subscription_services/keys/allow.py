"""Which clients the key service answers, for whom they may speak and what they may ask. Default deny.

The file is TOML, one table a client:

    [[client]]
    identity = "spiffe://subs.internal/web"
    callers = ["identity", "billing"]
    methods = ["open", "create", "generation"]

There are no wildcards: what a new version adds is refused until somebody has allowed it. Inside, the policy of
the caller still applies.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import msgspec
import structlog

from subscription_services.kernel.errors import StartError

from .errors import KeyPolicyRefused
from .policy import DEFAULT_POLICY
from .wire import METHODS

LOOK_SECONDS = 1.0
"""How long a change of the file may take to be noticed."""
log = structlog.get_logger("keys.allow")


class AllowedClient(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`identity` is the URI in the client's certificate."""

    identity: str
    callers: tuple[str, ...]
    methods: tuple[str, ...]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    client: tuple[AllowedClient, ...] = ()


class AllowList:
    """The clients by identity. An empty list refuses everybody."""

    def __init__(self, clients: Collection[AllowedClient]) -> None:
        self._clients: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
            client.identity: (frozenset(client.callers), frozenset(client.methods)) for client in clients
        }

    def __len__(self) -> int:
        return len(self._clients)

    def __contains__(self, identity: str) -> bool:
        return identity in self._clients

    def check(self, identity: str, method: str, caller: str | None) -> None:
        """Raises KeyPolicyRefused unless the client may call the method, and for this caller where it names one."""
        if identity not in self._clients:
            raise KeyPolicyRefused(f"The key service's allow list does not name {identity}.")
        callers, methods = self._clients[identity]
        if method not in methods:
            raise KeyPolicyRefused(f"The key service's allow list does not let {identity} ask for {method}.")
        if caller is not None and caller not in callers:
            raise KeyPolicyRefused(f"The key service's allow list does not let {identity} speak for {caller[:80]}.")


def read_allow_list(path: Path, callers: Collection[str] = DEFAULT_POLICY.callers.keys()) -> AllowList:
    """Raises StartError with what to mend when the file is missing, unreadable, or names what does not exist."""
    try:
        found = msgspec.toml.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise StartError(f"The allow list of the key service {path} cannot be read: {error.strerror}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StartError(f"The allow list of the key service {path} is not valid: {error}.") from None
    for client in found.client:
        wrong = (set(client.callers) - set(callers)) | (set(client.methods) - METHODS.keys())
        if wrong:
            raise StartError(f"The allow list {path} gives {client.identity} what does not exist: {sorted(wrong)[0]}.")
        if not client.identity.startswith("spiffe://"):
            raise StartError(f"The allow list {path} names {client.identity!r}; an identity begins with spiffe://.")
    names = [client.identity for client in found.client]
    if len(set(names)) < len(names):
        raise StartError(f"The allow list {path} names a client twice: {max(names, key=names.count)}.")
    return AllowList(found.client)


def write_allow_list(clients: Collection[AllowedClient], heading: str) -> str:
    """The file's text; `heading` is a comment of one line."""
    lines = [f"# {heading}"]
    for client in clients:
        lines += ["", "[[client]]", f'identity = "{client.identity}"']
        for name, values in (("callers", client.callers), ("methods", client.methods)):
            lines.append(f"{name} = [{', '.join(f'{chr(34)}{value}{chr(34)}' for value in values)}]")
    return "\n".join(lines) + "\n"


class AllowFile:
    """The list as it stands in the file now, so that a client can be shut out without a restart."""

    def __init__(self, path: Path, ticks: Callable[[], float]) -> None:
        """Raises what read_allow_list raises."""
        self._path = path
        self._ticks = ticks
        self._lock = threading.Lock()
        self._stamp = _stamp(path)
        self._list = read_allow_list(path)
        self._looked = ticks()

    def current(self) -> AllowList:
        """A file that went missing or was damaged allows nobody, until it is whole again."""
        with self._lock:
            if self._ticks() - self._looked >= LOOK_SECONDS:
                self._looked = self._ticks()
                stamp = _stamp(self._path)
                if stamp != self._stamp:
                    self._stamp = stamp
                    self._list = self._read()
            return self._list

    def _read(self) -> AllowList:
        try:
            found = read_allow_list(self._path)
        except StartError as error:
            log.error("allow.unusable", says=error.text)
            return AllowList(())
        log.info("allow.changed", clients=len(found))
        return found


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size
