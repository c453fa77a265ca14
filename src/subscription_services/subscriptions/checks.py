"""Live checks of the promises about subscriptions."""

from __future__ import annotations

from subscription_services.kernel.checks import Check


def checks() -> list[Check]:
    """The room's checks."""
    return []
