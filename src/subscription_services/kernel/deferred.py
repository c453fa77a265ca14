"""Events of people looking at their own data: committed together with the next group, within a second, never lost.

Somebody who looks at the same thing again before that commit is counted in the event that waits (`Event.count`), which
keeps the time and correlation of the first look. What could not be committed is kept and tried again with the next one;
beyond a bound nothing more is deferred, so that a store that cannot write makes reads fail rather than go unrecorded.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from msgspec.structs import replace
from sqlalchemy import Connection

from .context import Origin
from .events import Event
from .ports import EventLog, Store, Writer

BOUND = 10_000
TOGETHER = timedelta(seconds=1)
"""Looks further apart are events of their own, however long the commit takes."""
_lines = structlog.get_logger("kernel")


class Look(NamedTuple):
    """What makes two looks the same: everything that their events say, but time and correlation."""

    actor: str
    session: str
    operation: str
    object: str
    subject: str
    details: bytes
    origin: Origin


@dataclass(slots=True)
class _Waiting:
    event: Event
    count: int = 1


@dataclass(slots=True)
class Deferred:
    _waiting: list[_Waiting] = field(default_factory=list)
    _by_look: dict[Look, _Waiting] = field(default_factory=dict)
    _queued: bool = False
    _under_way: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def room(self) -> bool:
        """Whether another event may be deferred."""
        return len(self._waiting) < BOUND

    @property
    def settled(self) -> bool:
        """Whether no commit waits or is under way."""
        return self._under_way == 0

    def again(self, look: Look, now: datetime) -> bool:
        """Count the look in the event of an equal one that still waits; False when there is none."""
        with self._lock:
            first = self._by_look.get(look)
            if first is None or not timedelta(0) <= now - first.event.at < TOGETHER:
                return False
            first.count += 1
            return True

    def add(self, store: Store, log: EventLog, look: Look, event: Event) -> None:
        """Have `event`, made of `look`, committed with the next group."""
        with self._lock:
            self._by_look[look] = first = _Waiting(event)
            self._waiting.append(first)
            if self._queued:
                return
            self._queued = True
            self._under_way += 1
        taken: list[_Waiting] = []

        def work(connection: Connection) -> None:
            with self._lock:
                # a transaction that is tried again starts from what it took the first time
                taken.extend(self._waiting)
                self._waiting.clear()
                self._by_look.clear()
                self._queued = False
            log.append(connection, [_counted(first) for first in taken])

        store.write_soon(Writer.PERFORM, work).add_done_callback(lambda done: self._check(done, taken))

    def _check(self, done: Future[object], taken: list[_Waiting]) -> None:
        error = done.exception()
        with self._lock:
            self._under_way -= 1
            if error is None:
                return
            self._waiting[:0] = taken
            self._queued = False
        _lines.error("events.deferred_again", events=len(taken), error=type(error).__name__)


def _counted(first: _Waiting) -> Event:
    return first.event if first.count == 1 else replace(first.event, count=first.count)
