"""The two seams of the room: where the root key lives, and where the key service runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from .model import Backup, Backups, Erasures, JournalBatch, Kind, OpenedKey, Tombstone


class RootProvider(Protocol):
    """The holder of the root key: a file here; a hardware module or a cloud's key service elsewhere."""

    @property
    def fingerprint(self) -> str:
        """Tells one root from another and reveals nothing of it."""
        ...

    def store_key(self) -> bytes:
        """The 32-byte raw key of the key service's own store."""
        ...

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Wrap a key-encryption key so that it opens only with the same `context`."""
        ...

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Raises KeyTampered when the wrapped key or the context is not what was wrapped."""
        ...


class KeyService(Protocol):
    """Holds the root and key-encryption keys and hands out data keys; in process, or a process of its own.

    Every method names its caller, checks the caller's policy, and is journaled durably before it answers.
    All raise KeyPolicyRefused and KeyUnavailable; those on subjects SubjectErased.
    """

    def create(self, caller: str, kind: Kind, purpose: str, name: str, length: int = 32) -> None:
        """Create the key unless it exists. Raises KeyConflict when it exists for another purpose."""
        ...

    def open(self, caller: str, kind: Kind, name: str, version: int | None = None, reserve: int = 0) -> OpenedKey:
        """Unwrap a data key, the newest version by default; `reserve` counts that many uses in advance."""
        ...

    def destroy(self, caller: str, subject: str, reason: str) -> None:
        """Delete all versions of a subject's key and leave a tombstone; repeating it changes nothing."""
        ...

    def sign(self, caller: str, purpose: str, message: bytes) -> bytes:
        """Ed25519 (RFC 8032) with a key that never leaves the service. Raises NoSuchKey."""
        ...

    def public_key(self, caller: str, purpose: str, version: int | None = None) -> bytes:
        """The 32 raw bytes of the Ed25519 public key. Raises NoSuchKey."""
        ...

    def wrap(self, caller: str, purpose: str, context: bytes, key: bytes) -> bytes:
        """Wrap a key that the caller keeps elsewhere (a backup's, say); opens only with the same context."""
        ...

    def unwrap(self, caller: str, purpose: str, context: bytes, wrapped: bytes) -> bytes:
        """Raises KeyTampered when purpose, context or wrapped key differ."""
        ...

    def rotate(self, caller: str, purpose: str) -> int:
        """Add a version of the purpose's key-encryption key and return it; new keys use it at once."""
        ...

    def rewrap(self, caller: str, purpose: str, limit: int = 100) -> int:
        """Wrap up to `limit` data keys of older versions under the newest; returns how many are left."""
        ...

    def backup(self, caller: str) -> tuple[Backup, int]:
        """Copy the key store into its place for backups; also says how many old copies went. Raises StoreFull."""
        ...

    def backups(self, caller: str) -> Backups:
        """The copies that can be restored, and when the next one is due."""
        ...

    def generation(self) -> int:
        """Rises with every erasure; cheap enough to be asked several times a second."""
        ...

    def erased_since(self, generation: int) -> Erasures:
        """The subjects erased after `generation`."""
        ...

    def tombstones(self, caller: str) -> tuple[Tombstone, ...]:
        """All erasures, oldest first, for keeping outside the store."""
        ...

    def replay_tombstones(self, caller: str, tombstones: Iterable[Tombstone]) -> int:
        """Erase again after a restore; returns how many were not known."""
        ...

    def drain_journal(self, caller: str, limit: int) -> tuple[JournalBatch, ...]:
        """Batches not yet acknowledged, then a new one of up to `limit` entries. At least once."""
        ...

    def acknowledge(self, caller: str, batch_id: str) -> None:
        """Forget a batch that is safe elsewhere; repeating it changes nothing."""
        ...

    def close(self) -> None:
        """Release what the service holds; what follows raises KeyUnavailable."""
        ...
