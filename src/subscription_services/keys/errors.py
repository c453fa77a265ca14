"""What can go wrong with keys, in the words of key management."""

from __future__ import annotations

from subscription_services.kernel.errors import (
    Conflict,
    DomainError,
    KeyPolicyRefused,
    KeyUnavailable,
    StartError,
    SubjectErased,
)

__all__ = [
    "BackupRefused",
    "KeyConflict",
    "KeyInUse",
    "KeyPolicyRefused",
    "KeyStoreDamaged",
    "KeyTampered",
    "KeyUnavailable",
    "MacMismatch",
    "NoSuchKey",
    "RootKeyMissing",
    "RootKeyRefused",
    "RootKeyUnreachable",
    "RootKeyUnsafe",
    "RootKeyWrong",
    "SealBroken",
    "SubjectErased",
]


class NoSuchKey(KeyUnavailable):
    """The key was never created in this key store."""

    code = "no-such-key"
    message = "There is no such key."


class KeyTampered(KeyUnavailable):
    """A wrapped key does not belong where it stands: changed, moved, or wrapped under another root."""

    code = "key-tampered"
    message = "A stored key does not open where it stands: the key store was changed from outside."


class SealBroken(KeyUnavailable):
    """A sealed value was changed, cut, or moved to another field, row or subject."""

    code = "seal-broken"
    message = "A sealed value does not open: it was changed, or moved from where it was sealed."


class MacMismatch(DomainError):
    """The tag is not the one made for this message and purpose."""

    code = "mac-mismatch"
    message = "The message authentication code does not match."


class KeyConflict(Conflict):
    """A key of that name exists with another purpose or length."""

    code = "key-conflict"
    message = "A key of that name already exists for another use."


class RootKeyMissing(StartError, KeyUnavailable):
    code = "root-key-missing"
    message = "The root key is missing although a key store exists. Put the root key file back."


class RootKeyUnsafe(StartError, KeyUnavailable):
    code = "root-key-unsafe"
    message = "The root key file is not fit for use."


class RootKeyWrong(StartError, KeyUnavailable):
    code = "root-key-wrong"
    message = "Wrong key: this root key does not belong to this key store."


class BackupRefused(StartError):
    code = "key-backup-refused"
    message = "This backup of the keys cannot be restored."


class RootKeyUnreachable(StartError, KeyUnavailable):
    """At start the service does not start; later what is unwrapped already goes on working."""

    code = "root-key-unreachable"
    message = "The holder of the root key does not answer."


class RootKeyRefused(StartError, KeyUnavailable):
    """The holder of the root key answers and does not let us use it: wrong PIN, token or permission."""

    code = "root-key-refused"
    message = "The holder of the root key refuses."


class KeyStoreDamaged(StartError, KeyUnavailable):
    """Mostly found at start-up; a page that is read later can show it as well."""

    code = "key-store-damaged"
    message = "The key store is missing, cut short or damaged. Restore keys.db from its backup."


class KeyInUse(Conflict):
    """A version that other keys or data may still need is not destroyed."""

    code = "key-in-use"
    message = "This version of the key is still needed. Nothing was destroyed."
