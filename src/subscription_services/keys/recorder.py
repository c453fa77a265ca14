"""Work on keys together with its record: both are durable or neither is, and nothing is handed out without."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from typing import TypeVar, cast

import structlog

from subscription_services.kernel.clock import Clock
from subscription_services.kernel.errors import DomainError, KeyUnavailable, StoreFull

from . import erasure, hierarchy, journal
from .errors import KeyPolicyRefused, SubjectErased
from .model import Kind, Outcome, Verb
from .policy import Policy
from .settings import KeySettings
from .store import KeyStore, Tx

T = TypeVar("T")
LOOK_EVERY = 500
"""Records of this process between two looks at how many entries wait."""
log = structlog.get_logger("keys.audit")
_OUTCOMES: dict[type[DomainError], Outcome] = {
    KeyPolicyRefused: Outcome.REFUSED,
    SubjectErased: Outcome.ERASED,
}


class Recorder:
    """Safe for threads."""

    def __init__(self, store: KeyStore, policy: Policy, clock: Clock, settings: KeySettings) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock
        self._window = settings.journal_window
        self._limit = settings.journal_entries
        self._records = count(1)
        self._lock = threading.Lock()
        self._out_since: datetime | None = None
        self._turned_away = 0

    def journaled(
        self, caller: str, verb: Verb, kind: Kind | None, purpose: str, name: str, work: Callable[[Tx], T],
        count: int = 1,
    ) -> T:  # fmt: skip
        """Do `work` and record it in one transaction; a refusal undoes the work and is recorded all the same.

        When the record cannot be written nothing is handed out. Raises KeyUnavailable, StoreFull.
        """
        with self.writing() as tx:
            result, failure = self.attempt(tx, caller, verb, kind, purpose, name, work, count)
        if failure is not None:
            raise failure
        return cast(T, result)

    def attempt(
        self,
        tx: Tx,
        caller: str,
        verb: Verb,
        kind: Kind | None,
        purpose: str,
        name: str,
        work: Callable[[Tx], T],
        count: int = 1,
    ) -> tuple[T | None, DomainError | None]:
        """One of several in a transaction, with its record; nothing may be handed out before the transaction ended."""
        tx.execute("SAVEPOINT access")
        try:
            result = work(tx)
        except DomainError as error:
            tx.execute("ROLLBACK TO access")
            tx.execute("RELEASE access")
            self.record(tx, caller, verb, kind, purpose, name, _OUTCOMES.get(type(error), Outcome.FAILED), count)
            return None, error
        tx.execute("RELEASE access")
        self.record(tx, caller, verb, kind, purpose, name, Outcome.ALLOWED, count)
        return result, None

    def record(
        self, tx: Tx, caller: str, verb: Verb, kind: Kind | None, purpose: str, name: str, outcome: Outcome,
        count: int = 1,
    ) -> None:  # fmt: skip
        """Record an access in the transaction that carries it."""
        if kind is Kind.SUBJECT and not purpose:
            purpose = hierarchy.purpose_of(tx, kind, name) or erasure.purpose_of(tx, name) or ""
        known = caller in self._policy.callers
        journal.record(
            tx, self._window, self._clock(), caller, verb, kind, purpose or name, name, outcome, count, known
        )
        if next(self._records) % min(LOOK_EVERY, self._limit) == 0 and journal.waiting(tx) > self._limit:
            journal.fold(tx)
            log.error("journal.folded", entries=journal.waiting(tx), limit=self._limit)

    @contextmanager
    def writing(self) -> Iterator[Tx]:
        """A transaction of the store; its failing is the alarm that accesses cannot be recorded."""
        try:
            with self._store.writing() as tx:
                recovered = self._note_recovery(tx)
                yield tx
        except (KeyUnavailable, StoreFull) as error:
            self._note_outage(error)
            raise
        if recovered:
            self._forget_outage(recovered)

    def _note_outage(self, error: DomainError) -> None:
        with self._lock:
            self._turned_away += 1
            if self._out_since is not None:
                return
            self._out_since = self._clock()
        log.error("audit.unwritable", says=error.text, what="no key is handed out until accesses can be recorded")

    def _note_recovery(self, tx: Tx) -> int:
        """The first transaction that can be written again says in the journal how many could not before."""
        with self._lock:
            turned_away, since = self._turned_away, self._out_since
        if since is None:
            return 0
        journal.record(
            tx, self._window, self._clock(), "keys", Verb.JOURNAL, None, "journal",
            f"unwritable-since-{since:%Y%m%dT%H%M%SZ}", Outcome.FAILED, turned_away,
        )  # fmt: skip
        return turned_away

    def _forget_outage(self, told: int) -> None:
        with self._lock:
            self._turned_away -= told
            if self._turned_away <= 0:
                self._turned_away, self._out_since = 0, None
        log.info("audit.writable", turned_away=told)
