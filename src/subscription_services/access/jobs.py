"""The room's jobs."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import msgspec
import structlog

from subscription_services.jobs import JobKind, Schedule
from subscription_services.kernel.actors import System
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.perform import Kernel, perform
from subscription_services.kernel.transaction import ReadTransaction

from . import disuse, export_making, uses
from .glass_jobs import GLASS_KINDS, GLASS_SCHEDULES
from .operations.unused import KeepUnused, NoteUses, keep_unused, note_uses
from .review_jobs import REVIEW_KINDS, REVIEW_SCHEDULES

PARTS = 500
"""Parts of the log that one job reads at most."""
NOTING, KEEPING = System("access.uses"), System("access.unused")
log = structlog.get_logger("access")


class NoteUsesJob(msgspec.Struct, frozen=True):
    """Job: read on in the log."""


class KeepUnusedJob(msgspec.Struct, frozen=True):
    """Job: do what is due for what nobody uses."""


async def read_on(kernel: Kernel, job: NoteUsesJob) -> None:
    """Until the end of the log, part by part. Where no new entry is of anybody on the team, nothing is written."""
    for _ in range(PARTS):
        part = await kernel.store.read(uses.read_part)
        if not part.uses and part.next - part.first < uses.BATCH:
            return
        if not (await perform(kernel, note_uses, NOTING, NoteUses())).more:
            return


async def keep_all(kernel: Kernel, job: KeepUnusedJob) -> None:
    """For each that is due; one that fails is recorded, and the next round tries again."""
    now, keys = kernel.clock(), kernel.keys.for_caller("access")
    for holder in await kernel.store.read(lambda connection: disuse.due(ReadTransaction(connection, keys), now)):
        try:
            await perform(kernel, keep_unused, KEEPING, KeepUnused(holder))
        except DomainError as error:
            log.warning("access.unused", object=holder, error=error.code)


def kinds(data: Path, product: str, version: str) -> list[JobKind]:
    """Every kind of job of this room. `data` is the data directory, where exports are kept."""
    return [
        *export_making.kinds(data, product, version),
        JobKind("access.note_uses", NoteUsesJob, read_on),
        JobKind("access.keep_unused", KeepUnusedJob, keep_all),
        *GLASS_KINDS,
        *REVIEW_KINDS,
    ]


SCHEDULES = (
    *export_making.SCHEDULES,
    Schedule("access.note_uses", timedelta(minutes=15), lambda now: NoteUsesJob()),
    Schedule("access.keep_unused", timedelta(hours=1), lambda now: KeepUnusedJob()),
    *GLASS_SCHEDULES,
    *REVIEW_SCHEDULES,
)
