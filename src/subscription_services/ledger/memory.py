"""What the log remembers outside the database: the checkpoint it signed last, and how far each writer was.

A store that was rolled back does not hold that tree any more, and the sequencer refuses to sign another one.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import msgspec

from subscription_services.kernel.ports import Keys

from .entries import verify
from .errors import ForgedRow, MemoryMissing

PURPOSE = "ledger.memory"


class Remembered(msgspec.Struct, frozen=True):
    """`note` is the signed checkpoint, `cursors` the last sequenced counter of each writer at that time."""

    note: str
    cursors: Mapping[str, int]


class Memory(Protocol):
    """A place that somebody who changes the database does not change as well."""

    def load(self) -> Remembered | None:
        """What was saved last; None where nothing ever was. Raises MemoryMissing when it is damaged."""
        ...

    def save(self, remembered: Remembered) -> None:
        """Durable before it returns."""
        ...

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Between load and save nobody else saves."""
        yield


class Forgotten:
    """A memory that never held anything: for verifying a store by itself."""

    def load(self) -> Remembered | None:
        """See `Memory`."""
        return None

    def save(self, remembered: Remembered) -> None:
        """Refuses: raises MemoryMissing."""
        raise MemoryMissing("there is no place to remember a checkpoint")

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """See `Memory`."""
        yield


class _Kept(msgspec.Struct, frozen=True):
    remembered: Remembered
    mac: bytes


_encoder = msgspec.json.Encoder(order="sorted")


@dataclass(frozen=True, slots=True)
class FileMemory:
    """One small authenticated file, replaced as a whole; `path` lies in the data directory."""

    path: Path
    keys: Keys

    def load(self) -> Remembered | None:
        """See `Memory`."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return None
        try:
            kept = msgspec.json.decode(data, type=_Kept)
            verify(self.keys, PURPOSE, _encoder.encode(kept.remembered), kept.mac, self.path.name)
        except (msgspec.MsgspecError, UnicodeError, ForgedRow) as error:
            raise MemoryMissing(f"{self.path.name} is damaged or was changed: {error}") from error
        return kept.remembered

    def save(self, remembered: Remembered) -> None:
        """See `Memory`."""
        mac = self.keys.mac(PURPOSE, _encoder.encode(remembered))
        unfinished = self.path.with_suffix(".new")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(_encoder.encode(_Kept(remembered, mac)))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self.path)
        directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """See `Memory`."""
        descriptor = os.open(self.path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
