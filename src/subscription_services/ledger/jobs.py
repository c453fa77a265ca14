"""The room's jobs: pruning, once a day."""

from __future__ import annotations

from datetime import timedelta

from subscription_services.jobs import JobKind, Schedule
from subscription_services.kernel.perform import Kernel, perform

from .retention import ACTOR, Prune, Pruned, prune


async def _handle(kernel: Kernel, job: Prune) -> None:
    more = True
    while more:
        done: Pruned = await perform(kernel, prune, ACTOR, job)
        more = done.more


def kinds() -> list[JobKind]:
    """The pruning job."""
    return [JobKind("ledger.prune", Prune, _handle)]


SCHEDULES = (Schedule("ledger.prune", timedelta(days=1), lambda now: Prune()),)
