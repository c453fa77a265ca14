"""The first page, and the health of the process."""

from __future__ import annotations

import asyncio

import msgspec
from starlette.responses import Response

from subscription_services.kernel.actors import Anonymous, TeamMember
from subscription_services.keys import KeyRing
from subscription_services.web.call import Call
from subscription_services.web.routes import Route


def routes() -> tuple[Route, ...]:
    """The front page, and liveness and readiness for load balancers and the supervisor."""
    return (
        Route("GET", "/", _home, reason="the front page"),
        Route("GET", "/health/live", _live, reason="says only that the process answers", anonymous=True),
        Route("GET", "/health/ready", _ready, reason="says only whether the service can work", anonymous=True),
    )


async def _home(call: Call) -> Response:
    if isinstance(call.actor, TeamMember):
        return call.go("/team")
    if not isinstance(call.actor, Anonymous):
        return call.go("/account")
    return call.render("home.html")


async def _live(call: Call) -> Response:
    return _health(200, "live")


async def _ready(call: Call) -> Response:
    try:
        await call.site.kernel.store.read(lambda connection: connection.exec_driver_sql("SELECT 1").scalar_one())
        keys = call.site.kernel.keys
        keys.for_caller("edge").mac("edge.health", b"ready")
        if isinstance(keys, KeyRing):
            await asyncio.to_thread(keys.check_ready)
    except Exception:
        return _health(503, "not ready")
    return _health(200, "ready")


def _health(status: int, word: str) -> Response:
    return Response(msgspec.json.encode({"status": word}), status, media_type="application/json")
