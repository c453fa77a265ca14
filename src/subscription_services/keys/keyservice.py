"""The key service, in this process: policy, hierarchy, tombstones and journal in one transaction per request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from subscription_services.kernel.clock import Clock, Random
from subscription_services.kernel.errors import DomainError

from . import erasure, hierarchy, journal
from .backup import KeyBackups
from .errors import KeyConflict, KeyPolicyRefused, SubjectErased
from .hierarchy import Hierarchy
from .model import (
    ACCOUNTING,
    AES_GCM_LIMIT,
    Backup,
    Backups,
    Erasures,
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
from .store import KeyStore, Tx

T = TypeVar("T")


class LocalKeyService:
    """Satisfies ports.KeyService; several threads and processes may each have one on the same store."""

    def __init__(
        self,
        store: KeyStore,
        root: RootProvider,
        policy: Policy,
        record_outside: erasure.ErasureFile,
        clock: Clock,
        random: Random,
        journal_window: int,
        backups: KeyBackups,
    ) -> None:
        self._store = store
        self._policy = policy
        self._outside = record_outside
        self._clock = clock
        self._random = random
        self._window = journal_window
        self._backups = backups
        self._signers: dict[tuple[str, bytes], Ed25519PrivateKey] = {}
        with store.writing() as tx:
            self._hierarchy = Hierarchy(root, erasure.store_id(tx, random), random)
            if hierarchy.purpose_of(tx, Kind.MAC, _ERASURES) is None:
                self._hierarchy.create(tx, Kind.MAC, _ERASURES, _ERASURES, 32, clock())
        self._reconcile()

    def create(self, caller: str, kind: Kind, purpose: str, name: str, length: int = 32) -> None:
        if kind is Kind.SUBJECT and (name == ACCOUNTING) != (purpose == ACCOUNTING):
            raise KeyConflict("The subject and the purpose 'accounting' belong together.")
        if not 16 <= length <= 64:
            raise KeyConflict("A key has 16 to 64 bytes.")

        def work(tx: Tx) -> None:
            self._policy.check(caller, Verb.CREATE, kind, check_name(purpose))
            existing = hierarchy.purpose_of(tx, kind, check_name(name))
            if existing is None:
                self._hierarchy.create(tx, kind, purpose, name, length, self._clock())
            elif existing != purpose:
                raise KeyConflict(f"The {kind} key {name} exists with the purpose {existing}.")

        if not (self._policy.allows(caller, Verb.CREATE, kind, purpose) and self._exists(kind, purpose, name)):
            self._journaled(caller, Verb.CREATE, kind, purpose, name, work)

    def open(self, caller: str, kind: Kind, name: str, version: int | None = None, reserve: int = 0) -> OpenedKey:
        verb = Verb.EXPORT if kind is Kind.SECRET else Verb.UNWRAP
        if kind in (Kind.SIGN, Kind.WRAP):
            raise KeyPolicyRefused(f"A {kind} key never leaves the key service.")

        def work(tx: Tx) -> OpenedKey:
            self._policy.check_any(caller, verb, kind)
            key = hierarchy.find(tx, kind, check_name(name), version)
            self._policy.check(caller, verb, kind, key.purpose)
            if reserve:
                if key.uses + reserve > AES_GCM_LIMIT:
                    key = self._hierarchy.create(tx, kind, key.purpose, name, 32, self._clock())
                self._hierarchy.reserve(tx, key, reserve)
            return OpenedKey(key.purpose, key.version, self._hierarchy.unwrap(tx, key), reserve)

        return self._journaled(caller, verb, kind, "", name, work)

    def destroy(self, caller: str, subject: str, reason: str) -> None:
        def work(tx: Tx) -> None:
            self._policy.check_any(caller, Verb.DESTROY, Kind.SUBJECT)
            purpose = hierarchy.purpose_of(tx, Kind.SUBJECT, check_name(subject))
            if purpose is not None:
                self._policy.check(caller, Verb.DESTROY, Kind.SUBJECT, purpose)
            erasure.erase(tx, subject, purpose or "", reason, self._clock())

        self._journaled(caller, Verb.DESTROY, Kind.SUBJECT, "", subject, work)
        self._reconcile()
        self._store.forget_deleted()

    def sign(self, caller: str, purpose: str, message: bytes) -> bytes:
        def work(tx: Tx) -> bytes:
            self._policy.check(caller, Verb.SIGN, Kind.SIGN, purpose)
            return self._signer(tx, purpose, None).sign(message)

        return self._journaled(caller, Verb.SIGN, Kind.SIGN, purpose, purpose, work)

    def public_key(self, caller: str, purpose: str, version: int | None = None) -> bytes:
        def work(tx: Tx) -> bytes:
            self._policy.check(caller, Verb.PUBLISH, Kind.SIGN, purpose)
            return self._signer(tx, purpose, version).public_key().public_bytes_raw()

        return self._journaled(caller, Verb.PUBLISH, Kind.SIGN, purpose, purpose, work)

    def wrap(self, caller: str, purpose: str, context: bytes, key: bytes) -> bytes:
        def work(tx: Tx) -> bytes:
            self._policy.check(caller, Verb.WRAP, Kind.WRAP, check_name(purpose))
            return self._hierarchy.wrap_foreign(tx, purpose, context, key, self._clock())

        return self._journaled(caller, Verb.WRAP, Kind.WRAP, purpose, "", work)

    def unwrap(self, caller: str, purpose: str, context: bytes, wrapped: bytes) -> bytes:
        def work(tx: Tx) -> bytes:
            self._policy.check(caller, Verb.UNWRAP, Kind.WRAP, purpose)
            return self._hierarchy.unwrap_foreign(tx, purpose, context, wrapped)

        return self._journaled(caller, Verb.UNWRAP, Kind.WRAP, purpose, "", work)

    def rotate(self, caller: str, purpose: str) -> int:
        def work(tx: Tx) -> int:
            self._policy.check(caller, Verb.ROTATE, None, "rotation")
            return self._hierarchy.rotate(tx, check_name(purpose), self._clock())

        return self._journaled(caller, Verb.ROTATE, None, purpose, "", work)

    def rewrap(self, caller: str, purpose: str, limit: int = 100) -> int:
        def work(tx: Tx) -> int:
            self._policy.check(caller, Verb.ROTATE, None, "rotation")
            moved, left = self._hierarchy.rewrap(tx, purpose, limit, self._clock())
            for key in moved:
                self._record(tx, caller, Verb.WRAP, key.kind, purpose, key.name, Outcome.ALLOWED)
            return left

        return self._journaled(caller, Verb.ROTATE, None, purpose, "", work)

    def backup(self, caller: str) -> tuple[Backup, int]:
        self._journaled(caller, Verb.EXPORT, None, "backup", "", lambda _: self._check_backup(caller, Verb.EXPORT))
        return self._backups.make(self._clock())

    def backups(self, caller: str) -> Backups:
        if not self._policy.allows(caller, Verb.PUBLISH, None, "backup"):
            # Only refusals are recorded: to know which copies there are opens nothing.
            self._journaled(
                caller, Verb.PUBLISH, None, "backup", "", lambda _: self._check_backup(caller, Verb.PUBLISH)
            )
        return self._backups.listed(self._clock())

    def generation(self) -> int:
        return self._store.generation()

    def erased_since(self, generation: int) -> Erasures:
        with self._store.reading() as tx:
            return erasure.since(tx, generation)

    def tombstones(self, caller: str) -> tuple[Tombstone, ...]:
        def work(tx: Tx) -> tuple[Tombstone, ...]:
            self._policy.check(caller, Verb.EXPORT, None, "tombstones")
            return erasure.tombstones(tx)

        return self._journaled(caller, Verb.EXPORT, None, "tombstones", "", work)

    def replay_tombstones(self, caller: str, tombstones: Iterable[Tombstone]) -> int:
        def work(tx: Tx) -> int:
            self._policy.check(caller, Verb.DESTROY, None, "tombstones")
            return len(erasure.replay(tx, tombstones))

        replayed = self._journaled(caller, Verb.DESTROY, None, "tombstones", "", work)
        self._reconcile()
        self._store.forget_deleted()
        return replayed

    def drain_journal(self, caller: str, limit: int) -> tuple[JournalBatch, ...]:
        self._check_journal(caller)
        with self._store.writing() as tx:
            return journal.drain(tx, self._random, limit)

    def acknowledge(self, caller: str, batch_id: str) -> None:
        self._check_journal(caller)
        with self._store.writing() as tx:
            journal.acknowledge(tx, batch_id)

    def journal_refusal(self, client: str, name: str, wanted: str) -> None:
        """Record that a client of the service's listener was turned away before any policy was asked."""
        with self._store.writing() as tx:
            self._record(tx, client, Verb.CALL, None, wanted, name, Outcome.REFUSED)

    def close(self) -> None:
        self._store.close()

    def _check_backup(self, caller: str, verb: Verb) -> None:
        self._policy.check(caller, verb, None, "backup")

    def _check_journal(self, caller: str) -> None:
        """Only refusals are recorded: an entry per drain would never let the journal run empty."""
        try:
            self._policy.check(caller, Verb.JOURNAL, None, "journal")
        except KeyPolicyRefused:
            self._journaled(caller, Verb.JOURNAL, None, "journal", "", self._refuse)

    def _refuse(self, tx: Tx) -> None:
        raise KeyPolicyRefused("Only the ledger may take the journal of key accesses.")

    def _exists(self, kind: Kind, purpose: str, name: str) -> bool:
        """Asked before creating: to find a key there is no access to it."""
        with self._store.reading() as tx:
            return hierarchy.purpose_of(tx, kind, check_name(name)) == purpose

    def _signer(self, tx: Tx, purpose: str, version: int | None) -> Ed25519PrivateKey:
        key = hierarchy.find(tx, Kind.SIGN, purpose, version)
        signer = self._signers.get((purpose, key.wrapped))
        if signer is None:
            signer = Ed25519PrivateKey.from_private_bytes(self._hierarchy.unwrap(tx, key))
            self._signers[purpose, key.wrapped] = signer
        return signer

    def _journaled(
        self, caller: str, verb: Verb, kind: Kind | None, purpose: str, name: str, work: Callable[[Tx], T]
    ) -> T:
        """Do `work` and record it in one transaction; a refusal undoes the work and is recorded all the same.

        When the record cannot be written nothing is handed out.
        """
        failure: DomainError
        with self._store.writing() as tx:
            tx.execute("SAVEPOINT access")
            try:
                result = work(tx)
            except DomainError as error:
                tx.execute("ROLLBACK TO access")
                failure = error
                self._record(tx, caller, verb, kind, purpose, name, _OUTCOMES.get(type(error), Outcome.FAILED))
            else:
                self._record(tx, caller, verb, kind, purpose, name, Outcome.ALLOWED)
                return result
        raise failure

    def _record(
        self, tx: Tx, caller: str, verb: Verb, kind: Kind | None, purpose: str, name: str, outcome: Outcome
    ) -> None:
        if kind is Kind.SUBJECT and not purpose:
            purpose = hierarchy.purpose_of(tx, kind, name) or erasure.purpose_of(tx, name) or ""
        journal.record(tx, self._window, self._clock(), caller, verb, kind, purpose or name, name, outcome)

    def _reconcile(self) -> None:
        """Bring the tombstones in the store and those in the file outside it to the same set."""
        with self._store.writing() as tx:
            mac_key = self._hierarchy.unwrap(tx, hierarchy.find(tx, Kind.MAC, _ERASURES))
            for again in self._outside.reconcile(tx, mac_key):
                self._record(tx, "keys", Verb.DESTROY, Kind.SUBJECT, again.purpose, again.subject, Outcome.ALLOWED)


_ERASURES = "keys.erasures"
_OUTCOMES: dict[type[DomainError], Outcome] = {
    KeyPolicyRefused: Outcome.REFUSED,
    SubjectErased: Outcome.ERASED,
}
