"""Live checks of the room."""

from __future__ import annotations

from subscription_services.kernel.checks import Check


def checks() -> list[Check]:
    """The checks of the room."""
    return []
