"""The web process: the house behind its edge, as the ASGI application that granian serves."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from subscription_services import app
from subscription_services.edge.stack import EdgeSettings, protect
from subscription_services.kernel.errors import DomainError
from subscription_services.kernel.ids import Ids
from subscription_services.kernel.perform import flush_refusals
from subscription_services.kernel.probing import is_pass
from subscription_services.kernel.settings import HouseSettings
from subscription_services.logging import configure
from subscription_services.web.attempts import at_the_edge


def create() -> ASGIApp:
    """Factory for granian: settings from the environment, everything opened in this process."""
    settings = app.read_settings(os.environ)
    configure(settings.of(HouseSettings).log_level)
    house = app.build(settings)
    return _with_lifespan(application(house), lambda: _keep_house(house))


def application(house: app.House) -> ASGIApp:
    """The whole service as one ASGI application, edge included."""
    settings = house.settings.of(HouseSettings)
    kernel = house.kernel
    ids = Ids(kernel.clock, kernel.random)
    edge = EdgeSettings(
        hosts={settings.public_name, "localhost", "127.0.0.1", "[::1]"},
        origins={settings.public_url},
        csrf_key=house.ring.for_caller("edge").secret("edge.csrf"),
        processor_origins=house.processor_origins,
        machine_paths=house.routes.machine_paths(),
        is_pass=lambda text: is_pass(house.ring.for_caller("kernel"), text, kernel.clock()),
    )
    inner = house.routes.application(house.site)
    told = at_the_edge(kernel, house.routes.operation_at)
    return protect(inner, edge, random=kernel.random, new_id=lambda: ids.new("req"), told=told)


def _with_lifespan(inner: ASGIApp, background: Callable[[], Awaitable[None]]) -> ASGIApp:
    async def outer(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await inner(scope, receive, send)
            return
        task: asyncio.Task[None] | None = None
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                task = asyncio.ensure_future(background())
                await send({"type": "lifespan.startup.complete"})
            else:
                if task is not None:
                    task.cancel()
                await asyncio.gather(*([task] if task else []), return_exceptions=True)
                await send({"type": "lifespan.shutdown.complete"})
                return

    return outer


async def _keep_house(house: app.House) -> None:
    """What a web process does beside answering: write down counted refusals; at the end, close the house."""
    try:
        while True:
            await asyncio.sleep(10)
            try:
                await flush_refusals(house.kernel)
            except DomainError:
                continue  # the store's own alarm says so; the counts are kept for the next round
    finally:
        house.close()
