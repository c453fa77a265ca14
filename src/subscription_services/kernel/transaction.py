"""What an operation works with: a read transaction, or the write transaction that only perform() opens."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from .ports import Keys, Outbox


class ReadTransaction(msgspec.Struct, frozen=True):
    """A consistent snapshot; the database refuses writes through `connection`. `keys` is bound to the room."""

    connection: Connection
    keys: Keys


class BoundOutbox(msgspec.Struct, frozen=True):
    """The outbox of one transaction: what is added is carried out after the commit, at least once."""

    connection: Connection
    outbox: Outbox
    now: datetime

    def add(self, job: msgspec.Struct, *, run_at: datetime | None = None, key: str | None = None) -> str:
        """Queue `job`; the same `key` queues it once only. Returns the id of the row."""
        return self.outbox.add(self.connection, job, now=self.now, run_at=run_at, key=key)


class Transaction(ReadTransaction, frozen=True):
    """The write transaction of one operation; commits together with its audit event or not at all."""

    outbox: BoundOutbox


Reading = Callable[[], AbstractContextManager[ReadTransaction]]
