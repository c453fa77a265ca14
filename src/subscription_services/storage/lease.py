"""One holder at a time across processes, let go by itself when the holder's process ends.

A holder that lost its lease without noticing may overlap with the next for one moment; what is done under a lease
must be safe then as well, by the transaction that it writes in.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection, Engine, NullPool, create_engine, text
from sqlalchemy.exc import SQLAlchemyError

# a machine that vanished is noticed within some ten seconds, and its lock is let go
_ALIVE = "-c tcp_keepalives_idle=4 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3"


class Lease(Protocol):
    def hold(self) -> bool:
        """Take it, or make sure that it is still held. Waits for nobody; False while another one holds it."""
        ...

    def release(self) -> None:
        """Let it go; `hold` may take it again."""
        ...


class SessionLease:
    """An advisory lock of PostgreSQL, held by a session of its own: it ends with the connection."""

    def __init__(self, url: str, name: str) -> None:
        self._engine: Engine = create_engine(
            url.replace("postgresql://", "postgresql+psycopg://", 1), poolclass=NullPool, isolation_level="AUTOCOMMIT",
            connect_args={"options": _ALIVE, "connect_timeout": 5, "application_name": name},
        )  # fmt: skip
        self._key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
        self._connection: Connection | None = None
        self._held = False

    def hold(self) -> bool:
        """See `Lease`."""
        try:
            if self._connection is None:
                self._connection = self._engine.connect()
            if self._held:
                self._connection.execute(text("SELECT 1"))
            else:
                taken = self._connection.execute(text("SELECT pg_try_advisory_lock(:key)"), {"key": self._key})
                self._held = bool(taken.scalar_one())
        except SQLAlchemyError:
            self.release()
        return self._held

    def release(self) -> None:
        """See `Lease`."""
        connection, held = self._connection, self._held
        self._connection, self._held = None, False
        if connection is None:
            return
        try:
            if held:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": self._key})
        except SQLAlchemyError:
            connection.invalidate()
        connection.close()


class FileLease:
    """A lock on a file, for processes of one machine."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def hold(self) -> bool:
        """See `Lease`."""
        if self._file is not None:
            return True
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._file = file
        return True

    def release(self) -> None:
        """See `Lease`."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)
