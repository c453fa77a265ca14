"""Moving a key store to another root: everything the root wraps is wrapped anew, the switch is one commit.

The store's own key stays and is wrapped by the new root first. Then one transaction replaces every wrapped
key-encryption key and says which root counts. Killed before that commit the old root opens the store, after it the
new one; never both, never neither. Moving to the same root wraps everything under the newest version of its key.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import sqlcipher3

from subscription_services.kernel.clock import Clock, Random
from subscription_services.kernel.errors import StoreFull
from subscription_services.keys import journal
from subscription_services.keys.backup import KeyBackups, rule_of
from subscription_services.keys.durable import write_durably
from subscription_services.keys.embedded import STORE, alone, root_of
from subscription_services.keys.errors import KeyUnavailable, RootKeyWrong
from subscription_services.keys.hierarchy import kek_context
from subscription_services.keys.model import Outcome, Verb
from subscription_services.keys.ports import RootProvider
from subscription_services.keys.settings import KeySettings
from subscription_services.keys.store import Tx, connect, in_use

from .address import Address
from .belonging import STORE_KEY, read_mark, remember, say_root, store_key_file, stored_root
from .choice import open_root
from .providers import HeldRoot, Wrapping, wrap_and_check


@dataclass(frozen=True, slots=True)
class Moved:
    """From one fingerprint to another; `keys` were wrapped anew, `copy` is the backup made after, if there was room."""

    left: str
    to: str
    keys: int
    copy: str


def check_free(directory: Path) -> None:
    """Raises KeyUnavailable while any process uses the store."""
    os.close(in_use(directory / STORE, alone=True))


def move_root(directory: Path, settings: KeySettings, to: Address, clock: Clock, random: Random) -> Moved:
    """Move the store in `directory` from the root of the settings to the one at `to`, which must be there.

    Raises KeyUnavailable while the service runs, what opening either root raises, and RootKeyWrong when the settings
    name another root than the store's. After any of them, and after a crash, it can be repeated.
    """
    store, copies = directory / STORE, rule_of(settings, directory)
    with alone(directory):
        use = in_use(store, alone=True)
        try:
            old = root_of(directory, settings, random, store)
            new = open_root(to, directory, random)
            key = old.store_key()
            # A backup from before the move opens with the root from before only.
            _keep(store_key_file(copies.directory, old.fingerprint), old, key)
            write_durably(store_key_file(directory, new.fingerprint), wrap_and_check(new, key, STORE_KEY))
            count = _switch(directory, settings, old, new, clock)
            copy = ""
            # It is moved now, whatever follows; the next start notes what could not be noted here.
            with suppress(OSError, KeyUnavailable, StoreFull):
                remember(directory, HeldRoot(new, key), to, copies.directory)
                copy = KeyBackups(copies, store, key).make(clock())[0].name
            return Moved(old.fingerprint, new.fingerprint, count, copy)
        finally:
            os.close(use)


def _keep(path: Path, root: RootProvider, key: bytes) -> None:
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(path, wrap_and_check(root, key, STORE_KEY))


def _switch(directory: Path, settings: KeySettings, old: RootProvider, new: Wrapping, clock: Clock) -> int:
    """The wrapping may be slow and comes first; nobody else uses the store meanwhile."""
    tx: Tx = connect(directory / STORE, old.store_key(), settings.busy_timeout, may_create=False)
    try:
        if (stored_root(tx) or read_mark(directory).fingerprint) != old.fingerprint:
            raise RootKeyWrong(
                f"Wrong key: the key store is not under the root in SUBS_KEYS_ROOT.{read_mark(directory).text}"
            )
        store_id = tx.execute("SELECT value FROM meta WHERE name = 'store-id'").fetchone()[0]
        rows = tx.execute("SELECT purpose, version, wrapped FROM kek WHERE wrapped <> x''").fetchall()
        anew = []
        for purpose, version, wrapped in rows:
            context = kek_context(store_id, purpose, version)
            anew.append((wrap_and_check(new, old.unwrap(wrapped, context), context), purpose, version, wrapped))
        tx.execute("BEGIN IMMEDIATE")
        for row in anew:
            changed = tx.execute("UPDATE kek SET wrapped = ? WHERE purpose = ? AND version = ? AND wrapped = ?", row)
            if changed.rowcount != 1:
                raise KeyUnavailable("The key store changed while it was moved. Nothing was moved: repeat this.")
        say_root(tx, new.fingerprint)
        journal.record(
            tx, settings.journal_window, clock(), "keys", Verb.ROTATE, None, "root", new.fingerprint, Outcome.ALLOWED
        )
        tx.execute("COMMIT")
        # What the old root opens is not left behind in the write-ahead log.
        tx.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    except sqlcipher3.Error as error:
        raise KeyUnavailable(f"The key store cannot be moved: {error}. Repeat this.") from error
    finally:
        tx.close()
    return len(rows)
