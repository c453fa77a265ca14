"""Puts the room's jobs and the processor together."""

from __future__ import annotations

from subscription_services.jobs import JobKind
from subscription_services.kernel.settings import HouseSettings

from .jobs import job_kinds
from .processor import StripeProcessor
from .settings import BillingSettings


def kinds(settings: BillingSettings, house: HouseSettings) -> list[JobKind]:
    """The kinds of jobs of this room."""
    return job_kinds(StripeProcessor(settings), settings.terms)
