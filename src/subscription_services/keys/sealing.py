"""The sealing client: AES-256-GCM with data keys that the key service hands out, kept in a bounded cache.

Sealed value: format (1 byte, 1), version of the data key (4 bytes), nonce (12), ciphertext and tag (16).
Associated data: that header, the lengths of seal id, row id and subject in code points (4 bytes each), and the
three in UTF-8.
A value opens only under the subject, seal id and row it was sealed for.
"""

from __future__ import annotations

import hmac
import threading
from collections.abc import Callable, Iterable
from itertools import count
from struct import Struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from subscription_services.kernel.clock import Random

from .cache import KeyCache
from .errors import KeyConflict, MacMismatch, NoSuchKey, SealBroken
from .model import Backup, Backups, JournalBatch, Kind, OpenedKey, Tombstone
from .ports import KeyService
from .settings import KeySettings
from .states import DataKey, Denial, KeyStates, Reason

FORMAT = 1
READY_SECONDS = 1.0
OVERHEAD = 33
"""How many bytes longer than the plaintext a sealed value is."""

_HEADER = Struct(">BI")
_bound_head = Struct(">5sIII").pack
_CURRENT = 0
_LARGEST_BLOCK = 2**16
_Address = tuple[str, str, str, int | bytes]
"""Caller, kind, name, version (or _CURRENT). The caller is part of it: nobody uses what only another may open.
The kind is its plain text: an enumeration's hash is slow. A subject's version is the header of what it sealed, so that
a value leads to its key as it is."""
_SUBJECT = Kind.SUBJECT.value


class _Key:
    """An unwrapped key in use."""

    __slots__ = ("decrypt", "encrypt", "header", "limit", "material", "purpose", "uses", "version")

    def __init__(self, opened: OpenedKey) -> None:
        self.purpose = opened.purpose
        self.version = opened.version
        self.header = _HEADER.pack(FORMAT, opened.version)
        self.material = opened.material
        aead = AESGCM(opened.material)
        self.encrypt, self.decrypt = aead.encrypt, aead.decrypt
        # next() of a count is one step of the interpreter, so threads need no lock around it.
        self.uses = count(1)
        self.limit = opened.reserved


class KeyRing:
    """Shared by a process: the connection to the key service and the cache; each caller gets its own view."""

    def __init__(self, service: KeyService, settings: KeySettings, random: Random, ticks: Callable[[], float]) -> None:
        self.service = service
        self.random = random
        self.block = settings.reserve_block
        self.cache: KeyCache[_Address, _Key] = KeyCache(settings.cache_size)
        self.ticks = ticks
        self.next_look = ticks() + settings.erasure_notice
        self._interval = settings.erasure_notice
        self._next_ready = float("-inf")
        self._generation = service.generation()
        self._lock = threading.Lock()
        self._views: dict[str, CallerKeys] = {}

    def for_caller(self, caller: str) -> CallerKeys:
        """Keys as `caller` may use them by the policy."""
        return self._views.get(caller) or self._views.setdefault(caller, CallerKeys(self, caller))

    def close(self) -> None:
        """Forget every key and close the key service; what follows raises KeyUnavailable."""
        self.cache.evict(lambda _: True)
        self.service.close()

    def check_ready(self) -> None:
        """Raises KeyUnavailable or StoreFull while an access could not be recorded; asks once a second at most."""
        if self.ticks() >= self._next_ready:
            self.service.ready()
            self._next_ready = self.ticks() + READY_SECONDS

    def look_for_erasures(self) -> None:
        """Drop what other processes destroyed. Called when `next_look` has come. Raises KeyUnavailable."""
        with self._lock:
            generation = self.service.generation()
            if generation != self._generation:
                erased = set(self.service.erased_since(self._generation).subjects)
                everything = generation < self._generation or "" in erased
                self.cache.evict(lambda address: everything or address[2] in erased)
                self._generation = generation
            self.next_look = self.ticks() + self._interval


class CallerKeys:
    """Satisfies kernel.ports.Keys. Raises KeyUnavailable, SubjectErased, KeyPolicyRefused; StoreFull on a full disk."""

    __slots__ = ("_caller", "_kept", "_known", "_ring", "_ticks", "_use")

    def __init__(self, ring: KeyRing, caller: str) -> None:
        self._ring = ring
        self._caller = caller
        self._kept, self._use, self._ticks = ring.cache.kept, ring.cache.use, ring.ticks
        self._known: set[tuple[Kind, str]] = set()

    def ensure_subject(self, subject: str, purpose: str = "subject") -> None:
        """Create the subject's data key unless it has one. Raises KeyConflict when it has another purpose."""
        ring = self._ring
        if ring.ticks() >= ring.next_look:
            ring.look_for_erasures()
        key = ring.cache.get((self._caller, _SUBJECT, subject, _CURRENT))
        if key is None or key.purpose != purpose:
            ring.service.create(self._caller, Kind.SUBJECT, purpose, subject)

    def seal(self, subject: str, seal_id: str, row_id: str, plaintext: bytes) -> bytes:
        """Seal a value for one field (`seal_id`, a permanent name) of one row of one subject."""
        ring = self._ring
        if ring.ticks() >= ring.next_look:
            ring.look_for_erasures()
        key = ring.cache.get((self._caller, _SUBJECT, subject, _CURRENT))
        if key is None:
            key = self._open(Kind.SUBJECT, subject, _CURRENT, ring.block)
        while next(key.uses) > key.limit:
            # Whoever used a block up will use more: a larger one saves durable counts.
            key = self._open(Kind.SUBJECT, subject, _CURRENT, min(key.limit * 8, _LARGEST_BLOCK) or ring.block)
        nonce = ring.random(12)
        header = key.header
        head = _bound_head(header, len(seal_id), len(row_id), len(subject))
        return header + nonce + key.encrypt(nonce, plaintext, head + f"{seal_id}{row_id}{subject}".encode())

    def unseal(self, subject: str, seal_id: str, row_id: str, sealed: bytes) -> bytes:
        """Open a sealed value. Raises SealBroken when it is not exactly what was sealed there."""
        if len(sealed) < OVERHEAD:
            raise SealBroken
        ring = self._ring
        if self._ticks() >= ring.next_look:
            ring.look_for_erasures()
        header = sealed[:5]
        address = (self._caller, _SUBJECT, subject, header)
        try:
            self._use(address)
            key = self._kept[address]
        except KeyError:
            key = self._sealed_by(subject, header)
        head = _bound_head(header, len(seal_id), len(row_id), len(subject))
        try:
            return key.decrypt(sealed[5:17], sealed[17:], head + f"{seal_id}{row_id}{subject}".encode())
        except InvalidTag:
            raise SealBroken from None

    def destroy_subject(self, subject: str, reason: str) -> None:
        """Erase: nothing sealed for the subject opens again, here at once, in other processes within the notice."""
        try:
            self._ring.service.destroy(self._caller, subject, reason)
        finally:
            # Even when it failed: it may have failed after the key was gone.
            self._ring.cache.evict(lambda address: address[1] == _SUBJECT and address[2] == subject)

    def blind_index(self, index: str, value: str) -> bytes:
        """33 bytes to look a value up by: version of the index's key, then HMAC-SHA-256. Normalise before."""
        key = self._named(Kind.INDEX, index)
        return key.version.to_bytes(1, "big") + hmac.digest(key.material, value.encode(), "sha256")

    def mac(self, purpose: str, message: bytes) -> bytes:
        """33 bytes: version of the purpose's key, then HMAC-SHA-256 (RFC 2104) of the message."""
        key = self._named(Kind.MAC, purpose)
        return key.version.to_bytes(1, "big") + hmac.digest(key.material, message, "sha256")

    def verify_mac(self, purpose: str, message: bytes, tag: bytes) -> None:
        """Raises MacMismatch; compares in constant time."""
        if len(tag) != 33 or tag[0] == 0:
            raise MacMismatch
        try:
            key = self._named(Kind.MAC, purpose, tag[0])
        except NoSuchKey:
            raise MacMismatch from None
        if not hmac.compare_digest(tag[1:], hmac.digest(key.material, message, "sha256")):
            raise MacMismatch

    def sign(self, purpose: str, message: bytes) -> bytes:
        """64 bytes, Ed25519 (RFC 8032), made inside the key service."""
        self._ensure(Kind.SIGN, purpose)
        return self._ring.service.sign(self._caller, purpose, message)

    def public_key(self, purpose: str) -> bytes:
        """The 32 raw bytes that verify `sign`. Raises NoSuchKey when nothing may create it and nobody has."""
        return self._ring.service.public_key(self._caller, purpose)

    def secret(self, purpose: str, length: int = 32) -> bytes:
        """A random key of 16 to 64 bytes, the same at every call. Raises KeyConflict for another length."""
        self._ensure(Kind.SECRET, purpose, length)
        material = self._ring.service.open(self._caller, Kind.SECRET, purpose).material
        if len(material) != length:
            raise KeyConflict(f"The secret {purpose} has {len(material)} bytes, not {length}.")
        return material

    def wrap(self, purpose: str, context: bytes, key: bytes) -> bytes:
        """Wrap a key that is kept elsewhere, bound to `context`."""
        return self._ring.service.wrap(self._caller, purpose, context, key)

    def unwrap(self, purpose: str, context: bytes, wrapped: bytes) -> bytes:
        """Raises KeyTampered when purpose, context or wrapped key differ."""
        return self._ring.service.unwrap(self._caller, purpose, context, wrapped)

    def sealing_version(self, subject: str) -> int:
        """The version under which values of this subject are sealed now. Raises SubjectErased, NoSuchKey."""
        ring = self._ring
        if ring.ticks() >= ring.next_look:
            ring.look_for_erasures()
        key = ring.cache.get((self._caller, _SUBJECT, subject, _CURRENT))
        return (key or self._open(Kind.SUBJECT, subject, _CURRENT, 0)).version

    def wrap_many(self, purpose: str, keys: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, ...]:
        """Wrap keys that are kept elsewhere, each given as context and key."""
        return self._ring.service.wrap_many(self._caller, purpose, keys)

    def unwrap_many(self, purpose: str, keys: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, ...]:
        """All of them, each given as context and wrapped key. Raises KeyTampered."""
        return self._ring.service.unwrap_many(self._caller, purpose, keys)

    def rewrap_many(self, purpose: str, keys: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, ...]:
        """The same keys under the newest version, each given as context and wrapped key. Raises KeyTampered."""
        return self._ring.service.rewrap_many(self._caller, purpose, keys)

    def rotate(self, purpose: str, after: int | None = None, reason: Reason = Reason.DEMAND) -> int:
        """Add a version of the purpose's key-encryption key, with `after` only if that is the newest; returns it."""
        return self._ring.service.rotate(self._caller, purpose, after, reason)

    def rewrap(self, purpose: str, limit: int = 100) -> int:
        """Move up to `limit` data keys to the newest version; returns how many are left."""
        return self._ring.service.rewrap(self._caller, purpose, limit)

    def retire(self, purpose: str, version: int | None = None) -> tuple[int, ...]:
        """Destroy versions that nothing depends on: those whose time has come, or this one now. Raises KeyInUse."""
        return self._ring.service.retire(self._caller, purpose, version)

    def states(self) -> KeyStates:
        """Versions, ages, uses, callers, progress."""
        return self._ring.service.states(self._caller)

    def data_keys(self, purpose: str, after: str = "", limit: int = 1000) -> tuple[DataKey, ...]:
        """The subjects with a key of this purpose whose names sort after `after`."""
        return self._ring.service.data_keys(self._caller, purpose, after, limit)

    def renew(self, renewal: str, subjects: Iterable[str]) -> int:
        """A new version of each subject's data key, once for each `renewal`."""
        made = self._ring.service.renew(self._caller, renewal, subjects)
        self._ring.look_for_erasures()
        return made

    def close_versions(self, renewal: str, subjects: Iterable[str]) -> int:
        """Only the log may open what `renewal` replaced."""
        closed = self._ring.service.close_versions(self._caller, renewal, subjects)
        self._ring.look_for_erasures()
        return closed

    def discard(self, subject: str, version: int) -> None:
        """Destroy a closed version of a subject's data key. Raises KeyInUse, NoSuchKey."""
        self._ring.service.discard(self._caller, subject, version)
        self._ring.look_for_erasures()

    def restrictions(self) -> tuple[Denial, ...]:
        """What was taken away from callers."""
        return self._ring.service.restrictions(self._caller)

    def restrict(self, denials: Iterable[Denial]) -> None:
        """Replace what is taken away from callers. Raises KeyConflict."""
        self._ring.service.restrict(self._caller, denials)
        self._ring.look_for_erasures()

    def backup(self) -> tuple[Backup, int]:
        """Copy the key store; returns the copy and how many old ones were removed. Raises StoreFull."""
        return self._ring.service.backup(self._caller)

    def backups(self) -> Backups:
        """The copies of the key store."""
        return self._ring.service.backups(self._caller)

    def tombstones(self) -> tuple[Tombstone, ...]:
        """All erasures, oldest first."""
        return self._ring.service.tombstones(self._caller)

    def replay_tombstones(self, tombstones: Iterable[Tombstone]) -> int:
        """Erase again after a restore; returns how many were not known."""
        replayed = self._ring.service.replay_tombstones(self._caller, tombstones)
        self._ring.look_for_erasures()
        return replayed

    def drain_journal(self, limit: int) -> tuple[JournalBatch, ...]:
        """Batches of key accesses for the ledger, each given again until it is acknowledged."""
        return self._ring.service.drain_journal(self._caller, limit)

    def acknowledge(self, batch_id: str) -> None:
        """Say that a batch is durable in the ledger."""
        self._ring.service.acknowledge(self._caller, batch_id)

    def _sealed_by(self, subject: str, header: bytes) -> _Key:
        """The key that sealed a value with this header."""
        form, version = _HEADER.unpack(header)
        if form != FORMAT or not 1 <= version < 2**31:
            raise SealBroken
        return self._open(Kind.SUBJECT, subject, version, 0)

    def _named(self, kind: Kind, purpose: str, version: int = _CURRENT) -> _Key:
        key = self._ring.cache.get((self._caller, kind.value, purpose, version))
        if key is None:
            self._ensure(kind, purpose)
            key = self._open(kind, purpose, version, 0)
        return key

    def _ensure(self, kind: Kind, purpose: str, length: int = 32) -> None:
        if (kind, purpose) not in self._known:
            self._ring.service.create(self._caller, kind, purpose, purpose, length)
            self._known.add((kind, purpose))

    def _open(self, kind: Kind, name: str, version: int, reserve: int) -> _Key:
        ring = self._ring
        epoch = ring.cache.epoch
        opened = ring.service.open(self._caller, kind, name, version or None, reserve)
        key = _Key(opened)
        kept = key.header if kind is Kind.SUBJECT else opened.version
        ring.cache.put((self._caller, kind.value, name, kept), key, epoch)
        if version == _CURRENT:
            ring.cache.put((self._caller, kind.value, name, _CURRENT), key, epoch)
        return key
