"""Putting the parts together in one process: file root, own store, key ring."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from subscription_services.kernel.clock import Clock, Random, monotonic

from .backup import KeyBackups, rule_of
from .durable import write_durably
from .erasure import ErasureFile
from .errors import KeyStoreDamaged, RootKeyMissing, RootKeyUnsafe, RootKeyWrong
from .keyservice import LocalKeyService
from .policy import DEFAULT_POLICY, Policy
from .roots.file import FileRoot, create_root, read_root
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

    The directory holds root.key, keys.db and erasures.log; only the service's own user may change it.

    Raises RootKeyMissing, RootKeyUnsafe, RootKeyWrong, KeyStoreDamaged, KeyUnavailable, StoreFull.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.stat().st_mode & 0o022:
        raise RootKeyUnsafe(f"Others may change {directory}. Run: chmod 700 {directory}.")
    with _alone(directory):
        store_file = directory / file
        root = root_of(directory, random, store_file)
        known = (directory / "root.id").exists()
        store = KeyStore(store_file, root.store_key(), settings.busy_timeout, may_create=not known)
        try:
            service = LocalKeyService(
                store,
                root,
                policy,
                ErasureFile(directory / ERASURES),
                clock,
                random,
                settings.journal_window,
                KeyBackups(rule_of(settings, directory), store_file, root.store_key()),
            )
            _remember(directory, root)
            return service
        except BaseException:
            store.close()
            raise


def root_of(directory: Path, random: Random, store: Path) -> FileRoot:
    """The root key that belongs to the store; a new one only where there never was a store."""
    path, mark = directory / "root.key", directory / "root.id"
    used = mark.read_text().strip() if mark.exists() else ""
    stored = store.exists() and store.stat().st_size > 0
    if not path.exists():
        if used or stored:
            raise RootKeyMissing(f"The key store {store} needs its root key, and {path} is missing. Put it back.")
        return create_root(path, random)
    root = read_root(path)
    if used and used != root.fingerprint:
        raise RootKeyWrong(f"Wrong key: {path} does not belong to the key store {store}. Put the right one back.")
    if used and not stored:
        raise KeyStoreDamaged(f"The key store {store} is missing or empty. Restore it from its backup.")
    return root


def _remember(directory: Path, root: FileRoot) -> None:
    """Note which root the store belongs to, once the store is whole."""
    mark = directory / "root.id"
    if mark.exists():
        return
    write_durably(mark, f"{root.fingerprint}\n".encode())


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """One process at a time creates or checks the files."""
    descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
