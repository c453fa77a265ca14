"""The pages of the toolkit itself: static files, problem types, and the components in development."""

from __future__ import annotations

from starlette.responses import Response

from subscription_services.web.call import Call
from subscription_services.web.development import components_page
from subscription_services.web.problem_kinds import KINDS
from subscription_services.web.problems import HttpProblem
from subscription_services.web.render import ASSETS
from subscription_services.web.routes import Route


async def static_file(call: Call) -> Response:
    """A file under its content hash."""
    response = ASSETS.answer(call.request)
    if response is None:
        raise HttpProblem("not-found")
    return response


async def problem_types(call: Call) -> Response:
    """All problem types."""
    return call.render("problem_types.html", kinds=sorted(KINDS.values(), key=lambda kind: kind.status))


async def problem_type(call: Call) -> Response:
    """One problem type, at the address that problem details name in `type`."""
    kind = KINDS.get(call.path("name"))
    if kind is None:
        raise HttpProblem("not-found")
    return call.render("problem_type.html", kind=kind)


async def components(call: Call) -> Response:
    """Every component with its states."""
    return components_page(call.view, call.now)


def toolkit_routes(*, development: bool) -> tuple[Route, ...]:
    """The routes of the toolkit; the component page only in development."""
    routes = (
        Route("GET", "/static/{digest}/{name:path}", static_file, reason="styles and scripts", anonymous=True),
        Route("GET", "/problems", problem_types, reason="documentation of errors"),
        Route("GET", "/problems/{name}", problem_type, reason="documentation of errors"),
    )
    if not development:
        return routes
    return (*routes, Route("GET", "/development/components", components, reason="development only"))
