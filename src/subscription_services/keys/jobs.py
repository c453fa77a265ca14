"""The room's jobs: the journal of key accesses comes into the log (each batch at least once, and once only by its id),
copies are made, keys are rotated."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from subscription_services.jobs import JobKind, Schedule
from subscription_services.kernel.actors import System
from subscription_services.kernel.context import Context
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.operations import Change, SystemOnly, operation
from subscription_services.kernel.perform import Kernel, perform
from subscription_services.kernel.transaction import Transaction

from .operations import backup, probing, reencryption, restrictions, roots, rotation
from .reencrypting import reencrypt_on
from .states import PurposeState, VersionState

BATCH = 200
EARLY = timedelta(minutes=5)
Word = Annotated[str, Meta(max_length=200)]


class RecordAccess(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Equal accesses to one key within a window, counted."""

    caller: Word
    verb: Word
    kind: Word
    purpose: Word
    name: Word
    outcome: Word
    count: int
    first_at: datetime
    last_at: datetime


class BackUpWhenDue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Job: copy the wrapped keys when that is due."""


class RotateWhenDue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Job: new versions where they are due, data keys moved to the newest ones, old ones destroyed."""


class DrainJournal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Job: move what the key service journaled into the log."""


@operation("keys.record_access", by=[SystemOnly("the key service's own journal")])
def record_access(tx: Transaction, ctx: Context, request: RecordAccess) -> Change[RecordAccess]:
    """Record who used which key, for what, how often, and whether it was allowed."""
    return Change(
        None, request, object=request.name[:120],
        details={
            "caller": request.caller, "verb": request.verb, "kind": request.kind, "purpose": request.purpose,
            "outcome": request.outcome, "count": request.count, "first_at": request.first_at.isoformat(),
            "last_at": request.last_at.isoformat(),
        },
    )  # fmt: skip


async def drain_journal(kernel: Kernel, payload: DrainJournal) -> None:
    """Each entry becomes one event; its idempotency key is the batch's id, so a repeated batch adds nothing."""
    keys: Any = kernel.keys.for_caller("ledger")
    while True:
        batches = keys.drain_journal(BATCH)
        for batch in batches:
            for number, entry in enumerate(batch.entries):
                request = RecordAccess(
                    caller=entry.caller, verb=str(entry.verb), kind=str(entry.kind or ""), purpose=entry.purpose,
                    name=entry.name, outcome=str(entry.outcome), count=entry.count, first_at=entry.first_at,
                    last_at=entry.last_at,
                )  # fmt: skip
                key = f"{batch.id}:{number}"
                await perform(kernel, record_access, System("keys.journal"), request, idempotency_key=key)
            keys.acknowledge(batch.id)
        if sum(len(batch.entries) for batch in batches) < BATCH:
            return


async def back_up_when_due(kernel: Kernel, payload: BackUpWhenDue) -> None:
    """Make a copy where the newest one is older than the setting, a little early rather than a round late."""
    keys: Any = kernel.keys.for_caller("keys")
    if keys.backups().due_at - EARLY <= kernel.clock():
        await perform(kernel, backup.back_up, System("keys.backup"), backup.BackUp())


async def rotate_when_due(kernel: Kernel, payload: RotateWhenDue) -> None:
    """What one purpose cannot have done now does not keep the others from it; its error is raised at the end."""
    keys: Any = kernel.keys.for_caller("keys")
    failures = []
    for state in keys.states().purposes:
        try:
            await _look_after(kernel, state)
        except DomainError as error:
            failures.append(error)
    if failures:
        raise failures[0]


async def _look_after(kernel: Kernel, state: PurposeState) -> None:
    now, actor = kernel.clock(), System("keys.rotation")
    if state.rotation_due is not None and state.rotation_due <= now:
        due = rotation.RotateWhenDue(state.purpose, state.versions[0].version)
        await perform(kernel, rotation.rotate_when_due, actor, due)
    elif state.rewrapping is not None and state.rewrapping.left:
        await move_keys(kernel, rotation.MoveKeys(state.purpose))
    if any(v.state is VersionState.DECRYPT_ONLY and v.retire_at and v.retire_at <= now for v in state.versions):
        await perform(kernel, rotation.retire, actor, rotation.Retire(state.purpose))


async def move_keys(kernel: Kernel, payload: rotation.MoveKeys) -> None:
    """To the last key. What a stopped worker leaves is taken up where it was: each key is under one version."""
    left = 1
    while left:
        moved = await perform(kernel, rotation.rewrap, System("keys.rotation"), rotation.Rewrap(payload.purpose))
        left = moved.left


OPERATIONS = (
    record_access,
    *backup.OPERATIONS,
    *roots.OPERATIONS,
    *rotation.OPERATIONS,
    *reencryption.OPERATIONS,
    *restrictions.OPERATIONS,
    *probing.OPERATIONS,
)
SCHEDULES = (
    Schedule("keys.drain_journal", timedelta(minutes=1), lambda now: DrainJournal()),
    Schedule("keys.backup", 2 * EARLY, lambda now: BackUpWhenDue()),
    Schedule("keys.rotation", 2 * EARLY, lambda now: RotateWhenDue()),
)


def kinds() -> list[JobKind]:
    """The room's kinds of jobs."""
    return [
        JobKind("keys.drain_journal", DrainJournal, drain_journal),
        JobKind("keys.backup", BackUpWhenDue, back_up_when_due, attempts=4, lease=timedelta(minutes=5)),
        JobKind("keys.rotation", RotateWhenDue, rotate_when_due, attempts=4, lease=timedelta(minutes=30)),
        JobKind("keys.reencrypt", reencryption.Continue, reencrypt_on, attempts=30, lease=timedelta(minutes=30)),
        JobKind("keys.move", rotation.MoveKeys, move_keys, attempts=30, lease=timedelta(minutes=30)),
    ]
