"""Putting the parts together in one process: root, own store, key ring."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from subscription_services.kernel.clock import Clock, Random, monotonic

from .backup import KeyBackups, rule_of
from .erasure import ErasureFile
from .errors import RootKeyUnsafe
from .keyservice import LocalKeyService
from .policy import DEFAULT_POLICY, Policy
from .ports import RootProvider
from .roots.address import parse
from .roots.belonging import check_belongs, read_mark, remember, root_for
from .sealing import KeyRing
from .settings import KeySettings
from .store import KeyStore

STORE, ERASURES = "keys.db", "erasures.log"


def open_embedded(
    directory: Path,
    settings: KeySettings,
    clock: Clock,
    random: Random,
    policy: Policy = DEFAULT_POLICY,
    ticks: Callable[[], float] = monotonic,
) -> KeyRing:
    """Open the keys in `directory`, creating them at the first start; close with `ring.close()`.

    Raises what open_local raises.
    """
    service = open_local(directory, settings, clock, random, policy)
    try:
        return KeyRing(service, settings, random, ticks)
    except BaseException:
        service.close()
        raise


def open_local(
    directory: Path, settings: KeySettings, clock: Clock, random: Random, policy: Policy = DEFAULT_POLICY,
    file: str = STORE,
) -> LocalKeyService:  # fmt: skip
    """The key service itself on the keys in `directory`: this process then holds the root.

    The directory holds keys.db, erasures.log and what finds the root; only the service's own user may change it.

    Raises SettingsError, RootKeyMissing, RootKeyUnsafe, RootKeyWrong, RootKeyRefused, RootKeyUnreachable,
    KeyStoreDamaged, KeyUnavailable, StoreFull.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.stat().st_mode & 0o022:
        raise RootKeyUnsafe(f"Others may change {directory}. Run: chmod 700 {directory}.")
    with alone(directory):
        store_file = directory / file
        root = root_of(directory, settings, random, store_file)
        known = bool(read_mark(directory).fingerprint)
        store = KeyStore(store_file, root.store_key(), settings.busy_timeout, may_create=not known)
        try:
            check_belongs(store, root, directory)
            service = LocalKeyService(
                store,
                root,
                policy,
                ErasureFile(directory / ERASURES),
                clock,
                random,
                settings,
                KeyBackups(rule_of(settings, directory), store_file, root.store_key()),
            )
            remember(directory, root, parse(settings.root), rule_of(settings, directory).directory)
            return service
        except BaseException:
            store.close()
            raise


def root_of(directory: Path, settings: KeySettings, random: Random, store: Path) -> RootProvider:
    """The root that the settings name, with the key of the store; see belonging.root_for."""
    return root_for(directory, parse(settings.root), random, store, rule_of(settings, directory).directory)


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """One process at a time creates or checks the files."""
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
