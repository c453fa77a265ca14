"""The registry of the whole house, for tests that need no store."""

from __future__ import annotations

from subscription_services import app
from subscription_services.kernel.operations import Registry


def registry() -> Registry:
    """Every operation of the house."""
    return Registry(app.OPERATIONS)
