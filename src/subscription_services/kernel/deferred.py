"""Events of people looking at their own data: committed together with the next group, within a second, never lost.

What could not be committed is kept and tried again with the next one; beyond a bound nothing more is deferred, so
that a store that cannot write makes reads fail rather than go unrecorded.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection

from .events import Event
from .ports import EventLog, Store, Writer

BOUND = 10_000
_lines = structlog.get_logger("kernel")


@dataclass(slots=True)
class Deferred:
    _waiting: list[Event] = field(default_factory=list)
    _queued: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def room(self) -> bool:
        """Whether another event may be deferred."""
        return len(self._waiting) < BOUND

    def add(self, store: Store, log: EventLog, event: Event) -> None:
        """Have `event` committed with the next group."""
        with self._lock:
            self._waiting.append(event)
            if self._queued:
                return
            self._queued = True
        taken: list[Event] = []

        def work(connection: Connection) -> None:
            with self._lock:
                # a transaction that is tried again starts from what it took the first time
                taken.extend(self._waiting)
                self._waiting.clear()
                self._queued = False
            log.append(connection, taken)

        store.write_soon(Writer.PERFORM, work).add_done_callback(lambda done: self._check(done, taken))

    def _check(self, done: Future[object], taken: list[Event]) -> None:
        error = done.exception()
        if error is None:
            return
        _lines.error("events.deferred_again", events=len(taken), error=type(error).__name__)
        with self._lock:
            self._waiting[:0] = taken
            self._queued = False
