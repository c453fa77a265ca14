"""What the key service tells about its keys: versions, ages, uses, callers, progress. Never key material."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from .model import Kind, Verb


class VersionState(StrEnum):
    """The life of a version of a key-encryption key (compare NIST SP 800-57 part 1, section 7)."""

    ACTIVE = "active"
    DECRYPT_ONLY = "decrypt-only"
    DESTROYED = "destroyed"


class Reason(StrEnum):
    """Why a version was made."""

    FIRST = "first"
    SCHEDULE = "schedule"
    DEMAND = "demand"
    BOUND = "bound"


@dataclass(frozen=True, slots=True)
class KekVersion:
    """`uses` counts messages sealed, of at most `bound`; `data_keys` are wrapped under it now.

    `foreign_keys` counts keys wrapped for keeping elsewhere: where they are nobody knows, so the version stays.
    `retire_at` is when policy destroys it, if nothing is wrapped under it by then.
    """

    version: int
    state: VersionState
    reason: Reason
    created_at: datetime
    uses: int
    bound: int
    data_keys: int
    foreign_keys: int
    retire_at: datetime | None
    destroyed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Rewrapping:
    """How far the data keys are on their way to the newest version. `finished_at` is None while some are left."""

    version: int
    moved: int
    left: int
    started_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class PurposeState:
    """`versions` newest first, `rotation_due` None where the schedule is off."""

    purpose: str
    versions: tuple[KekVersion, ...]
    rotation_due: datetime | None
    rewrapping: Rewrapping | None


@dataclass(frozen=True, slots=True)
class CallerUse:
    """How often a caller did one thing with one purpose's keys since the store was made, and when last.

    `refused` counts tries that the policy turned away; they stand under the purpose "".
    """

    caller: str
    verb: Verb
    kind: Kind | None
    purpose: str
    count: int
    refused: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class JournalState:
    """Entries that the log does not have yet; `oldest_at` is None when it has them all.

    `folded` says that there were so many that entries of several windows were added up.
    """

    waiting: int
    oldest_at: datetime | None
    folded: bool


@dataclass(frozen=True, slots=True)
class RotationRule:
    """In days: 0 for `rotate` turns the schedule off."""

    rotate: int
    retire: int


@dataclass(frozen=True, slots=True)
class KeyStates:
    """Everything at once; `root` tells one root key from another and reveals nothing of it."""

    root: str
    rule: RotationRule
    purposes: tuple[PurposeState, ...]
    callers: tuple[CallerUse, ...]
    journal: JournalState


@dataclass(frozen=True, slots=True)
class DataKey:
    """A subject's key: its newest version, how many older ones still exist, how many of them only the log may open."""

    name: str
    purpose: str
    version: int
    older: int
    closed: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Denial:
    """What a caller may no longer do although the code would let it; `verb` None is every verb, `purpose` as in Grant
    or "*" for every purpose."""

    caller: str
    verb: Verb | None
    kind: Kind | None
    purpose: str
