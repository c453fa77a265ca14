"""The key service's own store: one SQLCipher file (AES-256, raw key from the root), apart from the main database."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import sqlcipher3

from subscription_services.kernel.errors import StoreFull

from .errors import KeyStoreDamaged, KeyUnavailable
from .model import COPIED_AT
from .schema import SCHEMA, SCHEMA_VERSION, UPGRADES

Tx = Any
"""A connection of `sqlcipher3` (which has no types) inside a transaction."""


class KeyStore:
    """Two connections: one that writes, one that only watches for changes of other processes.

    Threads share it; a forked child must open its own.
    """

    def __init__(self, path: Path, raw_key: bytes, busy_timeout: float, may_create: bool) -> None:
        """Open, creating the tables in an empty file if that is expected. Raises KeyStoreDamaged, KeyUnavailable."""
        self._process = os.getpid()
        self._use = in_use(path, alone=False)
        self._lock = threading.Lock()
        self._watch_lock = threading.Lock()
        try:
            self._connection = connect(path, raw_key, busy_timeout)
        except BaseException:
            os.close(self._use)
            raise
        try:
            self._prepare(may_create)
            # The file itself has its full size from here on, so that emptying the log later needs little room.
            with suppress(sqlcipher3.OperationalError):
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            self._watch = connect(path, raw_key, busy_timeout)
            self._watch.execute("PRAGMA query_only = ON")
        except BaseException:
            self._connection.close()
            os.close(self._use)
            raise
        self._seen_version = -1
        self._generation = 0

    @contextmanager
    def writing(self) -> Iterator[Tx]:
        """One durable write transaction. Raises KeyUnavailable or StoreFull, and then nothing was written."""
        self._check_process()
        with self._lock:
            tx = self._connection
            try:
                tx.execute("BEGIN IMMEDIATE")
                try:
                    yield tx
                    tx.execute("COMMIT")
                except BaseException:
                    if tx.in_transaction:
                        tx.execute("ROLLBACK")
                    raise
            except sqlcipher3.Error as error:
                failure = _unavailable(error)
                if isinstance(failure, StoreFull) or "disk I/O" in str(error):
                    # What is committed already goes where it belongs: the log it waits in may be what fills the disk.
                    with suppress(sqlcipher3.Error):
                        tx.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                raise failure from error

    @contextmanager
    def reading(self) -> Iterator[Tx]:
        """One read of what is committed. Raises KeyUnavailable."""
        self._check_process()
        with self._watch_lock:
            try:
                yield self._watch
            except sqlcipher3.Error as error:
                raise _unavailable(error) from error

    def generation(self) -> int:
        """The number of the last notice; reads the table only when some connection has committed."""
        with self.reading() as tx:
            version = tx.execute("PRAGMA data_version").fetchone()[0]
            if version != self._seen_version:
                self._generation = tx.execute("SELECT coalesce(max(number), 0) FROM notice").fetchone()[0]
                self._seen_version = version
            return self._generation

    def forget_deleted(self) -> None:
        """Empty the write-ahead log, so that deleted keys are gone from it as well; readers may delay it."""
        # The erasure is durable already; a busy or full disk only delays this until the next one or the close.
        with self._lock, suppress(sqlcipher3.OperationalError):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        with self._lock, self._watch_lock:
            self._watch.close()
            self._connection.close()
            if self._use >= 0:
                os.close(self._use)
                self._use = -1

    def _check_process(self) -> None:
        """SQLite's locks and an inherited cache of nonces' counts do not survive a fork."""
        if os.getpid() != self._process:
            raise KeyUnavailable("The key store was opened before a fork; each process opens its own.")

    def _upgrade(self) -> None:
        """From an older format to the newest; of several processes one does it."""
        with self.writing() as tx:
            while (found := tx.execute("PRAGMA user_version").fetchone()[0]) in UPGRADES:
                for statement in UPGRADES[found]:
                    tx.execute(statement)
                tx.execute(f"PRAGMA user_version = {found + 1}")

    def _prepare(self, may_create: bool) -> None:
        tx = self._connection
        try:
            found = tx.execute("PRAGMA user_version").fetchone()[0]
            if found == 0 and not may_create:
                raise KeyStoreDamaged
            tx.execute("PRAGMA journal_mode = WAL").fetchall()
            if found == 0:
                with self.writing():
                    for statement in SCHEMA:
                        tx.execute(statement)
                    tx.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif found in UPGRADES:
                self._upgrade()
            elif found != SCHEMA_VERSION:
                raise KeyStoreDamaged(f"The key store has format {found}; this program knows {SCHEMA_VERSION}.")
            missing = _names_in(SCHEMA) - {row[0] for row in tx.execute("SELECT name FROM sqlite_schema")}
            if missing:
                raise KeyStoreDamaged(f"The key store lacks {', '.join(sorted(missing))}. Restore keys.db.")
            if tx.execute("SELECT 1 FROM meta WHERE name = ?", (COPIED_AT,)).fetchone():
                raise KeyStoreDamaged(
                    "This is a backup of the key store, put in place by hand; erasures made since are not repeated "
                    "in it. Move it away and run: subs keys restore FILE."
                )
        except sqlcipher3.Error as error:
            raise _unavailable(error) from error


def in_use(path: Path, *, alone: bool) -> int:
    """Say that this process uses the store, or that nobody else may; lasts until the descriptor is closed.

    Raises KeyUnavailable when others use it, or somebody is replacing it.
    """
    descriptor = os.open(path.with_suffix(".use"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        who = "The service is using it: stop the service first" if alone else "It is being restored: wait for that"
        raise KeyUnavailable(f"The key store {path} is not free. {who}.") from error
    return descriptor


def connect(path: Path, raw_key: bytes, busy_timeout: float, *, may_create: bool = True) -> Tx:
    """A connection to an encrypted store. Raises KeyUnavailable."""
    # SQLite gives its other files the mode of this one.
    os.close(os.open(path, os.O_RDWR | (os.O_CREAT if may_create else 0) | os.O_CLOEXEC, 0o600))
    connection = sqlcipher3.connect(
        str(path), timeout=busy_timeout, isolation_level=None, check_same_thread=False, cached_statements=128
    )
    try:
        for pragma in (
            f"key = \"x'{raw_key.hex()}'\"",
            "cipher_log_level = NONE",
            "synchronous = FULL",
            "secure_delete = ON",
            "foreign_keys = ON",
            "trusted_schema = OFF",
            "temp_store = MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
    except sqlcipher3.Error as error:
        connection.close()
        raise _unavailable(error) from error
    return connection


def _names_in(statements: tuple[str, ...]) -> set[str]:
    """The table, index or trigger that each CREATE statement names."""
    words = (statement.replace("UNIQUE ", "").split() for statement in statements)
    return {word[2] for word in words}


def _unavailable(error: Exception) -> KeyUnavailable | StoreFull:
    text = str(error)
    if "is full" in text:
        return StoreFull("The disk of the key store is full: no key can be used until there is room.")
    if "not a database" in text or "malformed" in text:
        return KeyStoreDamaged(
            f"Wrong key, or the key store is damaged ({text}). Put the right root key back, or keys.db from its backup."
        )
    return KeyUnavailable(f"The key store cannot be used: {text}.")
