"""The room's jobs."""

from __future__ import annotations

from pathlib import Path

from subscription_services.jobs import JobKind

from . import export_making
from .review_jobs import REVIEW_KINDS, REVIEW_SCHEDULES

SCHEDULES = (*export_making.SCHEDULES, *REVIEW_SCHEDULES)


def kinds(data: Path, product: str, version: str) -> list[JobKind]:
    """All of them; see `export_making.kinds`."""
    return [*export_making.kinds(data, product, version), *REVIEW_KINDS]
