"""The part of the key service that looks after keys rather than using them: rotation, renewal, restrictions."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TypeVar

from subscription_services.kernel.clock import Clock
from subscription_services.kernel.errors import TooLarge

from . import hierarchy, journal, restrictions, rotation
from . import renewal as renewal_of
from .errors import KeyPolicyRefused
from .hierarchy import Hierarchy
from .model import Kind, Outcome, Verb, check_name
from .policy import Policy
from .ports import MANY, RootProvider
from .recorder import Recorder
from .states import DataKey, Denial, KeyStates, Reason, RotationRule
from .store import KeyStore, Tx

T = TypeVar("T")


class Management:
    """See ports.KeyService; LocalKeyService makes and holds the parts."""

    _store: KeyStore
    _root: RootProvider
    _policy: Policy
    _clock: Clock
    _rule: RotationRule
    _recorder: Recorder
    _hierarchy: Hierarchy

    def rotate(self, caller: str, purpose: str, after: int | None = None, reason: Reason = Reason.DEMAND) -> int:
        def work(tx: Tx) -> int:
            self._check(tx, caller, Verb.ROTATE, None, "rotation")
            newest = hierarchy.newest_kek(tx, check_name(purpose))
            if after is not None and newest != after:
                return newest
            return self._hierarchy.rotate(tx, purpose, self._clock(), reason)

        return self._recorder.journaled(caller, Verb.ROTATE, None, purpose, "", work)

    def rewrap(self, caller: str, purpose: str, limit: int = 100) -> int:
        def work(tx: Tx) -> int:
            self._check(tx, caller, Verb.ROTATE, None, "rotation")
            moved, left = self._hierarchy.rewrap(tx, purpose, max(1, min(limit, MANY)), self._clock())
            if moved:
                self._recorder.record(tx, caller, Verb.WRAP, None, purpose, "", Outcome.ALLOWED, moved)
            return left

        return self._recorder.journaled(caller, Verb.ROTATE, None, purpose, "", work)

    def retire(self, caller: str, purpose: str, version: int | None = None) -> tuple[int, ...]:
        def work(tx: Tx) -> tuple[int, ...]:
            self._check(tx, caller, Verb.RETIRE, None, "rotation")
            gone = rotation.retire(tx, purpose, version, self._rule, self._clock())
            self._hierarchy.forget(tx)
            return gone

        gone = self._recorder.journaled(caller, Verb.RETIRE, None, purpose, str(version or ""), work)
        if gone:
            self._store.forget_deleted()
        return gone

    def states(self, caller: str) -> KeyStates:
        def work(tx: Tx) -> KeyStates:
            self._check(tx, caller, Verb.LIST, None, "states")
            found = rotation.purposes(tx, self._rule, self._clock())
            return KeyStates(self._root.fingerprint, self._rule, found, journal.callers(tx), journal.state(tx))

        return self._recorder.journaled(caller, Verb.LIST, None, "states", "", work)

    def data_keys(self, caller: str, purpose: str, after: str = "", limit: int = 1000) -> tuple[DataKey, ...]:
        def work(tx: Tx) -> tuple[DataKey, ...]:
            self._check(tx, caller, Verb.LIST, None, "renewal")
            return renewal_of.page(tx, purpose, after, max(1, min(limit, MANY)))

        return self._recorder.journaled(caller, Verb.LIST, Kind.SUBJECT, purpose, "", work)

    def renew(self, caller: str, renewal: str, subjects: Iterable[str]) -> int:
        names = at_once(subjects)

        def work(tx: Tx) -> int:
            self._check(tx, caller, Verb.RENEW, None, "renewal")
            return renewal_of.renew(tx, self._hierarchy, check_name(renewal), names, self._clock())

        return self._recorder.journaled(caller, Verb.RENEW, None, "renewal", _only(names), work, max(1, len(names)))

    def close_versions(self, caller: str, renewal: str, subjects: Iterable[str]) -> int:
        names = at_once(subjects)

        def work(tx: Tx) -> int:
            self._check(tx, caller, Verb.RETIRE, None, "renewal")
            return renewal_of.close(tx, check_name(renewal), names, self._clock())

        return self._recorder.journaled(caller, Verb.RETIRE, None, "renewal", _only(names), work, max(1, len(names)))

    def discard(self, caller: str, subject: str, version: int) -> None:
        def work(tx: Tx) -> None:
            self._check(tx, caller, Verb.RETIRE, None, "renewal")
            renewal_of.discard(tx, subject, version)

        self._recorder.journaled(caller, Verb.RETIRE, Kind.SUBJECT, "", subject, work)
        self._store.forget_deleted()

    def restrictions(self, caller: str) -> tuple[Denial, ...]:
        def work(tx: Tx) -> tuple[Denial, ...]:
            self._check(tx, caller, Verb.LIST, None, "policy")
            return restrictions.stored(tx)

        return self._recorder.journaled(caller, Verb.LIST, None, "policy", "", work)

    def restrict(self, caller: str, denials: Iterable[Denial]) -> None:
        wanted = at_once(denials)

        def work(tx: Tx) -> None:
            self._check(tx, caller, Verb.POLICY, None, "policy")
            restrictions.replace(tx, wanted, self._policy.callers.keys())

        self._recorder.journaled(caller, Verb.POLICY, None, "policy", "", work)

    def _check(self, tx: Tx, caller: str, verb: Verb, kind: Kind | None, purpose: str) -> None:
        """By the policy of the program, then by what was taken away from it. Raises KeyPolicyRefused."""
        self._policy.check(caller, verb, kind, purpose)
        if restrictions.denied(tx, caller, verb, kind, purpose):
            raise KeyPolicyRefused(f"{caller} was restricted: it may not {verb} {kind or 'journal'} {purpose}.")

    def _rotated(self, tx: Tx, purpose: str, reason: Reason) -> None:
        """A version that nobody asked for is recorded as well."""
        if reason is Reason.BOUND:
            self._recorder.record(tx, "keys", Verb.ROTATE, None, purpose, "bound", Outcome.ALLOWED)


def at_once(items: Iterable[T]) -> tuple[T, ...]:
    """Raises TooLarge for more than one call takes."""
    found = tuple(islice(items, MANY + 1))
    if len(found) > MANY:
        raise TooLarge(f"One call takes at most {MANY}.")
    return found


def _only(names: tuple[str, ...]) -> str:
    """The name that a record can bear: that of one subject; many are told by their number."""
    return names[0] if len(names) == 1 else ""
