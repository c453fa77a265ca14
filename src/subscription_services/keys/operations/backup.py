"""Backups of the wrapped keys: making one, looking at what there is, and the record of a restore."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, cast

import msgspec
from msgspec import Meta

from subscription_services.kernel.actors import Role
from subscription_services.kernel.context import Context
from subscription_services.kernel.events import Detail
from subscription_services.kernel.needs import approvals, recent_sign_in
from subscription_services.kernel.operations import Change, Limit, Prepared, Seen, SystemOnly, operation
from subscription_services.kernel.personal import NotPersonal
from subscription_services.kernel.transaction import Reading, ReadTransaction, Transaction
from subscription_services.keys.model import Backup
from subscription_services.keys.sealing import CallerKeys

KEEPERS = (Role.SECURITY, Role.OPERATIONS, Role.ADMINISTRATOR)
Word = Annotated[str, Meta(max_length=200)]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Count = Annotated[int, Meta(ge=0)]


class BackUp(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Copy the key store now."""


class ListBackups(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which copies there are."""


class BackupMade(msgspec.Struct, frozen=True):
    """`size` in bytes; `removed` is how many old copies went."""

    name: Annotated[str, NotPersonal("a file's name")]
    made_at: datetime
    size: int
    removed: int


class BackupList(msgspec.Struct, frozen=True):
    """Newest first. None is kept longer than `keep_days`; the next one is due at `due_at`."""

    copies: list[Backup]
    due_at: datetime
    keep_days: int
    place: str


class Restore(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A copy that is to take the store's place. `digest` is the SHA-256 of its file, in hexadecimal."""

    digest: Digest
    made_at: datetime
    keys: Count


class RecordRestore(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the copy that is about to take the store's place does.

    `lost` counts keys that only the store before had, None where that does not open any more.
    """

    digest: Digest
    lost: Count | None
    erased_again: Count
    erasures_from: Word


@dataclass(frozen=True, slots=True)
class _Made:
    copy: Backup
    removed: int


def _copy(reading: Reading, ctx: Context, request: BackUp) -> _Made:
    """Copying takes as long as the store is large, so it happens before the transaction."""
    with reading() as tx:
        keys = cast("CallerKeys", tx.keys)
    return _Made(*keys.backup())


@operation(
    "keys.backup", by=[*KEEPERS, SystemOnly("the schedule of backups")], prepare=Prepared(_copy),
    limits=[Limit(30, 3600, "actor")],
)  # fmt: skip
def back_up(tx: Transaction, ctx: Context, request: BackUp, made: _Made) -> Change[BackupMade]:
    """Copy the wrapped keys to their place for backups, and remove the copies that are too old."""
    copy = made.copy
    return Change(
        None, BackupMade(copy.name, copy.made_at, copy.size, made.removed), object=copy.name,
        details={"made_at": copy.made_at.isoformat(), "size": copy.size, "removed": made.removed},
    )  # fmt: skip


@operation("keys.backups", by=KEEPERS)
def backups(tx: ReadTransaction, ctx: Context, request: ListBackups) -> Seen[BackupList]:
    """List the copies of the wrapped keys, and when the next one is due."""
    found = cast("CallerKeys", tx.keys).backups()
    return Seen(BackupList(list(found.copies), found.due_at, found.keep_days, found.place))


@operation("keys.restore", by=KEEPERS, needs=[recent_sign_in, approvals(1)])
def restore(tx: Transaction, ctx: Context, request: Restore) -> Change[Restore]:
    """Allow a copy of the wrapped keys to take the store's place; `subs keys restore` puts it there afterwards."""
    details: dict[str, Detail] = {"made_at": request.made_at.isoformat(), "keys": request.keys}
    return Change(None, request, object=request.digest, details=details)


@operation("keys.record_restore", by=[SystemOnly("`subs keys restore`, before the copy takes the store's place")])
def record_restore(tx: Transaction, ctx: Context, request: RecordRestore) -> Change[RecordRestore]:
    """Record what a copy of the wrapped keys that takes the store's place loses and erases again, before it does."""
    details: dict[str, Detail] = {
        "lost": request.lost, "erased_again": request.erased_again, "erasures_from": request.erasures_from,
    }  # fmt: skip
    return Change(None, request, object=request.digest, details=details)


OPERATIONS = (back_up, backups, restore, record_restore)
