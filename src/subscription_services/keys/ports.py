"""The two seams of the room: where the root key lives, and where the key service runs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from .model import Backup, Backups, Erasures, FoundKey, JournalBatch, Kind, OpenedKey, Tombstone
from .states import DataKey, Denial, KeyStates, Reason

MANY = 1000
"""How much one call takes at once."""


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

    def open_many(self, caller: str, kind: Kind, names: Iterable[str]) -> tuple[FoundKey, ...]:
        """The newest version of up to MANY data keys, in the order asked for; reserves nothing. Raises TooLarge."""
        ...

    def wrap_many(self, caller: str, purpose: str, keys: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, ...]:
        """Wrap up to MANY keys that the caller keeps elsewhere, each given as context and key. Raises TooLarge."""
        ...

    def unwrap_many(self, caller: str, purpose: str, keys: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, ...]:
        """All of them, each given as context and wrapped key, or KeyTampered. Raises TooLarge."""
        ...

    def rewrap_many(self, caller: str, purpose: str, keys: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, ...]:
        """The same keys under the newest version, each given as context and wrapped key. Raises as unwrap_many."""
        ...

    def rotate(self, caller: str, purpose: str, after: int | None = None, reason: Reason = Reason.DEMAND) -> int:
        """Add a version of the purpose's key-encryption key and return it; new keys use it at once.

        With `after` only if the newest is still that one, else nothing is added and the newest is returned.
        """
        ...

    def rewrap(self, caller: str, purpose: str, limit: int = 100) -> int:
        """Wrap up to `limit` data keys of older versions under the newest; returns how many are left."""
        ...

    def retire(self, caller: str, purpose: str, version: int | None = None) -> tuple[int, ...]:
        """Destroy the versions that nothing depends on: those whose time has come, or this one now. Raises KeyInUse."""
        ...

    def states(self, caller: str) -> KeyStates:
        """Versions, ages, uses, callers, progress. Never key material."""
        ...

    def data_keys(self, caller: str, purpose: str, after: str = "", limit: int = 1000) -> tuple[DataKey, ...]:
        """The subjects with a key of this purpose whose names sort after `after`."""
        ...

    def renew(self, caller: str, renewal: str, subjects: Iterable[str]) -> int:
        """Give each subject a new version of its data key, once for each `renewal`; returns how many were new.

        Values sealed before stay readable. Who was erased or has no key is left out. Raises TooLarge.
        """
        ...

    def close_versions(self, caller: str, renewal: str, subjects: Iterable[str]) -> int:
        """From now on only the log may open the versions that `renewal` replaced; returns how many were closed."""
        ...

    def discard(self, caller: str, subject: str, version: int) -> None:
        """Destroy a closed version of a subject's data key; what the log holds under it never opens again.

        Raises KeyInUse for a version that is not closed, NoSuchKey.
        """
        ...

    def restrictions(self, caller: str) -> tuple[Denial, ...]:
        """What was taken away from callers beyond the policy of the program."""
        ...

    def restrict(self, caller: str, denials: Iterable[Denial]) -> None:
        """Replace the restrictions; they narrow the program's policy and can never widen it. Raises KeyConflict."""
        ...

    def backup(self, caller: str) -> tuple[Backup, int]:
        """Copy the key store into its place for backups; also says how many old copies went. Raises StoreFull."""
        ...

    def backups(self, caller: str) -> Backups:
        """The copies that can be restored, and when the next one is due."""
        ...

    def ready(self) -> None:
        """Raises KeyUnavailable or StoreFull while an access to a key could not be recorded, so that none is had."""
        ...

    def generation(self) -> int:
        """Rises with every erasure, new data key of a subject and change of policy; cheap enough to be asked often."""
        ...

    def erased_since(self, generation: int) -> Erasures:
        """The subjects of what raised it after `generation`."""
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
