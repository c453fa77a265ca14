"""Ends what was cancelled once its last period is over."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from subscription_services.jobs import JobKind, Schedule
from subscription_services.kernel.actors import System
from subscription_services.kernel.perform import Kernel, perform

from .operations import finish
from .queries import due_to_end
from .requests import OneSubscription

ENDING = System("subscriptions.ending")


class EndDue(msgspec.Struct, frozen=True):
    """Job: end the cancelled subscriptions whose time has come."""


async def end_due(kernel: Kernel, job: EndDue) -> None:
    now = kernel.clock()
    for identifier in await kernel.store.read(lambda connection: due_to_end(connection, now)):
        await perform(kernel, finish, ENDING, OneSubscription(identifier))


def kinds() -> list[JobKind]:
    """The kinds of jobs of this room."""
    return [JobKind("subscriptions.end_due", EndDue, end_due)]


SCHEDULES = (Schedule("subscriptions.end_due", timedelta(minutes=5), lambda now: EndDue()),)
