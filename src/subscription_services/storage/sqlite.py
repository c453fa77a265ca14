"""The embedded store: one SQLCipher file, one writer thread a process, commits shared by a group.

Each caller is answered only after its own durable commit. Inside a group every unit of work has a savepoint, so one
that fails touches nobody else; a group that cannot commit fails every caller in it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import sqlcipher3
from sqlalchemy import Connection, Engine, NullPool, create_engine

from subscription_services.kernel.clock import monotonic
from subscription_services.kernel.errors import StartError, StoreFull, Unavailable
from subscription_services.kernel.ports import Writer

from .lease import FileLease, Lease

T = TypeVar("T")
GROUP_SIZE = 64
SOON_SECONDS = 0.25
"""How long work of `write_soon` waits for a commit of others to share, before it gets its own."""
BUSY_MILLISECONDS = 20_000


@dataclass(frozen=True, slots=True)
class _Unit:
    work: Callable[[Connection], Any]
    done: Future[Any]
    soon: bool = False


class _Reader(threading.local):
    """Each thread's reading connection, and the driver's own beneath it, for what needs no library."""

    connection: Connection | None = None
    driver: Any = None
    open: bool = False


def make_engine(path: Path, key: bytes, *, read_only: bool) -> Engine:
    """An engine for the encrypted file. Each connection proves the key at once. Raises StartError."""

    def connect() -> Any:
        raw = sqlcipher3.connect(str(path), isolation_level=None, check_same_thread=False, cached_statements=512)
        cursor = raw.cursor()
        cursor.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
        try:
            cursor.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except sqlcipher3.DatabaseError as error:
            raw.close()
            raise _start_error(path, error) from error
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_MILLISECONDS}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute("PRAGMA temp_store = MEMORY")
        cursor.execute("PRAGMA cache_size = -16000")
        if read_only:
            cursor.execute("PRAGMA query_only = ON")
        cursor.close()
        return raw

    return create_engine(
        "sqlite://", module=sqlcipher3, creator=connect, poolclass=NullPool, isolation_level="AUTOCOMMIT"
    )


class SqliteStore:
    """See `kernel.ports.Store`."""

    dialect = "sqlite"

    def __init__(self, path: Path, key: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        # for its owner alone from its first moment; the files that SQLite adds beside it follow
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self.write_engine = make_engine(path, key, read_only=False)
        self._read_engine = make_engine(path, key, read_only=True)
        self._reader = _Reader()
        self._units: queue.SimpleQueue[_Unit | None] = queue.SimpleQueue()
        with self.write_engine.connect():
            pass
        self._lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._turn = os.open(path.with_suffix(".turn"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._path = path
        self._thread = threading.Thread(target=self._write_loop, name="store-writer", daemon=True)
        self._thread.start()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        reader = self._reader
        if reader.connection is None:
            reader.connection = self._read_engine.connect()
            reader.driver = driver_of(reader.connection)
        if reader.open:
            yield reader.connection
            return
        reader.driver.execute("BEGIN")
        reader.open = True
        try:
            yield reader.connection
        finally:
            reader.open = False
            reader.driver.execute("COMMIT")

    async def read(self, work: Callable[[Connection], T]) -> T:
        reader = self._reader
        if reader.connection is None or reader.open:
            with self.reading() as connection:
                return work(connection)
        # what `reading` does, for what is done several times at every request
        reader.driver.execute("BEGIN")
        reader.open = True
        try:
            return work(reader.connection)
        finally:
            reader.open = False
            reader.driver.execute("COMMIT")

    async def write(self, writer: Writer, work: Callable[[Connection], T]) -> T:
        done: Future[Any] = Future()
        self._units.put(_Unit(work, done))
        # shielded: a caller that goes away must not make its committed work look undone
        result: T = await asyncio.shield(asyncio.wrap_future(done))
        return result

    def write_soon(self, writer: Writer, work: Callable[[Connection], object]) -> Future[object]:
        done: Future[object] = Future()
        self._units.put(_Unit(work, done, soon=True))
        return done

    def lease(self, name: str) -> Lease:
        """A lease of this name, one holder for all processes of the file."""
        return FileLease(self._path.with_suffix(f".{name}"))

    def close(self) -> None:
        self._units.put(None)
        self._thread.join()
        os.close(self._lock)
        os.close(self._turn)
        self.write_engine.dispose()
        self._read_engine.dispose()

    def _write_loop(self) -> None:
        with self.write_engine.connect() as connection:
            driver = driver_of(connection)
            while True:
                group, last = self._next_group()
                if group:
                    self._commit_group(connection, driver, group)
                if last:
                    return

    def _next_group(self) -> tuple[list[_Unit], bool]:
        """What to commit together, and whether it is the last. What may wait goes along with what may not."""
        group: list[_Unit] = []
        until: float | None = None
        while len(group) < GROUP_SIZE:
            try:
                unit = self._units.get(timeout=None if until is None else max(0.0, until - monotonic()))
            except queue.Empty:
                break
            if unit is None:
                return group, True
            group.append(unit)
            if not unit.soon:
                until = 0.0
            elif until is None:
                until = monotonic() + SOON_SECONDS
        return group, False

    def _commit_group(self, connection: Connection, driver: Any, group: list[_Unit]) -> None:
        outcomes: list[tuple[_Unit, Any, BaseException | None]] = []
        try:
            # SQLite's own waiting is polling and unfair. Whoever waits for the lock holds the turn, so that the process
            # that has just committed cannot take the lock again before the one that waits
            fcntl.flock(self._turn, fcntl.LOCK_EX)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX)
            finally:
                fcntl.flock(self._turn, fcntl.LOCK_UN)
            try:
                driver.execute("BEGIN IMMEDIATE")
                for unit in group:
                    outcomes.append(_run_unit(connection, driver, unit))
                driver.execute("COMMIT")
            except BaseException:
                if driver.in_transaction:
                    driver.execute("ROLLBACK")
                raise
            finally:
                fcntl.flock(self._lock, fcntl.LOCK_UN)
        except BaseException as error:
            failure = store_error(error)
            for unit in group:
                _settle(unit.done, None, failure)
            return
        for unit, result, problem in outcomes:
            _settle(unit.done, result, problem)


def driver_of(connection: Connection) -> Any:
    """The driver's own connection."""
    return connection.connection.driver_connection


def _run_unit(connection: Connection, driver: Any, unit: _Unit) -> tuple[_Unit, Any, BaseException | None]:
    driver.execute("SAVEPOINT unit")
    try:
        result = unit.work(connection)
    except Exception as error:
        if not driver.in_transaction:
            raise  # the engine gave up the whole transaction (full disk): nobody in the group may be told otherwise
        driver.execute("ROLLBACK TO unit")
        driver.execute("RELEASE unit")
        return unit, None, store_error(error)
    driver.execute("RELEASE unit")
    return unit, result, None


def _settle(done: Future[Any], result: Any, problem: BaseException | None) -> None:
    if done.cancelled():
        return
    if problem is None:
        done.set_result(result)
    else:
        done.set_exception(problem)


def store_error(error: BaseException) -> BaseException:
    """The store's own failures in the domain's words; everything else as it is."""
    text = str(getattr(error, "orig", error))
    if "disk is full" in text or "disk I/O error" in text or getattr(error, "errno", 0) == 28:
        return StoreFull()
    if "database is locked" in text or "unable to open database" in text:
        return Unavailable()
    return error


def _start_error(path: Path, error: Exception) -> StartError:
    if "not a database" in str(error):
        return StartError(
            f"{path.name} does not open with the key that the key service gave: wrong key or another root."
        )
    if "locked" in str(error):
        return StartError(f"{path.name} is locked by another program. Stop that program and start again.")
    return StartError(f"{path.name} cannot be opened: {error}")
