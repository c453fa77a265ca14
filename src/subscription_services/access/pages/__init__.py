"""The team console."""

from __future__ import annotations

from pathlib import Path

from subscription_services.access.operations.people import my_permissions
from subscription_services.web.routes import Route, get

from .approvals import approval_routes
from .console import team_navigation
from .deployments import deployment_routes
from .explaining import explaining_routes
from .find import find_routes
from .foresight import foresight_routes
from .glass import glass_routes
from .log import log_routes
from .log_exports import export_routes
from .overview import show_overview
from .people import people_routes
from .recoveries import recovery_routes
from .reviews import review_routes
from .scim import scim_routes
from .service_accounts import service_account_routes
from .tasks import task_routes
from .unmask import unmask_routes
from .unused import unused_routes


def routes(data: Path, public_url: str = "") -> tuple[Route, ...]:
    """The room's pages, and the SCIM endpoint. `data` is the data directory, where exports are kept."""
    return (
        get("/team", show_overview, my_permissions),
        *explaining_routes(),
        *foresight_routes(),
        *people_routes(),
        *service_account_routes(),
        *unused_routes(),
        *approval_routes(),
        *deployment_routes(),
        *task_routes(),
        *glass_routes(),
        *review_routes(),
        *log_routes(),
        *export_routes(data),
        *find_routes(),
        *unmask_routes(),
        *recovery_routes(),
        *scim_routes(public_url),
    )


__all__ = ["routes", "team_navigation"]
