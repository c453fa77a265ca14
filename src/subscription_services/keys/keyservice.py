"""The key service, in this process: policy, hierarchy, tombstones and journal in one transaction per request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from subscription_services.kernel.clock import Clock, Random, monotonic

from . import erasure, hierarchy, journal, restrictions
from .backup import KeyBackups
from .errors import KeyConflict, KeyPolicyRefused, NoSuchKey, SubjectErased
from .hierarchy import Hierarchy
from .management import Management, at_once
from .model import (
    ACCOUNTING,
    AES_GCM_LIMIT,
    Backup,
    Backups,
    Erasures,
    FoundKey,
    JournalBatch,
    Kind,
    OpenedKey,
    Outcome,
    Tombstone,
    Verb,
    check_name,
)
from .policy import Policy
from .ports import RootProvider
from .recorder import Recorder
from .settings import KeySettings
from .states import RotationRule
from .store import KeyStore, Tx

T = TypeVar("T")
READY_SECONDS = 1.0
"""How long an answer of `ready` is good for, since strangers may ask."""


class LocalKeyService(Management):
    """Satisfies ports.KeyService; several threads and processes may each have one on the same store."""

    def __init__(
        self,
        store: KeyStore,
        root: RootProvider,
        policy: Policy,
        record_outside: erasure.ErasureFile,
        clock: Clock,
        random: Random,
        settings: KeySettings,
        backups: KeyBackups,
        ticks: Callable[[], float] = monotonic,
    ) -> None:
        self._store = store
        self._policy = policy
        self._outside = record_outside
        self._clock = clock
        self._random = random
        self._rule = RotationRule(settings.rotate_days, settings.retire_days)
        self._root = root
        self._ticks = ticks
        self._ready_at = float("-inf")
        self._recorder = Recorder(store, policy, clock, settings)
        self._backups = backups
        self._signers: dict[tuple[str, bytes], Ed25519PrivateKey] = {}
        with store.writing() as tx:
            self._hierarchy = Hierarchy(root, erasure.store_id(tx, random), random, self._rotated)
            if hierarchy.purpose_of(tx, Kind.MAC, _ERASURES) is None:
                self._hierarchy.create(tx, Kind.MAC, _ERASURES, _ERASURES, 32, clock())
        self._reconcile()

    def create(self, caller: str, kind: Kind, purpose: str, name: str, length: int = 32) -> None:
        if kind is Kind.SUBJECT and (name == ACCOUNTING) != (purpose == ACCOUNTING):
            raise KeyConflict("The subject and the purpose 'accounting' belong together.")
        if not 16 <= length <= 64:
            raise KeyConflict("A key has 16 to 64 bytes.")

        def work(tx: Tx) -> None:
            self._check(tx, caller, Verb.CREATE, kind, check_name(purpose))
            existing = hierarchy.purpose_of(tx, kind, check_name(name))
            if existing is None:
                self._hierarchy.create(tx, kind, purpose, name, length, self._clock())
            elif existing != purpose:
                raise KeyConflict(f"The {kind} key {name} exists with the purpose {existing}.")

        if not (self._policy.allows(caller, Verb.CREATE, kind, purpose) and self._exists(caller, kind, purpose, name)):
            self._recorder.journaled(caller, Verb.CREATE, kind, purpose, name, work)

    def open(self, caller: str, kind: Kind, name: str, version: int | None = None, reserve: int = 0) -> OpenedKey:
        verb = _opening(kind)
        work = partial(self._open, caller, verb, kind, name, version, reserve)
        return self._recorder.journaled(caller, verb, kind, "", name, work)

    def open_many(self, caller: str, kind: Kind, names: Iterable[str]) -> tuple[FoundKey, ...]:
        verb, found, refusal = _opening(kind), [], None
        with self._recorder.writing() as tx:
            for name in at_once(names):
                work = partial(self._open, caller, verb, kind, name, None, 0)
                key, failure = self._recorder.attempt(tx, caller, verb, kind, "", name, work)
                if failure is not None and not isinstance(failure, SubjectErased | NoSuchKey):
                    refusal = failure
                    break
                found.append(FoundKey(name, key, isinstance(failure, SubjectErased)))
        if refusal is not None:
            raise refusal
        return tuple(found)

    def _open(
        self, caller: str, verb: Verb, kind: Kind, name: str, version: int | None, reserve: int, tx: Tx
    ) -> OpenedKey:
        self._policy.check_any(caller, verb, kind)
        key = hierarchy.find(tx, kind, check_name(name), version)
        self._check(tx, caller, Verb.RECALL if key.closed else verb, kind, key.purpose)
        if reserve:
            if key.uses + reserve > AES_GCM_LIMIT:
                key = self._hierarchy.create(tx, kind, key.purpose, name, 32, self._clock())
            self._hierarchy.reserve(tx, key, reserve)
        return OpenedKey(key.purpose, key.version, self._hierarchy.unwrap(tx, key), reserve)

    def destroy(self, caller: str, subject: str, reason: str) -> None:
        def work(tx: Tx) -> None:
            self._policy.check_any(caller, Verb.DESTROY, Kind.SUBJECT)
            purpose = hierarchy.purpose_of(tx, Kind.SUBJECT, check_name(subject))
            if purpose is not None:
                self._check(tx, caller, Verb.DESTROY, Kind.SUBJECT, purpose)
            erasure.erase(tx, subject, purpose or "", reason, self._clock())

        self._recorder.journaled(caller, Verb.DESTROY, Kind.SUBJECT, "", subject, work)
        self._reconcile()
        self._store.forget_deleted()

    def sign(self, caller: str, purpose: str, message: bytes) -> bytes:
        def work(tx: Tx) -> bytes:
            self._check(tx, caller, Verb.SIGN, Kind.SIGN, purpose)
            return self._signer(tx, purpose, None).sign(message)

        return self._recorder.journaled(caller, Verb.SIGN, Kind.SIGN, purpose, purpose, work)

    def public_key(self, caller: str, purpose: str, version: int | None = None) -> bytes:
        def work(tx: Tx) -> bytes:
            self._check(tx, caller, Verb.PUBLISH, Kind.SIGN, purpose)
            return self._signer(tx, purpose, version).public_key().public_bytes_raw()

        return self._recorder.journaled(caller, Verb.PUBLISH, Kind.SIGN, purpose, purpose, work)

    def wrap(self, caller: str, purpose: str, context: bytes, key: bytes) -> bytes:
        def work(tx: Tx) -> bytes:
            self._check(tx, caller, Verb.WRAP, Kind.WRAP, check_name(purpose))
            return self._hierarchy.wrap_foreign(tx, purpose, context, key, self._clock())

        return self._recorder.journaled(caller, Verb.WRAP, Kind.WRAP, purpose, "", work)

    def unwrap(self, caller: str, purpose: str, context: bytes, wrapped: bytes) -> bytes:
        def work(tx: Tx) -> bytes:
            self._check(tx, caller, Verb.UNWRAP, Kind.WRAP, purpose)
            return self._hierarchy.unwrap_foreign(tx, purpose, context, wrapped)

        return self._recorder.journaled(caller, Verb.UNWRAP, Kind.WRAP, purpose, "", work)

    def wrap_many(self, caller: str, purpose: str, keys: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, ...]:
        given = at_once(keys)

        def work(tx: Tx) -> tuple[bytes, ...]:
            self._check(tx, caller, Verb.WRAP, Kind.WRAP, check_name(purpose))
            now = self._clock()
            return tuple(self._hierarchy.wrap_foreign(tx, purpose, context, key, now) for context, key in given)

        return self._recorder.journaled(caller, Verb.WRAP, Kind.WRAP, purpose, "", work, max(1, len(given)))

    def unwrap_many(self, caller: str, purpose: str, keys: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, ...]:
        given = at_once(keys)

        def work(tx: Tx) -> tuple[bytes, ...]:
            self._check(tx, caller, Verb.UNWRAP, Kind.WRAP, purpose)
            return tuple(self._hierarchy.unwrap_foreign(tx, purpose, context, wrapped) for context, wrapped in given)

        return self._recorder.journaled(caller, Verb.UNWRAP, Kind.WRAP, purpose, "", work, max(1, len(given)))

    def rewrap_many(self, caller: str, purpose: str, keys: Iterable[tuple[bytes, bytes]]) -> tuple[bytes, ...]:
        given = at_once(keys)

        def work(tx: Tx) -> tuple[bytes, ...]:
            self._check(tx, caller, Verb.UNWRAP, Kind.WRAP, purpose)
            self._check(tx, caller, Verb.WRAP, Kind.WRAP, purpose)
            now, keys = self._clock(), self._hierarchy
            opened = [(context, keys.unwrap_foreign(tx, purpose, context, wrapped)) for context, wrapped in given]
            return tuple(keys.wrap_foreign(tx, purpose, context, key, now) for context, key in opened)

        return self._recorder.journaled(caller, Verb.WRAP, Kind.WRAP, purpose, "", work, max(1, len(given)))

    def backup(self, caller: str) -> tuple[Backup, int]:
        self._recorder.journaled(
            caller, Verb.EXPORT, None, "backup", "", lambda tx: self._check_backup(tx, caller, Verb.EXPORT)
        )
        return self._backups.make(self._clock())

    def backups(self, caller: str) -> Backups:
        if not self._policy.allows(caller, Verb.PUBLISH, None, "backup"):
            # Only refusals are recorded: to know which copies there are opens nothing.
            self._recorder.journaled(
                caller, Verb.PUBLISH, None, "backup", "", lambda tx: self._check_backup(tx, caller, Verb.PUBLISH)
            )
        return self._backups.listed(self._clock())

    def ready(self) -> None:
        now = self._ticks()
        if now - self._ready_at < READY_SECONDS:
            return
        with self._recorder.writing() as tx:
            tx.execute(
                "INSERT INTO meta (name, value) VALUES ('ready', ?)"
                " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (self._clock().isoformat(),),
            )
        self._ready_at = now

    def generation(self) -> int:
        return self._store.generation()

    def erased_since(self, generation: int) -> Erasures:
        with self._store.reading() as tx:
            return erasure.since(tx, generation)

    def tombstones(self, caller: str) -> tuple[Tombstone, ...]:
        def work(tx: Tx) -> tuple[Tombstone, ...]:
            self._check(tx, caller, Verb.EXPORT, None, "tombstones")
            return erasure.tombstones(tx)

        return self._recorder.journaled(caller, Verb.EXPORT, None, "tombstones", "", work)

    def replay_tombstones(self, caller: str, tombstones: Iterable[Tombstone]) -> int:
        def work(tx: Tx) -> int:
            self._check(tx, caller, Verb.DESTROY, None, "tombstones")
            return len(erasure.replay(tx, tombstones))

        replayed = self._recorder.journaled(caller, Verb.DESTROY, None, "tombstones", "", work)
        self._reconcile()
        self._store.forget_deleted()
        return replayed

    def drain_journal(self, caller: str, limit: int) -> tuple[JournalBatch, ...]:
        self._check_journal(caller)
        with self._recorder.writing() as tx:
            return journal.drain(tx, self._random, limit)

    def acknowledge(self, caller: str, batch_id: str) -> None:
        self._check_journal(caller)
        with self._recorder.writing() as tx:
            journal.acknowledge(tx, batch_id)

    def journal_refusal(self, client: str, name: str, wanted: str) -> None:
        """Record that a client of the service's listener was turned away before any policy was asked."""
        with self._recorder.writing() as tx:
            self._recorder.record(tx, client, Verb.CALL, None, wanted, name, Outcome.REFUSED)

    def close(self) -> None:
        self._store.close()

    def _check_backup(self, tx: Tx, caller: str, verb: Verb) -> None:
        self._check(tx, caller, verb, None, "backup")

    def _check_journal(self, caller: str) -> None:
        """Only refusals are recorded: an entry per drain would never let the journal run empty."""
        try:
            self._policy.check(caller, Verb.JOURNAL, None, "journal")
        except KeyPolicyRefused:
            self._recorder.journaled(caller, Verb.JOURNAL, None, "journal", "", self._refuse)

    def _refuse(self, tx: Tx) -> None:
        raise KeyPolicyRefused("Only the ledger may take the journal of key accesses.")

    def _exists(self, caller: str, kind: Kind, purpose: str, name: str) -> bool:
        """Asked before creating: to find a key there is no access to it."""
        with self._store.reading() as tx:
            if restrictions.denied(tx, caller, Verb.CREATE, kind, purpose):
                return False
            return hierarchy.purpose_of(tx, kind, check_name(name)) == purpose

    def _signer(self, tx: Tx, purpose: str, version: int | None) -> Ed25519PrivateKey:
        key = hierarchy.find(tx, Kind.SIGN, purpose, version)
        signer = self._signers.get((purpose, key.wrapped))
        if signer is None:
            signer = Ed25519PrivateKey.from_private_bytes(self._hierarchy.unwrap(tx, key))
            self._signers[purpose, key.wrapped] = signer
        return signer

    def _reconcile(self) -> None:
        """Bring the tombstones in the store and those in the file outside it to the same set."""
        with self._store.writing() as tx:
            mac_key = self._hierarchy.unwrap(tx, hierarchy.find(tx, Kind.MAC, _ERASURES))
            for again in self._outside.reconcile(tx, mac_key):
                self._recorder.record(
                    tx, "keys", Verb.DESTROY, Kind.SUBJECT, again.purpose, again.subject, Outcome.ALLOWED
                )


def _opening(kind: Kind) -> Verb:
    """Raises KeyPolicyRefused."""
    if kind in (Kind.SIGN, Kind.WRAP):
        raise KeyPolicyRefused(f"A {kind} key never leaves the key service.")
    return Verb.EXPORT if kind is Kind.SECRET else Verb.UNWRAP


_ERASURES = "keys.erasures"
