"""The settings in force in this process, told once by app.py before anything is performed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from .settings import AccessSettings


@dataclass(frozen=True, slots=True)
class Rules:
    approval: timedelta
    alone: timedelta
    task_minutes: int


_rules: list[Rules] = []


def configure(settings: AccessSettings) -> None:
    """Keep the limits."""
    _rules[:] = [
        Rules(
            timedelta(hours=settings.approval_hours), timedelta(hours=settings.alone_hours),
            settings.task_longest_minutes,
        )
    ]  # fmt: skip


def rules() -> Rules:
    """The rules in force. Raises LookupError before `configure`."""
    if not _rules:
        raise LookupError("access was not configured")
    return _rules[0]
