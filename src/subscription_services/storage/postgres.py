"""PostgreSQL: reads and writes in one bounded pool of threads, each with connections of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.exc import DBAPIError, OperationalError

from subscription_services.kernel.errors import StartError, StoreFull, Unavailable
from subscription_services.kernel.ports import Writer

from .holding import HOLDS
from .lease import Lease, SessionLease

T = TypeVar("T")
THREADS = 8
TRIES = 4
SOON_SECONDS = 0.25
"""How long work of `write_soon` waits for more of it, or for a write that cannot wait."""
_RETRY = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected
_FULL = frozenset({"53100"})  # disk_full


def make_engine(url: str, *, read_only: bool, size: int = THREADS, holds: bool = True) -> Engine:
    """An engine whose sessions are read-only when asked. Sizes fit the pool of threads. `holds`: see `holding`."""
    options = "-c synchronous_commit=on"
    if read_only:
        # one snapshot for all that a reader looks at
        options = "-c default_transaction_read_only=on -c default_transaction_isolation=repeatable\\ read"
    return create_engine(
        url.replace("postgresql://", "postgresql+psycopg://", 1), execution_options={HOLDS: holds and not read_only},
        pool_size=size, max_overflow=4, pool_pre_ping=False,
        connect_args={"options": options, "connect_timeout": 5, "application_name": "subscription-services"},
    )  # fmt: skip


class PostgresStore:
    """See `kernel.ports.Store`."""

    dialect = "postgresql"

    def __init__(self, url: str, approvals_url: str = "") -> None:
        """`approvals_url` is that of the role which alone may write approvals; without it the service's own does."""
        self._url = url
        # to hold rows takes the right to change them, which this role has not: whoever approved is looked at again when
        # the approval is used
        approvals = make_engine(approvals_url, read_only=False, size=1, holds=False) if approvals_url else None
        self._approvals = approvals
        self.write_engine = make_engine(url, read_only=False)
        self._read_engine = make_engine(url, read_only=True)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="store")
        self._local = threading.local()
        self._soon: list[tuple[Callable[[Connection], object], Future[object]]] = []
        self._soon_lock = threading.Lock()
        self._timer: threading.Timer | None = None
        try:
            for engine in (self.write_engine, self._approvals):
                if engine is not None:
                    with engine.connect():
                        pass
        except OperationalError as error:
            raise StartError(f"The database does not answer: {str(error.orig).strip()}") from error

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        outer: Connection | None = getattr(self._local, "connection", None)
        if outer is not None:
            yield outer
            return
        with self._read_engine.connect() as connection:
            self._local.connection = connection
            try:
                yield connection
            finally:
                self._local.connection = None

    async def read(self, work: Callable[[Connection], T]) -> T:
        def run() -> T:
            with self.reading() as connection:
                return work(connection)

        return await self._in_pool(lambda: _translated(lambda: _retry_lost(run)))

    async def write(self, writer: Writer, work: Callable[[Connection], T]) -> T:
        if self._soon:
            self._begin_soon()
        return await self._in_pool(lambda: _translated(lambda: self._transact(work, writer)))

    def write_soon(self, writer: Writer, work: Callable[[Connection], object]) -> Future[object]:
        done: Future[object] = Future()
        with self._soon_lock:
            self._soon.append((work, done))
            if self._timer is None:
                self._timer = threading.Timer(SOON_SECONDS, self._begin_soon)
                self._timer.daemon = True
                self._timer.start()
        return done

    def lease(self, name: str) -> Lease:
        """A lease of this name, one holder for all processes of the database."""
        return SessionLease(self._url, name)

    def close(self) -> None:
        self._begin_soon()
        self._pool.shutdown(wait=True)
        self.write_engine.dispose()
        self._read_engine.dispose()
        if self._approvals is not None:
            self._approvals.dispose()

    def _begin_soon(self) -> None:
        with self._soon_lock:
            units, self._soon = self._soon, []
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        for work, done in units:
            self._pool.submit(self._settle, work, done)

    def _settle(self, work: Callable[[Connection], object], done: Future[object]) -> None:
        try:
            done.set_result(_translated(lambda: self._transact(work)))
        except BaseException as error:
            done.set_exception(error)

    async def _in_pool(self, run: Callable[[], T]) -> T:
        future: Future[T] = self._pool.submit(run)
        return await asyncio.shield(asyncio.wrap_future(future))

    def _transact(self, work: Callable[[Connection], T], writer: Writer = Writer.PERFORM) -> T:
        engine = self._approvals if writer is Writer.APPROVALS and self._approvals else self.write_engine
        for attempt in range(TRIES):
            try:
                with engine.begin() as connection:
                    return work(connection)
            except DBAPIError as error:
                if _state(error) not in _RETRY or attempt == TRIES - 1:
                    raise
        raise AssertionError("unreachable")


def _retry_lost(run: Callable[[], T]) -> T:
    """A read whose connection was lost may simply be read again; a write may not."""
    try:
        return run()
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
        return run()


def _translated(run: Callable[[], T]) -> T:
    try:
        return run()
    except DBAPIError as error:
        if _state(error) in _FULL:
            raise StoreFull() from error
        if error.connection_invalidated or isinstance(error, OperationalError):
            raise Unavailable() from error
        raise


def _state(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", "") or "")
