"""Putting a backup of the key store back, offline: made ready beside the store, erased again, then put in place.

A copy brings back everybody who was erased since it was made. So it is put in place only after the erasures were
repeated in it, from the list beside the store and from what else the caller knows (the log).
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import sqlcipher3

from subscription_services.kernel.clock import Clock, Random
from subscription_services.kernel.errors import StoreFull

from .backup import KeyBackups, check_whole, rule_of
from .durable import sync_directory
from .embedded import ERASURES, STORE, open_local, root_of
from .errors import BackupRefused, KeyStoreDamaged, KeyUnavailable
from .keyservice import LocalKeyService
from .model import AES_GCM_LIMIT, COPIED_AT
from .policy import DEFAULT_POLICY, Policy
from .settings import KeySettings
from .store import Tx, connect, in_use

STAGED = "restoring.db"
UNCOUNTED = 2**28
"""Uses that each key is taken to have had after the copy, towards the bound of 2^32; nobody counted them."""
_LIST_MISSING = "erasures.missing"
_EARLY = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Copy:
    """What a copy holds. `lost` counts the keys that only the present store has; None when that does not open."""

    digest: str
    made_at: datetime
    keys: int
    erased: int
    lost: int | None


@dataclass(slots=True)
class Staged:
    """A copy made ready: erased again by the list beside the store (`listed` is False where that is missing)."""

    copy: Copy
    service: LocalKeyService
    listed: bool
    _directory: Path
    _backups: KeyBackups

    def put_in_place(self, now: datetime) -> str:
        """Close the service and let the copy take the store's place; returns where the old store went.

        Raises KeyUnavailable; then the old store is where it was, or among the backups, and this can be repeated.
        """
        self.service.close()
        staged, store = self._directory / STAGED, self._directory / STORE
        try:
            kept = self._put_away(now) if store.exists() else "nowhere: there was none"
            # What is left of the old store's log would be taken for the new one's.
            for suffix in ("-wal", "-shm"):
                store.with_name(STORE + suffix).unlink(missing_ok=True)
            staged.replace(store)
            (self._directory / _LIST_MISSING).unlink(missing_ok=True)
            sync_directory(self._directory)
        except OSError as error:
            raise KeyUnavailable(f"The backup could not be put in place: {error.strerror}. Repeat this.") from error
        return kept

    def _put_away(self, now: datetime) -> str:
        if self.copy.lost is not None:
            with suppress(KeyUnavailable):
                return self._backups.make(now)[0].name
        return self._backups.keep_damaged(now)


@contextmanager
def restoring(
    directory: Path, file: Path, settings: KeySettings, clock: Clock, random: Random, policy: Policy = DEFAULT_POLICY
) -> Iterator[Staged]:
    """Make the copy `file` ready to take the place of the store in `directory`; nobody may be using that.

    Raises BackupRefused for a copy that is too old, not whole or no copy; KeyUnavailable while the service runs;
    KeyStoreDamaged when the list of erasures was changed.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    rule = rule_of(settings, directory)
    use = in_use(directory / STORE, alone=True)
    staged = directory / STAGED
    try:
        _clear(staged)
        digest = _take(file, staged)
        key = root_of(directory, settings, random, staged).store_key()
        copy = _adopt(staged, key, clock(), rule.keep, digest, directory / STORE)
        missing = directory / _LIST_MISSING
        if not (directory / ERASURES).exists():
            # Opening writes a new list; a second try must not take that for the one that was lost.
            missing.touch(mode=0o600)
        listed = not missing.exists()
        service = open_local(directory, settings, clock, random, policy, STAGED)
        try:
            yield Staged(copy, service, listed, directory, KeyBackups(rule, directory / STORE, key))
        finally:
            service.close()
    finally:
        _clear(staged)
        os.close(use)


def _take(file: Path, staged: Path) -> str:
    """Copy the file, since the backup stays as it is; returns its SHA-256."""
    try:
        with file.open("rb") as source:
            descriptor = os.open(staged, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w+b") as target:
                shutil.copyfileobj(source, target)
                target.flush()
                os.fsync(target.fileno())
                target.seek(0)
                digest = sha256()
                while block := target.read(1 << 20):
                    digest.update(block)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StoreFull(f"There is no room beside the keys to restore {file}. Nothing was changed.") from error
        raise BackupRefused(f"{file} cannot be read: {error.strerror}.") from error
    if not staged.stat().st_size:
        raise BackupRefused(f"{file} is empty.")
    return digest.hexdigest()


def _adopt(staged: Path, key: bytes, now: datetime, keep: timedelta, digest: str, store: Path) -> Copy:
    """Check the copy, take its mark off, and count on with every key as if it had been used since."""
    try:
        copy = connect(staged, key, 0.0)
        try:
            copy.execute("PRAGMA journal_mode = DELETE").fetchall()
            check_whole(copy)
            made_at = _made_at(copy)
            if now - made_at > keep:
                raise BackupRefused(
                    f"This backup was made {made_at:%Y-%m-%d %H:%M} UTC, more than {keep.days} days ago. It is too "
                    "old to restore: it may hold the keys of people who were promised that theirs are gone."
                )
            if made_at - now > _EARLY:
                raise BackupRefused(f"This backup was made {made_at:%Y-%m-%d %H:%M} UTC: set this machine's clock.")
            copy.execute("BEGIN IMMEDIATE")
            for table in ("data_key", "kek"):
                copy.execute(f"UPDATE {table} SET uses = min(uses + {UNCOUNTED}, {AES_GCM_LIMIT})")  # noqa: S608
            copy.execute("DELETE FROM meta WHERE name = ?", (COPIED_AT,))
            copy.execute("COMMIT")
            keys = copy.execute("SELECT count(*) FROM data_key").fetchone()[0]
            erased = copy.execute("SELECT count(*) FROM tombstone").fetchone()[0]
            return Copy(digest, made_at, keys, erased, _lost(copy, store, key))
        finally:
            copy.close()
    except (sqlcipher3.Error, KeyStoreDamaged) as error:
        raise BackupRefused(
            f"This file does not open as a backup of these keys ({error}): another root key, or it was changed."
        ) from error


def _made_at(copy: Tx) -> datetime:
    row = copy.execute("SELECT value FROM meta WHERE name = ?", (COPIED_AT,)).fetchone()
    if row is None:
        raise BackupRefused("This file is a key store, but no backup that this service made: its age is not known.")
    return datetime.fromisoformat(row[0])


def _lost(copy: Tx, store: Path, key: bytes) -> int | None:
    """How many keys the present store has that the copy lacks."""
    rows = "SELECT kind, name, version FROM data_key"
    try:
        present = connect(store, key, 0.0, may_create=False)
        try:
            names = set(present.execute(rows).fetchall())
        finally:
            present.close()
    except (sqlcipher3.Error, KeyUnavailable, OSError):
        return None
    return len(names - set(copy.execute(rows).fetchall()))


def _clear(staged: Path) -> None:
    for name in (STAGED, f"{STAGED}-wal", f"{STAGED}-shm", f"{STAGED}-journal", "restoring.use"):
        staged.with_name(name).unlink(missing_ok=True)
