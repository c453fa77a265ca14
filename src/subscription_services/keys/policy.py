"""Which caller may do what with which keys. What is not listed is refused."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .errors import KeyPolicyRefused
from .model import ACCOUNTING, Kind, Verb


@dataclass(frozen=True, slots=True)
class Grant:
    """`purpose` is exact, or a room's own names as ``room.*``; `kind` None is the journal."""

    kind: Kind | None
    purpose: str
    verbs: frozenset[Verb]

    def covers(self, verb: Verb, kind: Kind | None, purpose: str) -> bool:
        if verb not in self.verbs or kind is not self.kind:
            return False
        if self.purpose.endswith(".*"):
            return purpose.startswith(self.purpose[:-1])
        return purpose == self.purpose


@dataclass(frozen=True, slots=True)
class Policy:
    callers: Mapping[str, tuple[Grant, ...]]

    def allows(self, caller: str, verb: Verb, kind: Kind | None, purpose: str) -> bool:
        return any(grant.covers(verb, kind, purpose) for grant in self.callers.get(caller, ()))

    def check(self, caller: str, verb: Verb, kind: Kind | None, purpose: str) -> None:
        """Raises KeyPolicyRefused unless a grant of the caller covers exactly this."""
        if not self.allows(caller, verb, kind, purpose):
            raise KeyPolicyRefused(f"{caller or 'a caller without name'} may not {verb} {kind or 'journal'} {purpose}.")

    def check_any(self, caller: str, verb: Verb, kind: Kind) -> None:
        """Before the purpose is known: refuse a caller that may do this with no purpose at all."""
        if not any(grant.kind is kind and verb in grant.verbs for grant in self.callers.get(caller, ())):
            raise KeyPolicyRefused(f"{caller or 'a caller without name'} may not {verb} {kind}.")


_USE = frozenset({Verb.CREATE, Verb.UNWRAP})
_READ = frozenset({Verb.UNWRAP})
_RECALL = frozenset({Verb.RECALL})
"""For who reads the log, which never changes: what it holds stays sealed under versions that were replaced."""
_SECRET = frozenset({Verb.CREATE, Verb.EXPORT})
_SIGN = frozenset({Verb.CREATE, Verb.SIGN, Verb.PUBLISH})
_ORIGIN = "origin"
"""Purpose of the keys of a period under which the log seals where anonymous refusals came from."""


def _subjects(verbs: frozenset[Verb], *purposes: str) -> tuple[Grant, ...]:
    return tuple(Grant(Kind.SUBJECT, purpose, verbs) for purpose in purposes or ("subject",))


def _own(room: str) -> tuple[Grant, ...]:
    """A room's own names: blind indexes, authentication codes, secrets, and subjects that are no person."""
    return (
        Grant(Kind.SUBJECT, f"{room}.*", _USE),
        Grant(Kind.INDEX, f"{room}.*", _USE),
        Grant(Kind.MAC, f"{room}.*", _USE),
        Grant(Kind.SECRET, f"{room}.*", _SECRET),
    )


_DESTROY = frozenset({Verb.DESTROY})

DEFAULT_POLICY = Policy(
    {
        "kernel": (*_subjects(_USE, "subject", _ORIGIN), *_own("kernel")),
        "storage": _own("storage"),
        "web": _own("web"),
        "edge": _own("edge"),
        "jobs": _own("jobs"),
        "monitoring": _own("monitoring"),
        "identity": (*_subjects(_USE), *_own("identity")),
        # identity's functions that make and find accounts of the team run in transactions of access
        # and the log is searched by an address, and personal fields are opened for an approved export, in access
        "access": (
            *_subjects(_USE),
            *_subjects(_READ, _ORIGIN),
            *_subjects(_RECALL, "subject", _ORIGIN),
            *_own("access"),
            # permits of deployments are signed statements
            Grant(Kind.SIGN, "access.deployments", _SIGN),
            Grant(Kind.INDEX, "identity.email", _USE),
            Grant(Kind.INDEX, "ledger.origin", _USE),
        ),
        "subscriptions": (*_subjects(_READ), *_own("subscriptions")),
        "billing": (*_subjects(_USE, "subject", ACCOUNTING), *_own("billing")),
        "mail": (*_subjects(_READ), *_own("mail"), Grant(Kind.SIGN, "mail.*", _SIGN)),
        "ledger": (
            *_subjects(_USE | _DESTROY, _ORIGIN),
            *_subjects(_USE),
            *_subjects(_RECALL, "subject", _ORIGIN, ACCOUNTING),
            *_own("ledger"),
            Grant(Kind.SIGN, "ledger.*", _SIGN),
            Grant(None, "journal", frozenset({Verb.JOURNAL})),
        ),
        "privacy": (*_subjects(_READ | _DESTROY), *_own("privacy")),
        "backups": (
            *_own("backups"),
            Grant(Kind.WRAP, "backups.*", frozenset({Verb.WRAP, Verb.UNWRAP})),
            Grant(None, "tombstones", frozenset({Verb.EXPORT, Verb.DESTROY})),
        ),
        "trust": (
            *_own("trust"),
            Grant(Kind.SIGN, "trust.*", _SIGN),
            Grant(Kind.SIGN, "ledger.*", frozenset({Verb.PUBLISH})),
        ),
        "keys": (
            Grant(None, "rotation", frozenset({Verb.ROTATE, Verb.RETIRE})),
            Grant(None, "renewal", frozenset({Verb.RENEW, Verb.LIST, Verb.RETIRE})),
            Grant(None, "states", frozenset({Verb.LIST})),
            Grant(None, "policy", frozenset({Verb.LIST, Verb.POLICY})),
            *_subjects(_USE, "keys.probe"),
            Grant(None, "backup", frozenset({Verb.EXPORT, Verb.PUBLISH})),
        ),
    }
)
