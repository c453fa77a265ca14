"""The team's pages of the keys."""

from __future__ import annotations

from subscription_services.web.routes import Route

from .overview import key_routes
from .reencryption import reencryption_routes


def routes() -> tuple[Route, ...]:
    """The room's pages."""
    return (*key_routes(), *reencryption_routes())


__all__ = ["routes"]
