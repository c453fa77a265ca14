"""Names and records of the key store; its tables are in schema.py.

The store holds only wrapped keys: key-encryption keys wrapped by the root, data keys wrapped by them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from .errors import NoSuchKey

AES_GCM_LIMIT = 2**32
"""Messages under one key with random 96-bit nonces (NIST SP 800-38D, 8.3)."""

ACCOUNTING = "accounting"
"""Reserved subject and purpose of what the law keeps; nobody can destroy it."""

COPIED_AT = "copied-at"
"""What marks a file as a copy, in its table meta; a store that bears it is not opened for use."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}")


class Kind(StrEnum):
    """What a data key is for; a key of one kind can never be used as another."""

    SUBJECT = "subject"
    INDEX = "index"
    MAC = "mac"
    SIGN = "sign"
    SECRET = "secret"  # noqa: S105
    WRAP = "wrap"


class Verb(StrEnum):
    """What a caller can ask of the key service; also the verb in the journal.

    RECALL is unwrapping a closed version of a data key.
    """

    CREATE = "create"
    UNWRAP = "unwrap"
    WRAP = "wrap"
    SIGN = "sign"
    PUBLISH = "publish"
    EXPORT = "export"
    DESTROY = "destroy"
    ROTATE = "rotate"
    RECALL = "recall"
    RENEW = "renew"
    RETIRE = "retire"
    LIST = "list"
    POLICY = "policy"
    JOURNAL = "journal"
    CALL = "call"


class Outcome(StrEnum):
    ALLOWED = "allowed"
    REFUSED = "refused"
    ERASED = "erased"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class OpenedKey:
    """An unwrapped data key; `reserved` is how many messages may be sealed with it before asking again."""

    purpose: str
    version: int
    material: bytes = field(repr=False)
    reserved: int = 0


@dataclass(frozen=True, slots=True)
class FoundKey:
    """One answer of many: `key` is None where there is none; `erased` says that its subject was erased."""

    name: str
    key: OpenedKey | None
    erased: bool = False


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The lasting mark of a destroyed subject key."""

    subject: str
    purpose: str
    reason: str
    destroyed_at: datetime
    generation: int


@dataclass(frozen=True, slots=True)
class Backup:
    """A whole copy of the key store; `size` in bytes."""

    name: str
    made_at: datetime
    size: int


@dataclass(frozen=True, slots=True)
class Backups:
    """The copies that there are, newest first; a new one is `due_at`, none is kept longer than `keep_days`."""

    copies: tuple[Backup, ...]
    due_at: datetime
    keep_days: int
    place: str


@dataclass(frozen=True, slots=True)
class Erasures:
    """The subjects erased or given a new key after some generation, and the generation now.

    The subject "" stands for all: the policy was changed.
    """

    generation: int
    subjects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """`count` accesses of one sort within one window of time."""

    caller: str
    verb: Verb
    kind: Kind | None
    purpose: str
    name: str
    outcome: Outcome
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class JournalBatch:
    """Entries that never change again; delivered until acknowledged, `id` tells repeats apart."""

    id: str
    entries: tuple[JournalEntry, ...]


def check_name(name: str) -> str:
    """Return `name` when it can name a key (ASCII letters, digits and ``._:-``, at most 200). Raises NoSuchKey."""
    if not _NAME.fullmatch(name):
        raise NoSuchKey("That cannot be the name of a key.")
    return name
