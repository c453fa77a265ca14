"""Pages of the room."""

from __future__ import annotations

from subscription_services.web.routes import Route


def routes() -> tuple[Route, ...]:
    """The routes of the room."""
    return ()
