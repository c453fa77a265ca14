"""Ends what was cancelled once its last period is over."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import structlog

from subscription_services.jobs import JobKind, Schedule
from subscription_services.kernel.actors import System
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.perform import Kernel, perform

from .operations import finish
from .queries import due_to_end
from .requests import OneSubscription

log = structlog.get_logger("subscriptions")
ENDING = System("subscriptions.ending")


class EndDue(msgspec.Struct, frozen=True):
    """Job: end the cancelled subscriptions whose time has come."""


async def end_due(kernel: Kernel, job: EndDue) -> None:
    now = kernel.clock()
    for identifier in await kernel.store.read(lambda connection: due_to_end(connection, now)):
        try:
            await perform(kernel, finish, ENDING, OneSubscription(identifier))
        except DomainError as error:  # recorded; the others do not wait for it, and the next round tries again
            log.warning("subscriptions.round", object=identifier, error=error.code)


def kinds() -> list[JobKind]:
    """The kinds of jobs of this room."""
    return [JobKind("subscriptions.end_due", EndDue, end_due)]


SCHEDULES = (Schedule("subscriptions.end_due", timedelta(minutes=5), lambda now: EndDue()),)
