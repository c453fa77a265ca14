"""Names, records and tables of the key store.

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
    """What a caller can ask of the key service; also the verb in the journal."""

    CREATE = "create"
    UNWRAP = "unwrap"
    WRAP = "wrap"
    SIGN = "sign"
    PUBLISH = "publish"
    EXPORT = "export"
    DESTROY = "destroy"
    ROTATE = "rotate"
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
    """The subjects erased after some generation, and the generation now."""

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


SCHEMA_VERSION = 1
SCHEMA = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID",
    """CREATE TABLE kek (
        purpose TEXT NOT NULL,
        version INTEGER NOT NULL CHECK (version >= 1),
        wrapped BLOB NOT NULL,
        uses INTEGER NOT NULL DEFAULT 0 CHECK (uses BETWEEN 0 AND 4294967296),
        created_at TEXT NOT NULL,
        PRIMARY KEY (purpose, version)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE data_key (
        kind TEXT NOT NULL CHECK (kind IN ('subject', 'index', 'mac', 'sign', 'secret')),
        name TEXT NOT NULL,
        version INTEGER NOT NULL CHECK (version >= 1),
        purpose TEXT NOT NULL,
        kek_version INTEGER NOT NULL,
        wrapped BLOB NOT NULL,
        uses INTEGER NOT NULL DEFAULT 0 CHECK (uses BETWEEN 0 AND 4294967296),
        created_at TEXT NOT NULL,
        PRIMARY KEY (kind, name, version),
        FOREIGN KEY (purpose, kek_version) REFERENCES kek (purpose, version)
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX data_key_by_kek ON data_key (purpose, kek_version)",
    """CREATE TABLE tombstone (
        generation INTEGER PRIMARY KEY,
        subject TEXT NOT NULL UNIQUE,
        purpose TEXT NOT NULL,
        reason TEXT NOT NULL,
        destroyed_at TEXT NOT NULL
    ) STRICT""",
    """CREATE TRIGGER tombstone_stays BEFORE DELETE ON tombstone
        BEGIN SELECT RAISE(ABORT, 'a tombstone stays'); END""",
    """CREATE TRIGGER tombstone_is_final BEFORE UPDATE ON tombstone
        BEGIN SELECT RAISE(ABORT, 'a tombstone is final'); END""",
    """CREATE TRIGGER erased_stays_erased BEFORE INSERT ON data_key
        WHEN NEW.kind = 'subject' AND EXISTS (SELECT 1 FROM tombstone WHERE subject = NEW.name)
        BEGIN SELECT RAISE(ABORT, 'the subject was erased'); END""",
    """CREATE TABLE journal (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        batch TEXT,
        window INTEGER NOT NULL,
        caller TEXT NOT NULL,
        verb TEXT NOT NULL,
        kind TEXT NOT NULL,
        purpose TEXT NOT NULL,
        name TEXT NOT NULL,
        outcome TEXT NOT NULL CHECK (outcome IN ('allowed', 'refused', 'erased', 'failed')),
        count INTEGER NOT NULL CHECK (count >= 1),
        first_at TEXT NOT NULL,
        last_at TEXT NOT NULL
    ) STRICT""",
    """CREATE UNIQUE INDEX journal_open ON journal (window, caller, verb, kind, purpose, name, outcome)
        WHERE batch IS NULL""",
    "CREATE INDEX journal_by_batch ON journal (batch) WHERE batch IS NOT NULL",
)
