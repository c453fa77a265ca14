"""The one route table: method, path, handler, operation, permission. The application is made from it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route as StarletteRoute
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from subscription_services.kernel.operations import Operation, permission_text
from subscription_services.web.approval_page import offered
from subscription_services.web.attempts import note_attempt
from subscription_services.web.call import Call, Site, Visitor
from subscription_services.web.problems import HttpProblem, answer
from subscription_services.web.resend import as_resend, kept_form

Handler = Callable[[Call], Awaitable[Response]]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_log = structlog.get_logger("web")
_PARAMETER = re.compile(r"\{[a-z_]+(?::[a-z]+)?\}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff\ufffd]")


@dataclass(frozen=True, slots=True)
class Route:
    """One row. `reason` says why a row without operation needs none, why what is asked of a read must not stand in its
    address and is posted, or why a change comes by GET; `anonymous` skips finding out who asks; `asks_inside` leaves it
    to the operation, whose handler gives perform() the call's `asker` if there is one."""

    method: str
    path: str
    handler: Handler
    operation: Operation | None = None
    reason: str = ""
    anonymous: bool = False
    machine: bool = False
    asks_inside: bool = False

    @property
    def permission(self) -> str:
        """Who may use it, in words."""
        if self.operation is None:
            return f"anybody ({self.reason})"
        return "; ".join(permission_text(rule) for rule in self.operation.by)

    @property
    def where(self) -> str:
        """Module and name of the handler."""
        return f"{self.handler.__module__}.{getattr(self.handler, '__qualname__', 'handler')}"


def get(path: str, handler: Handler, operation: Operation | None = None, *, public: str = "") -> Route:
    """A page that is looked at. Without an operation it says in `public` why anybody may see it."""
    return Route("GET", path, handler, operation, public)


def post(path: str, handler: Handler, operation: Operation, *, machine: bool = False) -> Route:
    """A change. `machine` marks what programs call without cookies and prove otherwise (webhooks)."""
    return Route("POST", path, handler, operation, machine=machine)


class RouteTable:
    """Every route of the house. Raises ValueError for a duplicate, a POST without operation or an unclear row."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = tuple(routes)
        seen: dict[tuple[str, str], Route] = {}
        for route in self._routes:
            _check(route)
            shape = (route.method, _PARAMETER.sub("{}", route.path))
            if shape in seen:
                raise ValueError(f"{route.method} {route.path} is both {seen[shape].where} and {route.where}")
            seen[shape] = route
        self._patterns = [(StarletteRoute(route.path, _nowhere).path_regex, route) for route in self._routes]

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    def __len__(self) -> int:
        return len(self._routes)

    def find(self, method: str, path: str) -> Route | None:
        """The row that answers this request: an exact path wins over one with parameters."""
        fitting = [route for form, route in self._patterns if route.method == method.upper() and form.match(path)]
        return next((route for route in fitting if route.path == path), fitting[0] if fitting else None)

    def operation_at(self, method: str, path: str) -> Operation | None:
        """The operation that a request of this method and path asks for, if any."""
        found = self.find(method, path)
        return None if found is None else found.operation

    def machine_paths(self) -> frozenset[str]:
        """Paths that programs call without cookies (edge.csrf leaves them alone and drops their cookies)."""
        return frozenset(route.path for route in self._routes if route.machine)

    def application(self, site: Site) -> Application:
        """The ASGI application of these routes."""
        return Application(self, site)


async def _nowhere(request: Request) -> Response:
    return PlainTextResponse("", 404)


def _check(route: Route) -> None:
    if route.method not in METHODS:
        raise ValueError(f"{route.method} {route.path}: unknown method")
    if not route.path.startswith("/") or (route.path != "/" and route.path.endswith("/")):
        raise ValueError(f"{route.path}: a path starts with a slash and does not end with one")
    if route.operation is None:
        if route.method != "GET":
            raise ValueError(f"{route.method} {route.path} names no operation")
        if not route.reason:
            raise ValueError(f"GET {route.path} has no operation and does not say why anybody may see it")
    elif route.operation.changes and route.method == "GET" and not route.reason:
        raise ValueError(f"GET {route.path} would change something ({route.operation.name})")
    elif not route.operation.changes and route.method != "GET" and not (route.method == "POST" and route.reason):
        raise ValueError(f"{route.method} {route.path} names {route.operation.name}, which changes nothing")


def _changes(route: Route) -> bool:
    return route.operation is not None and route.operation.changes


class Place:
    """All methods of one path, as an ASGI application."""

    def __init__(self, site: Site, routes: Iterable[Route]) -> None:
        self._site = site
        self._by_method = {route.method: route for route in routes}
        if "GET" in self._by_method and not _changes(self._by_method["GET"]):
            self._by_method["HEAD"] = self._by_method["GET"]
        self._allow = ", ".join(sorted({*self._by_method, "OPTIONS"}))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        route = self._by_method.get(scope["method"])
        if route is not None:
            response = await _answer(self._site, route, request)
        elif scope["method"] == "OPTIONS":
            response = Response(status_code=204, headers={"Allow": self._allow})
        else:
            problem = HttpProblem("method-not-allowed", headers={"Allow": self._allow})
            response = await _refuse(self._site, request, Visitor(), problem)
        await response(scope, receive, send)


class Application:
    """Finds the place of a path: a dictionary for plain ones, Starlette's router for those with parameters."""

    def __init__(self, table: RouteTable, site: Site) -> None:
        self._site = site
        by_path: dict[str, list[Route]] = {}
        for route in table:
            by_path.setdefault(route.path, []).append(route)
        self._plain = {path: Place(site, rows) for path, rows in by_path.items() if "{" not in path}
        self._router = Router(
            [StarletteRoute(path, Place(site, rows)) for path, rows in by_path.items() if "{" in path],
            redirect_slashes=False,
            default=self._missing,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        place = self._plain.get(path)
        if place is not None:
            await place(scope, receive, send)
        elif _UNPRINTABLE.search(path):
            await self._missing(scope, receive, send)
        else:
            await self._router(scope, receive, send)

    async def _missing(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        response = await _refuse(self._site, request, None, HttpProblem("not-found"))
        await response(scope, receive, send)


async def _answer(site: Site, route: Route, request: Request) -> Response:
    visitor, asker = Visitor(), None
    try:
        if route.asks_inside:
            asker = site.asker(request)
        if asker is None and not route.anonymous:
            visitor = await site.visitor(request)
            if visitor.refused is not None and route.operation is not None and not route.operation.public:
                raise visitor.refused
        response = await route.handler(Call(site, route, request, visitor, asker))
        response.headers.update(visitor.headers)
        if response.status_code >= 400:
            await note_attempt(site.kernel, request, route.operation, visitor.actor, response.status_code)
        return response
    except ClientDisconnect:
        return Response(status_code=400)
    except Exception as error:
        return await _refuse(site, request, None if asker else visitor, error, route.operation)


async def _refuse(
    site: Site, request: Request, visitor: Visitor | None, error: Exception, wanted: Operation | None = None
) -> Response:
    if visitor is None:
        try:
            visitor = await site.visitor(request)
        except Exception:  # the answer is an error page in any case; it only lacks the person's name
            visitor = Visitor()
    await note_attempt(site.kernel, request, wanted, visitor.actor, error)
    view = site.view(request, visitor)
    kept = await kept_form(request, error, site.kernel.guard)
    if kept is not None:
        response = as_resend(kept, error, view)
    else:
        response = offered(request, error, view, site.places) or answer(request, error, view, site.places)
    for name, value in visitor.headers.items():
        response.headers.setdefault(name, value)
    if response.status_code == 500:
        _log_failure(request, error)
    return response


def _log_failure(request: Request, error: Exception) -> None:
    """The class and the place, never the text, which may hold personal data."""
    trace: Any = error.__traceback__
    frames: list[str] = []
    while trace is not None:
        frames.append(f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}")
        trace = trace.tb_next
    _log.error(
        "request failed",
        error=type(error).__name__,
        at=frames[-6:],
        method=request.method,
        request_id=request.scope.get("state", {}).get("request_id", ""),
    )
