"""Kinds of jobs: a typed payload, its handler, and how often to try again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec

from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.perform import Kernel

Handler = Callable[[Kernel, Any], Awaitable[None]]


class GiveUp(DomainError):
    """Raised by a handler when trying again cannot help: the job is given up at once and shown."""

    code = "given-up"
    message = "This cannot succeed by trying again."


@dataclass(frozen=True, slots=True)
class TakenJob:
    """The job that is being carried out: its id stays the same over all `attempts`; `last` is the final one."""

    id: str
    attempt: int
    last: bool


_taken: ContextVar[TakenJob] = ContextVar("taken_job")


def taken_job() -> TakenJob:
    """The job that the calling handler carries out. Raises LookupError outside of one."""
    return _taken.get()


def set_taken_job(job: TakenJob) -> None:
    """For the worker alone: name the job that the present task carries out."""
    _taken.set(job)


@dataclass(frozen=True, slots=True)
class JobKind:
    """`handle` may run more than once for one job and must bear it; raising means try again later (but see GiveUp)."""

    name: str
    payload: type[msgspec.Struct]
    handle: Handler
    attempts: int = 12
    first_pause: timedelta = timedelta(seconds=2)
    longest_pause: timedelta = timedelta(hours=1)
    lease: timedelta = timedelta(seconds=60)

    def pause(self, attempts: int) -> timedelta:
        """How long to wait after `attempts` failed tries: doubling, bounded."""
        return min(self.first_pause * (1 << min(attempts - 1, 20)), self.longest_pause)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A job made once for each span of `every`, whichever worker comes first."""

    name: str
    every: timedelta
    make: Callable[[datetime], msgspec.Struct]

    def key(self, now: datetime) -> str:
        return f"schedule:{self.name}:{int(now.timestamp() // self.every.total_seconds())}"


class JobKinds:
    """Every kind, by name and by payload type. Raises ValueError where two share one."""

    def __init__(self, kinds: Iterable[JobKind]) -> None:
        self._by_name: dict[str, JobKind] = {}
        self._by_type: dict[type[msgspec.Struct], JobKind] = {}
        for kind in kinds:
            if kind.name in self._by_name or kind.payload in self._by_type:
                raise ValueError(f"two kinds of jobs are called {kind.name} or share its payload")
            self._by_name[kind.name] = kind
            self._by_type[kind.payload] = kind

    def __iter__(self) -> Iterator[JobKind]:
        return iter(self._by_name.values())

    def named(self, name: str) -> JobKind | None:
        return self._by_name.get(name)

    def of(self, payload: msgspec.Struct) -> JobKind:
        """The kind of a payload. Raises LookupError."""
        kind = self._by_type.get(type(payload))
        if kind is None:
            raise LookupError(f"no kind of job takes {type(payload).__name__}")
        return kind
