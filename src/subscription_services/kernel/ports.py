"""What the kernel needs from the floors above it, so that it can know none of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeVar

import msgspec
from sqlalchemy import Connection

from .actors import Actor, Standing
from .events import Event

T = TypeVar("T")


class Writer(StrEnum):
    """The closed list of those who may open a write transaction; a test holds who uses which."""

    PERFORM = "perform"
    APPROVALS = "approvals"  # of operations too: on PostgreSQL a database role of its own may write what these do
    SEQUENCER = "sequencer"
    OUTBOX = "outbox"
    LIMITS = "limits"
    MIGRATIONS = "migrations"


class ReadStore(Protocol):
    """Everybody's view of the store: connections that the database itself keeps from writing."""

    @property
    def dialect(self) -> str: ...

    def reading(self) -> AbstractContextManager[Connection]:
        """One consistent snapshot, read-only, in the calling thread."""
        ...

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on a snapshot: in the event loop when embedded, else in the pool."""
        ...


class Store(ReadStore, Protocol):
    async def write(self, writer: Writer, work: Callable[[Connection], T]) -> T:
        """Run `work` in a transaction that may share its commit with others; returns after the durable commit."""
        ...

    def write_soon(self, writer: Writer, work: Callable[[Connection], object]) -> Future[object]:
        """Queue `work` for the next commit group, within a second; the future ends with that commit."""
        ...

    def close(self) -> None: ...


class EventLog(Protocol):
    def append(self, connection: Connection, events: Sequence[Event]) -> None:
        """Insert the events' rows in the caller's transaction."""
        ...


class Keys(Protocol):
    """The key service as one caller sees it. Raises KeyUnavailable, SubjectErased, KeyPolicyRefused."""

    def ensure_subject(self, subject: str, purpose: str = "subject") -> None: ...
    def seal(self, subject: str, seal_id: str, row_id: str, plaintext: bytes) -> bytes: ...
    def unseal(self, subject: str, seal_id: str, row_id: str, sealed: bytes) -> bytes: ...
    def destroy_subject(self, subject: str, reason: str) -> None: ...
    def blind_index(self, index: str, value: str) -> bytes: ...
    def mac(self, purpose: str, message: bytes) -> bytes: ...
    def verify_mac(self, purpose: str, message: bytes, tag: bytes) -> None: ...
    def sign(self, purpose: str, message: bytes) -> bytes: ...
    def public_key(self, purpose: str) -> bytes: ...
    def secret(self, purpose: str, length: int = 32) -> bytes: ...


class KeysFor(Protocol):
    def for_caller(self, caller: str) -> Keys: ...


class Outbox(Protocol):
    """Jobs to be carried out after the commit, at least once."""

    def add(
        self,
        connection: Connection,
        job: msgspec.Struct,
        *,
        now: datetime,
        run_at: datetime | None,
        key: str | None,
    ) -> str:
        """Insert the job's row in the caller's transaction; `key` makes it once only. Returns the job's id."""
        ...

    def wake(self) -> None:
        """Tell the workers that there is something new."""
        ...


class Authority(Protocol):
    def standing(self, connection: Connection, actor: Actor, now: datetime) -> Standing:
        """What the actor is now. Raises NotSignedIn when the session, account or token has ended."""
        ...


class Limiter(Protocol):
    """Counts shared by every process and node, under keyed codes that say nothing of who is counted."""

    async def spend(self, name: str, key: str, allowed: int, seconds: int) -> None:
        """Count one use of `key`; raises TooMany when more than `allowed` fell within `seconds`."""
        ...

    async def spend_growing(self, name: str, key: str, allowed: int, waits: Sequence[int], quiet: int) -> None:
        """Count one use; after `allowed` of them each costs the next of `waits`. Raises TooMany while it lasts."""
        ...

    async def take_back(self, name: str, key: str, allowed: int, seconds: int) -> None:
        """Undo one use as it was spent, and the wait that it brought; no `seconds` where waits grow."""
        ...

    async def forgive(self, name: str, key: str) -> None:
        """Forget the uses of `key` that grow waits."""
        ...

    async def recognised(self, name: str, key: str, allowed: int) -> bool:
        """Whether more than `allowed` different members stand under `key`."""
        ...

    async def spread(self, name: str, key: str, member: str, allowed: int, seconds: int) -> bool:
        """Note a member for `seconds` from the first; from then on that more than `allowed` are, from the newest.

        Whether it is this one that made them more than allowed."""
        ...

    async def unspread(self, name: str, key: str, member: str) -> None:
        """Forget this member."""
        ...

    def close(self) -> None: ...


class Approvals(Protocol):
    def consume(
        self, connection: Connection, actor: Actor, operation: str, digest: bytes, needed: int, now: datetime
    ) -> str:
        """Use up the approvals that cover exactly this request; which they were. Raises ApprovalNeeded."""
        ...
