"""Puts the processor together and runs it."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from starlette.applications import Starlette

from sandbox.loopback import LoopbackHostsOnly
from sandbox.processor.api import Desk, api_routes
from sandbox.processor.behaviour import Behaviour
from sandbox.processor.delivery import Deliverer, delivering
from sandbox.processor.endpoints import new_endpoint
from sandbox.processor.frame import frame_routes
from sandbox.processor.settings import Settings
from sandbox.processor.store import Store
from sandbox.serving import in_thread, listening


async def run(settings: Settings, announce: Callable[[str], None], stop: asyncio.Event) -> None:
    """Serve until `stop`; announces the URL once calls are answered."""
    store = Store(settings.data)
    desk = Desk(store, settings, Behaviour(), Deliverer(store, settings))
    _first_endpoint(desk)
    app = LoopbackHostsOnly(Starlette(routes=[*api_routes(desk), *frame_routes(desk)]))
    try:
        async with listening(app, settings.listen) as url, delivering(desk.deliverer):
            desk.settings = replace(settings, public_url=(settings.public_url or url).rstrip("/"))
            announce(url)
            await stop.wait()
    finally:
        store.close()


def _first_endpoint(desk: Desk) -> None:
    url, secret = desk.settings.webhook_url, desk.settings.webhook_secret
    if url is None or secret is None:
        return
    with desk.store.transaction():
        call = desk.call()
        for endpoint in desk.store.newest_first("webhook_endpoint", {"url": url}, limit=100):
            desk.store.remove(endpoint["id"])
        new_endpoint(call, url, ["*"], secret)


def processor(settings: Settings) -> AbstractContextManager[str]:
    """The processor in a thread of this process, for tests; gives its URL."""

    async def main(announce: Callable[[str], None], stop: asyncio.Event) -> None:
        await run(settings, announce, stop)

    return in_thread(main)
