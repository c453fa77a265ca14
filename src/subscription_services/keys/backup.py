"""Copies of the key store that can be restored, and how long they are kept.

A copy is as encrypted as the store and opens with the same root key, which is never part of it. Erasing somebody
cannot reach into a copy, so no copy grows older than the bound: after that time the person's wrapped key is nowhere.
Copies belong in a place of their own, outside every backup that is kept longer.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlcipher3

from subscription_services.kernel.errors import SettingsError, StoreFull

from .durable import sync_directory
from .errors import KeyStoreDamaged, KeyUnavailable
from .model import COPIED_AT, Backup, Backups
from .settings import KeySettings
from .store import connect

FOLDER = "key-backups"
ALL_FOR = timedelta(days=1)
"""How long every copy is kept; of the days before, the last one each."""
SLACK = timedelta(minutes=30)
"""How late a round may come without a copy growing too old."""
_STAMP = "%Y%m%dT%H%M%S.%fZ"
_COPY, _DAMAGED, _UNFINISHED = "keys-", "damaged-", "unfinished-"


@dataclass(frozen=True, slots=True)
class BackupRule:
    """No copy grows older than `keep`; a new one is due `every` so often."""

    directory: Path
    keep: timedelta
    every: timedelta


def rule_of(settings: KeySettings, keys: Path) -> BackupRule:
    """Where copies of the store in the directory `keys` go. Raises SettingsError for a place among the keys."""
    directory = Path(settings.backup_directory).resolve() if settings.backup_directory else keys.parent / FOLDER
    if directory.resolve().is_relative_to(keys.resolve()):
        raise SettingsError("SUBS_KEYS_BACKUP_DIRECTORY must lie outside of the directory of the keys.")
    return BackupRule(directory, timedelta(days=settings.backup_days), timedelta(minutes=settings.backup_minutes))


class KeyBackups:
    """Makes, lists and prunes the copies of one store; several processes may at once."""

    def __init__(self, rule: BackupRule, store: Path, raw_key: bytes) -> None:
        self._rule = rule
        self._store = store
        self._key = raw_key

    def listed(self, now: datetime) -> Backups:
        """Every whole copy, newest first."""
        copies = tuple(sorted(self._copies(), key=lambda copy: copy.made_at, reverse=True))
        due = copies[0].made_at + self._rule.every if copies else now
        return Backups(copies, due, self._rule.keep.days, str(self._rule.directory))

    def make(self, now: datetime) -> tuple[Backup, int]:
        """Remove what is too old, then copy the store as it is now. Returns the copy and how many were removed.

        The copy counts only once it is whole, read back and durable. Raises KeyUnavailable, StoreFull.
        """
        directory = self._rule.directory
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if directory.stat().st_mode & 0o022:
                raise KeyUnavailable(f"Others may change {directory}. Run: chmod 700 {directory}.")
            with self._alone():
                removed = self._tidy(now)
                final = directory / file_name(now)
                unfinished = directory / f"{_UNFINISHED}{final.name}"
                try:
                    self._copy(unfinished, now)
                    unfinished.rename(final)
                except BaseException:
                    with suppress(OSError):
                        unfinished.unlink(missing_ok=True)
                    raise
                sync_directory(directory)
        except (OSError, sqlcipher3.Error) as error:
            raise _not_made(directory, error) from error
        return Backup(final.name, now, final.stat().st_size), removed

    def keep_damaged(self, now: datetime) -> str:
        """Put a store that does not open among the copies, where it is removed in time like them. Raises OSError."""
        directory = self._rule.directory
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for suffix in ("-wal", ""):
            part = self._store.with_name(self._store.name + suffix)
            if part.exists():
                part.rename(directory / f"{_DAMAGED}{file_name(now)}{suffix}")
        sync_directory(directory)
        sync_directory(self._store.parent)
        return f"{_DAMAGED}{file_name(now)}"

    def _copy(self, path: Path, now: datetime) -> None:
        # VACUUM INTO writes into an empty file as well, so that it has its mode from the first moment.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        source = connect(self._store, self._key, 10.0, may_create=False)
        try:
            source.execute("VACUUM INTO ?", (str(path),))
        finally:
            source.close()
        copy = connect(path, self._key, 0.0)
        try:
            copy.execute("PRAGMA journal_mode = MEMORY").fetchall()
            copy.execute("INSERT INTO meta (name, value) VALUES (?, ?)", (COPIED_AT, now.astimezone(UTC).isoformat()))
            check_whole(copy)
        finally:
            copy.close()
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def _copies(self) -> Iterator[Backup]:
        for path in self._rule.directory.glob(f"{_COPY}*.db"):
            made_at = made_at_of(path.name)
            if made_at is not None:
                with suppress(FileNotFoundError):
                    yield Backup(path.name, made_at, path.stat().st_size)

    def _tidy(self, now: datetime) -> int:
        """Remove what never became a copy and what is too old."""
        directory = self._rule.directory
        for path in directory.glob(f"{_UNFINISHED}*"):
            path.unlink(missing_ok=True)
        # A copy that would be too old before the next round goes now.
        limit = now - self._rule.keep + self._rule.every + SLACK
        for path in directory.glob(f"{_DAMAGED}*"):
            put_away = made_at_of(path.name.removesuffix("-wal"), f"{_DAMAGED}{_COPY}")
            if put_away is None or put_away <= limit:
                path.unlink(missing_ok=True)
        copies = {copy.made_at: copy.name for copy in self._copies()}
        gone = to_remove(copies, now, limit)
        for made_at in gone:
            (directory / copies[made_at]).unlink(missing_ok=True)
        sync_directory(directory)
        return len(gone)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        descriptor = os.open(self._rule.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def to_remove(made: Iterable[datetime], now: datetime, limit: datetime) -> list[datetime]:
    """Which copies go: those made at `limit` or before, and older than ALL_FOR all but the last of each UTC day."""
    gone, days = [], set()
    for at in sorted(made, reverse=True):
        day = at.astimezone(UTC).date()
        if at <= limit or (at <= now - ALL_FOR and day in days):
            gone.append(at)
        days.add(day)
    return gone


def file_name(at: datetime) -> str:
    """The name of the copy made at this time."""
    return f"{_COPY}{at.astimezone(UTC).strftime(_STAMP)}.db"


def made_at_of(name: str, prefix: str = _COPY) -> datetime | None:
    """When the copy of this name was made; None for other files."""
    if not (name.startswith(prefix) and name.endswith(".db")):
        return None
    try:
        return datetime.strptime(name.removeprefix(prefix).removesuffix(".db"), _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None


def check_whole(connection: sqlcipher3.Connection) -> None:
    """Every page has its authentication code and the tables hang together. Raises KeyStoreDamaged."""
    wrong = connection.execute("PRAGMA cipher_integrity_check").fetchall()
    wrong = wrong or [row for row in connection.execute("PRAGMA quick_check") if row != ("ok",)]
    if wrong:
        raise KeyStoreDamaged(f"The copy of the key store is not whole: {wrong[0][0]}.")


def _not_made(directory: Path, error: Exception) -> Exception:
    text = getattr(error, "strerror", None) or str(error)
    if (
        getattr(error, "errno", 0) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        or "is full" in text
        or "disk I/O" in text
    ):
        return StoreFull(f"There is no room in {directory} for a backup of the keys; the ones made before stay.")
    return KeyUnavailable(f"No backup of the keys could be made in {directory}: {text}.")
