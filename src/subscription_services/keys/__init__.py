"""Encryption at rest and key management.

The room keeps every key: a root (ports.RootProvider), versioned key-encryption keys and data keys in a store of
its own, with a policy per caller and a journal of every access. Others hold a `KeyRing` and ask it for their own
view: ``ring.for_caller("identity")`` seals, unseals, indexes and signs what the policy lets identity do.
"""

from .embedded import open_embedded
from .errors import (
    BackupRefused,
    KeyConflict,
    KeyInUse,
    KeyPolicyRefused,
    KeyStoreDamaged,
    KeyTampered,
    KeyUnavailable,
    MacMismatch,
    NoSuchKey,
    RootKeyMissing,
    RootKeyUnsafe,
    RootKeyWrong,
    SealBroken,
    SubjectErased,
)
from .model import ACCOUNTING, Backup, Backups, JournalBatch, JournalEntry, Kind, Outcome, Tombstone, Verb
from .opening import open_ring, serve_keys
from .policy import DEFAULT_POLICY, Grant, Policy
from .ports import KeyService, RootProvider
from .restore import Copy, Staged, restoring
from .sealing import CallerKeys, KeyRing
from .settings import KeySettings
from .states import CallerUse, DataKey, Denial, KeyStates, PurposeState, Reason, VersionState

__all__ = [
    "ACCOUNTING",
    "DEFAULT_POLICY",
    "Backup",
    "BackupRefused",
    "Backups",
    "CallerKeys",
    "CallerUse",
    "Copy",
    "DataKey",
    "Denial",
    "Grant",
    "JournalBatch",
    "JournalEntry",
    "KeyConflict",
    "KeyInUse",
    "KeyPolicyRefused",
    "KeyRing",
    "KeyService",
    "KeySettings",
    "KeyStates",
    "KeyStoreDamaged",
    "KeyTampered",
    "KeyUnavailable",
    "Kind",
    "MacMismatch",
    "NoSuchKey",
    "Outcome",
    "Policy",
    "PurposeState",
    "Reason",
    "RootKeyMissing",
    "RootKeyUnsafe",
    "RootKeyWrong",
    "RootProvider",
    "SealBroken",
    "Staged",
    "SubjectErased",
    "Tombstone",
    "Verb",
    "VersionState",
    "open_embedded",
    "open_ring",
    "restoring",
    "serve_keys",
]
