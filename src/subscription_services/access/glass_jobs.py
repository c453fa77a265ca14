"""The job that reminds of reviews which nobody has closed."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from subscription_services.jobs import JobKind, Schedule
from subscription_services.kernel.actors import System
from subscription_services.kernel.perform import Kernel, perform

from .operations.glass import RemindOfGlassReviews, remind_of_glass


class RemindOfGlass(msgspec.Struct, frozen=True):
    """Write about every review that is open."""


async def _remind(kernel: Kernel, job: RemindOfGlass) -> None:
    await perform(kernel, remind_of_glass, System("access.glass"), RemindOfGlassReviews())


GLASS_SCHEDULES = (Schedule("access.remind_of_glass", timedelta(days=1), lambda now: RemindOfGlass()),)
GLASS_KINDS = (JobKind("access.remind_of_glass", RemindOfGlass, _remind),)
